"""What any version has written must load and give the same results; what a newer one has written is exit 5."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from golden_files import Golden, Partitions, Record, generations, go_on, load, log_of, published
from golden_world import World

from streams.log import MemoryLog
from streams.records import Unreadable
from streams.state import pack, unpack
from streams.worker import Exit, StateLost, exit_code, sentence

NEWER = 999
GOLDEN = {generation: load(generation) for generation in generations()}
EVERY = pytest.mark.parametrize("golden", GOLDEN.values(), ids=[f"generation-{each}" for each in GOLDEN])
NEWEST = GOLDEN[max(GOLDEN)]


def same(expected: Any, found: Any) -> bool:
    """Whether an event is the same as it was. It may say more today; the hash of the configuration may be another."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and same(value, found[key]) for key, value in expected.items() if key != "config_hash"
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(same, expected, found))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-12)
    return bool(expected == found)


def goes_on_as_it_did(golden: Golden, log: MemoryLog) -> None:
    """The application goes on from this log, and publishes what it published then."""
    config = golden.configuration
    go_on(golden, log)
    World(config, log).run(golden.history.turns)
    found = published(log, config)
    for topic, events in golden.history.published.items():
        assert events.keys() <= found[topic].keys(), topic
        for identity, value in events.items():
            assert same(json.loads(value), json.loads(found[topic][identity])), (topic, identity)


@EVERY
def test_a_golden_history_holds_what_is_worth_keeping(golden: Golden) -> None:
    told = golden.history.published
    alerts = [json.loads(value) for value in told["alerts"].values()]
    assert {alert["kind"] for alert in alerts} >= {"threshold", "drift"}
    assert len(told["metrics"]) > 50 and told["dead-letters"]
    assert golden.journal[0] and golden.snapshots[0] and golden.outcomes[0]


@EVERY
def test_journals_and_snapshots_of_every_format_load_and_give_the_same_results(golden: Golden) -> None:
    goes_on_as_it_did(golden, log_of(golden))


@EVERY
def test_outcomes_of_every_format_are_folded_to_the_same_results(golden: Golden) -> None:
    births = [[each for each in records if (each.key or b"").startswith(b"birth/")] for records in golden.snapshots]
    goes_on_as_it_did(golden, log_of(msgspec.structs.replace(golden, snapshots=births)))


@EVERY
def test_a_journal_of_every_format_stands_in_for_offsets_that_have_expired(golden: Golden) -> None:
    history = golden.history
    config = golden.configuration
    kept = {config.gauge_group: history.offsets[config.gauge_group]}
    goes_on_as_it_did(
        golden, log_of(msgspec.structs.replace(golden, history=msgspec.structs.replace(history, offsets=kept)))
    )


def test_results_that_differ_are_noticed() -> None:
    """A check of the checks: what comes later is not what came then."""
    history = msgspec.structs.replace(NEWEST.history, later=NEWEST.history.later[:-20])
    with pytest.raises(AssertionError):
        goes_on_as_it_did(msgspec.structs.replace(NEWEST, history=history), log_of(NEWEST))


def restated(partitions: Partitions, change: Callable[[Record], bytes | None]) -> Partitions:
    """The records, with the values that `change` gives where it gives one."""
    return [
        [each if (value := change(each)) is None else msgspec.structs.replace(each, value=value) for each in records]
        for records in partitions
    ]


def of_version(value: bytes, magic: bytes) -> bytes | None:
    """A state with the number of a newer format, if it is of this kind."""
    return value[:4] + NEWER.to_bytes(2, "big") + value[6:] if value[:4] == magic else None


def newer_envelope(golden: Golden) -> Golden:
    return msgspec.structs.replace(
        golden, journal=restated(golden.journal, lambda each: of_version(each.value or b"", b"SGJE"))
    )


def newer_block(golden: Golden) -> Golden:
    def change(each: Record) -> bytes | None:
        if each.value is None:
            return None
        tree = unpack(b"SGJE", 1, each.value)
        block = of_version(tree["block"] or b"", b"SGJJ")
        return None if block is None else pack(b"SGJE", 1, {**tree, "block": block})

    return msgspec.structs.replace(golden, journal=restated(golden.journal, change))


def newer_head(golden: Golden) -> Golden:
    return msgspec.structs.replace(
        golden, snapshots=restated(golden.snapshots, lambda each: of_version(each.value or b"", b"SGHD"))
    )


def newer_model(golden: Golden) -> Golden:
    return msgspec.structs.replace(
        golden, snapshots=restated(golden.snapshots, lambda each: of_version(each.value or b"", b"SGMD"))
    )


def newer_birth(golden: Golden) -> Golden:
    def change(each: Record) -> bytes | None:
        return json.dumps({**json.loads(each.value or b""), "format": NEWER}).encode()

    births = [[each for each in records if (each.key or b"").startswith(b"birth/")] for records in golden.snapshots]
    return msgspec.structs.replace(golden, snapshots=restated(births, change))


def newer_outcomes(golden: Golden) -> Golden:
    """Only the last message is of the newer format, and it comes after the snapshot: as in a rolling upgrade."""

    def change(value: bytes) -> bytes:
        table = pa.ipc.open_stream(value).read_all()
        newer = table.replace_schema_metadata({**table.schema.metadata, b"streamgauge.format": str(NEWER).encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, newer.schema) as stream:
            stream.write_table(newer)
        return sink.getvalue().to_pybytes()

    last = [each for each in golden.outcomes[0] if each.value is not None][-1]
    message = msgspec.structs.replace(last, value=change(last.value or b""))
    return msgspec.structs.replace(golden, outcomes=[[*golden.outcomes[0], message]])


@pytest.mark.parametrize(
    "made_newer", [newer_envelope, newer_block, newer_head, newer_model, newer_birth, newer_outcomes]
)
def test_a_newer_format_than_ours_is_exit_5_with_one_sentence(made_newer: Callable[[Golden], Golden]) -> None:
    golden = made_newer(NEWEST)
    assert golden != NEWEST
    with pytest.raises((StateLost, Unreadable)) as refused:
        World(golden.configuration, log_of(golden)).run(2)
    assert exit_code(refused.value) is Exit.STATE_LOST
    said = sentence(refused.value)
    assert str(NEWER) in said and "\n" not in said
    assert "bug" not in said
