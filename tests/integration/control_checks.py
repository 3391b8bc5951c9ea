"""What must hold of control records, wherever the topics lie: each is in every partition of the outcomes, and a silence
or an announced event mutes what it matches and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streams.records import TopicPartition
from tests.integration.checkers import Published, milliseconds
from tests.integration.row_checks import Copied
from tests.integration.traffic import Logged, Order

Copies = Mapping[TopicPartition, Sequence[Copied]]
"""The control records that each partition of the outcomes holds, in its order."""


def control_copied_once(copied: Copies, log: Iterable[Logged], places: Iterable[TopicPartition]) -> int:
    """Every valid control record is in every partition of the outcomes, as it was sent."""
    good = [each for each in log if isinstance(each.record.meaning, Order)]
    sent = sorted((each.offset or 0, each.record.key.decode(), each.record.value) for each in good)
    for place in places:
        found = [(each.offset, each.key, each.value) for each in copied.get(place, ())]
        assert found == sent, f"{place}: {set(sent) ^ set(found)}"
    return len(sent)


def silences_mute(copied: Copies, alerts: Sequence[Published]) -> int:
    """`muted_by` names a silence or announced event that is in force and matches; where one is, and has been so since
    before the tick at which the alert was raised, there is one."""
    compared = 0
    orders = next(iter(copied.values()), [])
    for record in alerts:
        event = record.event()
        clock = milliseconds(record.headers["ce_time"])
        muted_by = event.get("muted_by")
        if muted_by is not None:
            compared += 1
            said = [each for each in orders if each.key == muted_by and each.value is not None]
            assert any(_mutes(each, event, clock) for each in said), f"muted by {muted_by}, which does not: {event}"
        elif any(_surely_mutes(copies, event, clock) for copies in copied.values()):
            raise AssertionError(f"not muted, though one of {list(orders)} matches: {event}")
    return compared


def _surely_mutes(copies: Sequence[Copied], event: Mapping[str, Any], clock: int) -> bool:
    """Whether a mute that was said only once was there before this clock: then the partition does not matter, as long
    as it was there in each."""
    once = [each for each in copies if sum(other.key == each.key for other in copies) == 1]
    return any(
        each.clock is not None and each.clock < clock and _mutes(each, event, clock)
        for each in once
        if each.value is not None
    )


def _mutes(copied: Copied, event: Mapping[str, Any], clock: int) -> bool:
    assert copied.value is not None
    body = json.loads(copied.value)
    if copied.key.startswith("silence/"):
        matches = all(event[name] == value for name, value in body["matchers"].items())
        return matches and bool(body["starts_at"] <= clock < body["ends_at"])
    return copied.key.startswith("calendar/") and bool(body["mute"]) and bool(body["at"] <= clock < body["until"])
