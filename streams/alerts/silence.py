"""Silence of a stream: nothing has come for longer than this stream has ever been quiet.

The rule, for predictions and for labels (outcomes) of a model as a whole:
- Time counts only between ticks at both of which every join task was caught up: downtime of ours is not silence of
  theirs. A spell is the counted time since something last came.
- It is armed once `history` (7 days: nights and a weekend) of counted time and `fewest` arrivals have been seen since
  the first arrival.
- It is silent when the spell is longer than `floor` and twice the longest spell of the last 28 counted days that raised
  no alert. Of those that did, one is an outage, and makes nobody deaf to the next; two on different days are a habit:
  what both have lasted does not alarm a third time, a longer one does.
So a stream that comes in daily batches alarms after two days, and one that never pauses after `floor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec

from streams.alerts.alert import Alert, AlertKey, Resolution, Status
from streams.alerts.book import AlertBook
from streams.alerts.episode import Facts
from streams.alerts.settings import DAY, AlertSettings
from streams.alerts.summary import duration
from streams.state import Count, Time, shaped

_DAYS = 28
PREDICTIONS = AlertKey(None, None, (), "silence/predictions", "predictions")
LABELS = AlertKey(None, None, (), "silence/labels", "labels")


class _Heard(TypedDict):
    arrived: Count
    listened: Count
    spell: Count
    longest: Annotated[list[Count], msgspec.Meta(min_length=1)] | None
    alarmed: NotRequired[list[Count]]
    silent: bool


class _State(TypedDict):
    predictions: dict[str, Any]
    labels: dict[str, Any]
    arrived: tuple[Count, Count]
    latest: Time | None
    clock: Time | None
    caught_up: bool


@dataclass(slots=True)
class Quiet:
    """How long one stream has been quiet, and how long it has ever been. Times in milliseconds of counted time."""

    history: int
    floor: int
    fewest: int
    arrived: int = 0
    listened: int = 0
    spell: int = 0
    longest: list[int] | None = None  # of each of the last days, the newest last; of spells without an alert
    alarmed: list[int] = field(default_factory=list)  # the same of spells with one
    silent: bool = False

    @property
    def limit(self) -> int:
        """The spell that would be silence."""
        habit = sorted(self.alarmed)[-2:-1] or [0]
        return max(self.floor, 2 * max(self.longest or [0]), *habit)

    def tick(self, advance: int, arrived: int) -> bool | None:
        """`advance` more counted time, in which `arrived` came. True: silent from now; False: no longer; else None."""
        if arrived == 0 and self.arrived == 0:
            return None  # nothing has ever come: there is nothing to miss
        self._listen(advance)
        self.arrived += arrived
        if arrived == 0:
            self.spell += advance
            armed = self.listened >= self.history and self.arrived >= self.fewest
            if self.silent or not armed or self.spell <= self.limit:
                return None
            self.silent = True
            return True
        assert self.longest is not None
        today = self.alarmed if self.silent else self.longest
        today[-1] = max(today[-1], self.spell)
        was_silent, self.silent, self.spell = self.silent, False, 0
        return False if was_silent else None

    def _listen(self, advance: int) -> None:
        """Count time on; a new day begins with its own longest spell."""
        if self.longest is None:
            self.longest, self.alarmed = [0], [0]
        days = (self.listened + advance) // DAY - self.listened // DAY
        self.listened += advance
        if days:
            new = [0] * min(days, _DAYS)
            self.longest, self.alarmed = [*self.longest, *new][-_DAYS:], [*self.alarmed, *new][-_DAYS:]

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "arrived": self.arrived,
            "listened": self.listened,
            "spell": self.spell,
            "longest": None if self.longest is None else list(self.longest),
            "alarmed": list(self.alarmed),
            "silent": self.silent,
        }

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Take the state of a snapshot."""
        tree = shaped(_Heard, tree)
        self.arrived = tree["arrived"]
        self.listened = tree["listened"]
        self.spell = tree["spell"]
        self.longest = None if tree["longest"] is None else list(tree["longest"])
        days = len(self.longest or [])
        self.alarmed = [*[0] * days, *tree.get("alarmed", ())][-days:] if days else []
        self.silent = tree["silent"]


class ModelSilence:
    """Both streams of a model. Labels are not missed while predictions are: the one silence explains the other."""

    def __init__(self, settings: AlertSettings, book: AlertBook) -> None:
        self._book = book
        quiet = settings.quiet
        self._predictions = Quiet(quiet.history, quiet.predictions_floor, quiet.fewest_predictions)
        self._labels = Quiet(quiet.history, quiet.outcomes_floor, quiet.fewest_outcomes)
        self._arrived = [0, 0]
        self._latest: int | None = None
        self._clock: int | None = None
        self._caught_up = False

    def seen(self, predictions: int, outcomes: int, latest: int) -> None:
        """So many have come; `latest` is the largest event time of a prediction among them."""
        self._arrived[0] += predictions
        self._arrived[1] += outcomes
        self._latest = latest if self._latest is None else max(latest, self._latest)

    def tick(self, clock: int, caught_up: bool) -> list[Alert]:
        """Count the time since the last tick, where everything was read at both."""
        before = clock if self._clock is None else self._clock
        advance = max(clock - before, 0) if caught_up and self._caught_up else 0
        self._clock, self._caught_up = max(clock, before), caught_up
        predictions, outcomes = self._arrived
        self._arrived = [0, 0]
        events = self._tell(PREDICTIONS, self._predictions, self._predictions.tick(advance, predictions), clock)
        missed = 0 if self._predictions.silent else advance
        return events + self._tell(LABELS, self._labels, self._labels.tick(missed, outcomes), clock)

    def _tell(self, key: AlertKey, quiet: Quiet, change: bool | None, clock: int) -> list[Alert]:
        if change is None:
            if quiet.silent:
                self._book.refresh(key, self._facts(key, quiet))
            return []
        if not change:
            return self._book.resolve(key, Resolution.RECOVERED, clock)
        events = self._book.raise_(key, self._facts(key, quiet), Status.FIRING, clock)
        quiet.silent = self._book.get(key) is not None  # where there was no room, it is raised at the next tick
        return events

    def _facts(self, key: AlertKey, quiet: Quiet) -> Facts:
        expected = duration(quiet.limit)
        return Facts(
            origin="silence",
            kind="silence_of_stream",
            severity="warning",
            noun=f"the stream of {key.subject}",
            text=f"no {key.subject} for {duration(quiet.spell)}, where at most {expected} was to be expected",
            statistic=quiet.spell,
            threshold=quiet.limit,
            direction="down",
            change_at=self._latest if key == PREDICTIONS else None,
        )

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "predictions": self._predictions.snapshot(),
            "labels": self._labels.snapshot(),
            "arrived": list(self._arrived),
            "latest": self._latest,
            "clock": self._clock,
            "caught_up": self._caught_up,
        }

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Take the state of a snapshot."""
        tree = shaped(_State, tree)
        self._predictions.restore(tree["predictions"])
        self._labels.restore(tree["labels"])
        self._arrived = list(tree["arrived"])
        self._latest = tree["latest"]
        self._clock = tree["clock"]
        self._caught_up = tree["caught_up"]
