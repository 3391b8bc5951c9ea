"""Threshold rules: the verdicts on a rule's windows, and what they say together.

    window                breached    not breached    unknown (fewer outcomes than min_count, no value, no history,
                                                       not mature yet, no window at all)
    fires                 yes, once the run covers `for`       no         no
    ends the episode      no          if no later window is known         no
    breaks the run        no          yes                                 no

`for` is event time: the run is the breached windows back from the latest known one to the last that is known not to
be; windows that are unknown are passed over and do not count. A revision replaces its window's verdict, judged
against the history as it is then; later windows are judged again at their own revisions. A run that is known only once
a later window is known not to be breached (its labels came last) fires all the same, and is resolved at once.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from streams.alerts.facts import Level, WindowFigures
from streams.alerts.settings import ThresholdRule
from streams.state import Count, Number, Time, shaped


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged window. `value` is None where it must not serve as history, `breached` where it is unknown;
    `history` is what the threshold was made of."""

    value: float | None
    outcomes: int
    breached: bool | None
    threshold: float | None
    history: Level | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rule's windows say together.

    `latest` is the verdict of the latest known window (None: none is known); `held` is the event time the run of
    breaches back from it covers, from `since` on, with `outcomes` in it, and `run` the starts of its windows. `known`:
    the window at hand could be judged. `outdated`: it could not, for want of a history, and it is the latest.
    """

    latest: Verdict | None
    known: bool
    outdated: bool
    held: int
    outcomes: int
    run: tuple[int, ...]

    @property
    def since(self) -> int:
        """The start of its first window; 0 of none."""
        return self.run[-1] if self.run else 0


class RuleTrack:
    """The verdicts of one rule on one version × variant × segment, as far back as they may be looked at or revised."""

    def __init__(self, rule: ThresholdRule, keep: int) -> None:
        self._rule = rule
        self._span = max(rule.limit.over + keep, rule.hold) + rule.window
        self._starts: list[int] = []
        self._verdicts: dict[int, Verdict] = {}
        self._told: set[int] = set()  # windows of runs that have fired
        self._waiting: set[int] = set()  # windows of runs that are to be told once no other alert is open

    def is_past(self, event_time: int) -> bool:
        """Whether nothing here can matter to a window at `event_time` or later."""
        return not self._starts or self._starts[-1] + self._span < event_time

    def judge(self, figures: WindowFigures) -> Standing | None:
        """Take a revision in. None: the window may not be judged (open or not mature), or is too old to matter."""
        if figures.state == "open" or not (figures.mature or figures.state == "final"):
            return None
        if self._starts and figures.start <= self._starts[-1] - self._span:
            return None
        value = figures.metrics.get(self._rule.metric)
        if figures.outcomes < self._rule.min_count or (value is not None and not abs(value) <= _LARGEST):
            value = None
        history = self._history(figures.start)
        enough = len(history) >= self._rule.fewest
        threshold = _threshold(self._rule, history) if enough else None
        breached = self._breaches(value, threshold)
        level = Level(math.fsum(history) / len(history), len(history)) if history else None
        self._put(figures.start, Verdict(value, figures.outcomes, breached, threshold, level))
        outdated = value is not None and not enough and figures.start == self._starts[-1]
        belated = self._belated(figures.start)
        if belated is not None:
            self._waiting.add(figures.start)
        return self._standing(breached is not None, outdated, len(self._starts))

    def belated(self) -> list[Standing]:
        """Runs that are over, and were never told because they were not known or there was no room; oldest first."""
        found = {start: self._belated(start) for start in sorted(self._waiting)}
        self._waiting = {start for start, standing in found.items() if standing is not None}
        return list({standing.run: standing for standing in found.values() if standing is not None}.values())

    def _belated(self, start: int) -> Standing | None:
        """The run that the window at `start` is in, where that is such a one."""
        verdict, place = self._verdicts.get(start), bisect_left(self._starts, start)
        if verdict is None or not verdict.breached:
            return None
        later = (at for at in range(place, len(self._starts)) if self._verdicts[self._starts[at]].breached is False)
        over = next(later, None)
        if over is None:
            return None
        standing = self._standing(True, False, over)
        held = standing.held >= self._rule.hold
        return standing if held and self._told.isdisjoint(standing.run) else None

    def tell(self, standing: Standing) -> None:
        """An alert tells of this run."""
        self._told.update(standing.run)
        self._waiting.difference_update(standing.run)

    def _breaches(self, value: float | None, threshold: float | None) -> bool | None:
        if value is None or threshold is None:
            return None
        return value < threshold if self._rule.side == "below" else value > threshold

    def _put(self, start: int, verdict: Verdict) -> None:
        if start not in self._verdicts:
            insort(self._starts, start)
        self._verdicts[start] = verdict
        oldest = self._starts[-1] - self._span
        while self._starts[0] <= oldest:
            gone = self._starts.pop(0)
            del self._verdicts[gone]
            self._told.discard(gone)
            self._waiting.discard(gone)

    def _history(self, start: int) -> list[float]:
        """The values of the windows within `over` before `start`, breached ones left out."""
        if self._rule.limit.kind == "static":
            return []
        first = bisect_left(self._starts, start - self._rule.limit.over)
        verdicts = (self._verdicts[at] for at in self._starts[first : bisect_left(self._starts, start)])
        return [verdict.value for verdict in verdicts if verdict.value is not None and not verdict.breached]

    def _standing(self, known: bool, outdated: bool, before: int) -> Standing:
        """As of the first `before` windows."""
        latest: Verdict | None = None
        run: list[int] = []
        outcomes = 0
        for place in range(before - 1, -1, -1):
            start = self._starts[place]
            verdict = self._verdicts[start]
            if verdict.breached is None:
                continue
            latest = latest or verdict
            if not verdict.breached:
                break
            run.append(start)
            outcomes += verdict.outcomes
        return Standing(latest, known, outdated, len(run) * self._rule.window, outcomes, tuple(run))

    def snapshot(self) -> list[Any]:
        """The verdicts as plain values, oldest first."""
        return [
            [start, *_verdict_tree(self._verdicts[start]), None if start in self._waiting else start in self._told]
            for start in self._starts
        ]

    def restore(self, tree: Sequence[Any]) -> None:
        """Take the verdicts of a snapshot; by the limit of now, where it is one that needs no history."""
        # an older version did not say: then no breach is told again
        told = [entry[_LENGTH] if len(entry) > _LENGTH else bool(entry[_BREACHED]) for entry in tree]
        tree = shaped(list[_Entry], [entry[:_LENGTH] for entry in tree])
        self._starts = [entry[0] for entry in tree]
        self._told = {start for start, said in zip(self._starts, told, strict=True) if said}
        self._waiting = {start for start, said in zip(self._starts, told, strict=True) if said is None}
        self._verdicts = {
            start: Verdict(value, outcomes, breached, threshold, None if count == 0 else Level(mean, count))
            for start, value, outcomes, breached, threshold, mean, count in tree
        }
        limit = self._rule.limit
        if limit.kind == "static":
            for start, each in self._verdicts.items():
                breached = self._breaches(each.value, limit.value)
                if breached and not each.breached:
                    self._told.add(start)  # it was none when there was something to tell
                self._verdicts[start] = replace(each, breached=breached, threshold=limit.value)


_LENGTH, _BREACHED = 7, 3
_LARGEST = 1e150
"""A value beyond it is not known: sums of squares would have no end."""
_Entry = tuple[Time, Number | None, Count, bool | None, Number | None, Number | None, Count]


def _verdict_tree(verdict: Verdict) -> list[Any]:
    level = verdict.history or Level(None, 0)
    return [verdict.value, verdict.outcomes, verdict.breached, verdict.threshold, level.mean, level.count]


def _threshold(rule: ThresholdRule, history: list[float]) -> float:
    limit = rule.limit
    if limit.kind == "static":
        return limit.value
    if limit.kind == "quantile":
        return _quantile(sorted(history), limit.value)
    sigma = 0.0
    mean = history[0]
    if min(history) != max(history):  # of constants, neither mean nor deviation may carry rounding errors
        mean = math.fsum(history) / len(history)
        sigma = math.hypot(*(value - mean for value in history)) / math.sqrt(len(history) - 1)  # squares overflow
    return mean - limit.value * sigma if rule.side == "below" else mean + limit.value * sigma


def _quantile(ordered: list[float], q: float) -> float:
    place = (len(ordered) - 1) * q
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
