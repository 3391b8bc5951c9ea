"""Silence of streams, heard again in the rows of the outcomes topic: when each stream of a model must have been missed,
and when it was back.

As it is documented: time counts between two ticks at both of which every join task had read all there was, and had
been heard within a minute. A spell is the counted time since something last came. It is silence when it is longer than
`floor` and than twice the longest spell that was none, once `history` was counted and `fewest` have come. Labels are
not missed while predictions are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.integration.checkers import Published, milliseconds
from tests.integration.row_checks import Rows
from tests.integration.rows import CONTROL, OUTCOME, PREDICTED, TICK, Row

MINUTE, DAY = 60_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Patience:
    """With one stream; times in ms."""

    history: int
    fewest: int
    floor: int


SHIPPED: Mapping[str, Patience] = {
    "predictions": Patience(7 * DAY, 1_000, 5 * MINUTE),
    "labels": Patience(7 * DAY, 100, 60 * MINUTE),
}


class Told(NamedTuple):
    """An alert that must be there; `spell` in ms, of a stream that is back None."""

    model: str
    subject: str
    status: str
    clock: int
    spell: int | None


@dataclass(slots=True)
class _Stream:
    patience: Patience
    arrived: int = 0
    new: int = 0
    counted: int = 0
    spell: int = 0
    pauses: list[int] = field(default_factory=list)
    silent: bool = False

    def pass_time(self, advance: int) -> str | None:
        if self.arrived + self.new == 0:
            return None
        self.arrived, new, self.new = self.arrived + self.new, self.new, 0
        self.counted += advance
        assert self.counted < DAY, "of what happens over days this checker knows nothing"
        if new:
            was_silent, self.silent = self.silent, False
            if not was_silent:
                self.pauses.append(self.spell)
            self.spell = 0
            return "resolved" if was_silent else None
        self.spell += advance
        heard = self.counted >= self.patience.history and self.arrived >= self.patience.fewest
        if self.silent or not heard or self.spell <= max(self.patience.floor, *(2 * each for each in self.pauses), 0):
            return None
        self.silent = True
        return "firing"


class _Ears:
    """Those of one model."""

    def __init__(self, patience: Mapping[str, Patience]) -> None:
        self.streams = {name: _Stream(each) for name, each in patience.items()}
        self._before: tuple[int, bool] | None = None

    def tick(self, model: str, clock: int, caught_up: bool) -> Iterator[Told]:
        before, was_caught_up = self._before or (clock, False)
        self._before = clock, caught_up
        advance = clock - before if caught_up and was_caught_up else 0
        for name, stream in self.streams.items():
            missed = name == "labels" and self.streams["predictions"].silent
            status = stream.pass_time(0 if missed else advance)
            if status is not None:
                yield Told(model, name, status, clock, stream.spell if status == "firing" else None)


def streams_are_missed(
    rows: Rows, alerts: Sequence[Published], patience: Mapping[str, Patience] = SHIPPED
) -> Counter[str]:
    """Every silence of a stream is told, when it began and when it ended, and nothing else is. How many, by status."""
    wanted = Counter(told for placed in rows.values() for told in _heard(placed, patience))
    found = Counter(_told(alerts))
    assert found == wanted, f"not told: {list(wanted - found)[:3]}; told, and not so: {list(found - wanted)[:3]}"
    return Counter(told.status for told in wanted)


def _heard(placed: Sequence[tuple[int, Row]], patience: Mapping[str, Patience]) -> Iterator[Told]:
    clock = 0
    caught_up: dict[int, bool] = {}
    heard: dict[int, int] = {}
    ears: dict[str, _Ears] = defaultdict(lambda: _Ears(patience))
    for task, row in placed:
        if row.kind == TICK:
            assert row.payload is not None
            clock = max(clock, row.payload["clock"])
            for each in range(row.payload["join_tasks"]):
                heard.setdefault(each, clock)
            heard[task], caught_up[task] = clock, row.payload["caught_up"]
            everybody = len(caught_up) == len(heard) and all(caught_up.values())
            recently = clock - min(heard.values()) < MINUTE
            for model, each_ears in ears.items():
                yield from each_ears.tick(model, clock, everybody and recently)
        elif row.kind != CONTROL and row.model is not None:
            streams = ears[row.model].streams
            streams["predictions"].new += row.kind == PREDICTED
            streams["labels"].new += row.kind == OUTCOME and row.label_offset >= 0


def _told(alerts: Sequence[Published]) -> Iterator[Told]:
    fired: set[str] = set()
    for record in alerts:
        event: Mapping[str, Any] = record.event()
        if event["kind"] != "silence_of_stream":
            continue
        again = event["status"] == "firing" and event["episode_id"] in fired
        fired.add(event["episode_id"])
        if not again:
            spell = event["statistic"] if event["status"] == "firing" else None
            yield Told(
                event["model"], event["subject"], event["status"], milliseconds(record.headers["ce_time"]), spell
            )
