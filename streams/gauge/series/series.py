"""One series: version × variant × subject. Its reference, its history, and the detectors that watch it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

import detectors
from streams.alerts import Cause
from streams.gauge.series.facts import Finding, MonitorChange
from streams.gauge.series.history import History
from streams.gauge.series.lane import Lane
from streams.gauge.series.reference import Sample, WarmUp, sample_of, sample_tree
from streams.gauge.series.settings import SeriesSettings
from streams.gauge.series.watch import Watch

OTHER = "__other__"


class Series:
    """Values of one subject of one version and variant, in log order. `born` is the row of its first value."""

    def __init__(
        self,
        settings: SeriesSettings,
        subject: str,
        kind: detectors.Kind,
        version: str | None,
        variant: str | None,
        born: int,
    ) -> None:
        self._settings = settings
        self.subject = subject
        self.kind: detectors.Kind = kind
        self._version, self._variant = version, variant
        self.born = born
        self.settled = False  # whether a reference was looked for elsewhere
        self.history = History()
        self.sample: Sample | None = None
        self._warm_up: WarmUp | None = WarmUp(settings.warm_up, settings.span)
        self.watches = [
            Watch(each, subject, kind, version, variant, settings.recover_for)
            for each in settings.watches
            if each.covers(subject)
        ]
        self._since: int | None = None  # event time before which no value goes into the reference
        self._announced: dict[str, MonitorChange] = {}
        self._distinct: int | None = None  # categories of the reference

    def adopt(self, sample: Sample, shares: int) -> None:
        """Take a reference from elsewhere; later values are compared with it."""
        self.sample, self._warm_up = sample, None
        begin = self.history.moments(self.history.count)
        for watch in self.watches:
            watch.arm(sample, shares, self._settings.budget, begin)

    def feed(self, lane: Lane, shares: Callable[[int], int]) -> list[Finding]:
        """Take the next values. `shares(row)` says among how many the budget is shared at a row."""
        if not len(lane):
            return []
        self.history.extend(lane)
        begin = 0
        if self._warm_up is not None:
            skipped = self._skipped(lane)
            taken = self._warm_up.take(lane.values[skipped:], lane.timestamps[skipped:], self.kind)
            begin = len(lane)
            if taken is not None:
                taken += skipped
                begin = taken
                row = int(lane.rows[taken - 1])
                self.sample, self._warm_up = self._warm_up.sample(row), None
                moments = self.history.moments(self.history.count - len(lane) + taken)
                for watch in self.watches:
                    watch.arm(self.sample, shares(row), self._settings.budget, moments)
        found: list[tuple[int, int, Finding]] = []
        # those that wait for a longer reference come last: it is none once another detector has fired
        for number, watch in sorted(enumerate(self.watches), key=lambda each: (each[1].retry_at is not None, each[0])):
            start = 0 if watch.own and not watch.refers else begin
            if watch.retry_at is not None:
                start = self._retry(watch, lane, shares)
            for event in watch.run(lane.values, start, self.history, self.sample):
                drift = replace(event.drift, cause=self._cause(lane, event.index))
                found.append((event.index, number, Finding(int(lane.rows[event.index]), drift)))
        found.sort(key=lambda each: each[:2])
        return [finding for _, _, finding in found]

    def _skipped(self, lane: Lane) -> int:
        """How many values come before the time from which the reference is taken."""
        if self._since is None:
            return 0
        late = np.flatnonzero(lane.timestamps >= self._since)
        if not len(late):
            return len(lane)
        self._since = None
        return int(late[0])

    def _retry(self, watch: Watch, lane: Lane, shares: Callable[[int], int]) -> int:
        """Let a watch try a longer reference where the lane brings it: the place from which it looks."""
        first = self.history.count - len(lane)
        while self.sample is not None and watch.retry_at is not None and watch.retry_at <= self.history.count:
            count = watch.retry_at
            if any(each.first_fired is not None and each.first_fired <= count for each in self.watches):
                watch.retry_at = None
                break
            row = int(lane.rows[count - first - 1])
            watch.retry(self.sample, shares(row), self._settings.budget, self.history.moments(count))
            if watch.state == "armed":
                return count - first
        return len(lane)

    def _cause(self, lane: Lane, index: int) -> Cause:
        labelled = bool(lane.labelled[index])
        topic = self._settings.labels_topic if labelled else self._settings.predictions_topic
        return Cause(topic, int(lane.partitions[index]), int(lane.offsets[index]))

    def retune(self, shares: int) -> None:
        """Share the budget among more."""
        if self.sample is not None:
            for watch in self.watches:
                watch.retune(self.sample, shares, self._settings.budget)

    def changes(self) -> list[MonitorChange]:
        """What has changed since last asked: the state of each detector."""
        made = []
        for watch in self.watches:
            origin = None if self.sample is None else self.sample.origin
            if origin is None and watch.state == "armed":
                origin = "self"
            change = MonitorChange(
                self._version, self._variant, self.subject, watch.use, watch.state, watch.reason, origin,
                watch.detectable,
            )  # fmt: skip
            if self._announced.get(watch.identity) != change:
                self._announced[watch.identity] = change
                made.append(change)
        return made

    def rebaseline(self, row: int, since: int | None) -> list[Finding]:
        """Start a new reference with the next value (not before event time `since`). The findings that end the alerts
        that fire."""
        self._since, self._distinct = since, None
        self.sample, self._warm_up = None, WarmUp(self._settings.warm_up, self._settings.span)
        ended = [watch.rebaseline() for watch in self.watches]
        return [Finding(row, drift) for drift in ended if drift is not None]

    @property
    def overflowed(self) -> bool:
        """Whether the reference has more categories than the limit."""
        if self.kind != "categories" or self.sample is None:
            return False
        if self._distinct is None:
            self._distinct = len(np.unique(self.sample.values))
        return self._distinct > self._settings.categories

    @property
    def shares(self) -> int:
        """Shares of the budget its detectors take."""
        return sum(watch.shares for watch in self.watches)

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "subject": self.subject,
            "kind": self.kind,
            "born": self.born,
            "settled": self.settled,
            "since": self._since,
            "history": self.history.snapshot(),
            "sample": sample_tree(self.sample),
            "warm_up": None if self._warm_up is None else self._warm_up.snapshot(),
            "watches": {watch.identity: watch.snapshot() for watch in self.watches},
            "announced": {name: asdict(change) for name, change in self._announced.items()},
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave. A watch that the state does not know starts against the reference."""
        self.born, self.settled = tree["born"], tree["settled"]
        self._since = tree["since"]
        self.history.restore(tree["history"])
        self.sample = sample_of(tree["sample"])
        self._warm_up = None
        if tree["warm_up"] is not None:
            self._warm_up = WarmUp(self._settings.warm_up, self._settings.span)
            self._warm_up.restore(tree["warm_up"])
        for watch in self.watches:
            if watch.identity in tree["watches"]:
                watch.restore(tree["watches"][watch.identity], self.sample)
        known = {watch.identity for watch in self.watches}
        self._announced = {name: MonitorChange(**each) for name, each in tree["announced"].items() if name in known}

    def arm(self, shares: int) -> None:
        """Arm what a changed configuration has added, against the reference."""
        if self.sample is not None:
            begin = self.history.moments(self.history.count)
            for watch in self.watches:
                watch.arm(replace(self.sample, origin="baseline"), shares, self._settings.budget, begin)
