"""One series: version × variant × segment × subject. Its reference, its history, and the detectors that watch it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, NotRequired, TypedDict

import numpy as np

import detectors
from streams.alerts import Cause
from streams.gauge.series.columns import code
from streams.gauge.series.facts import Finding, MonitorChange
from streams.gauge.series.history import History, Moments
from streams.gauge.series.lane import Lane
from streams.gauge.series.level import Level, level_from, level_of
from streams.gauge.series.reference import HELD, MOST, Sample, WarmUp, sample_of
from streams.gauge.series.settings import SeriesSettings
from streams.gauge.series.watch import Watch
from streams.records import Float64Array
from streams.state import Count, Time, array, shaped

OTHER = "__other__"
_OTHER_CODE = code(OTHER)
Segment = tuple[str, str]
"""Key and value."""
LONGEST = 10
"""A reference that is too short is made this many times longer at most."""
AT_ONCE = HELD
"""Values of a reference with which detectors are armed at the row that completes it. A longer one waits for a tick:
to calibrate a detector from 40,000 values takes some 25 ms, and a model may have a hundred of them."""

Share = Callable[[Watch, int], tuple[float, bool]]
"""What a watch may take of the budget at a row (false alarms in 30 days), and whether that is provisional."""


class _State(TypedDict):
    born: int
    settled: bool
    since: Time | None
    gone: NotRequired[Any]
    history: dict[str, Any]
    samples: list[Any]
    level: Any
    warm_up: Any
    due: NotRequired[tuple[int, Any] | None]
    watches: dict[str, Any]
    categories: NotRequired[Any]
    overflow: NotRequired[Count]
    announced: dict[str, dict[str, Any]]


class Series:
    """Values of one subject of one version and variant, of the whole model or a segment (key, value), in log order.
    `born` is the row of its first value."""

    def __init__(
        self,
        settings: SeriesSettings,
        subject: str,
        kind: detectors.Kind,
        version: str | None,
        variant: str | None,
        born: int,
        segment: Segment | None = None,
    ) -> None:
        self._settings = settings
        self.segment = segment
        self.subject = subject
        self.kind: detectors.Kind = kind
        self._version, self._variant = version, variant
        self.born = born
        self.settled = False  # whether a reference was looked for elsewhere
        self.history = History()
        self._samples: list[Sample] = []  # finished references, each longer than the one before
        self._level: Level | None = None  # what the history's values are freed of
        self._warm_up: WarmUp | None = self._new_warm_up()
        self._due: tuple[int, Moments] | None = None  # the row that completed a long reference, the moments up to there
        self.watches = _watches(settings, subject, kind, version, variant, segment)
        self._since: int | None = None  # event time before which no value goes into the reference
        self._gone = Moments()  # the values that a rebaseline has discarded
        self._announced: dict[str, MonitorChange] = {}
        self._categories: dict[float, None] = {}  # by their codes, in the order in which they came
        self.overflow = 0  # sightings of categories for which there was no room

    def _new_warm_up(self) -> WarmUp:
        return WarmUp(self._settings.warm_up, self._settings.span, self.kind)

    @property
    def birth(self) -> tuple[int, str, Segment]:
        """By what series are put in order: the row of the first value, then the subject, then the segment."""
        return self.born, self.subject, self.segment or ("", "")

    @property
    def sample(self) -> Sample | None:
        """The newest finished reference."""
        return self._samples[-1] if self._samples else None

    def sample_before(self, row: int) -> Sample | None:
        """The newest reference that was complete before a row, however far this series has been fed since."""
        return next((each for each in reversed(self._samples) if each.at < row), None)

    def levels(self) -> Float64Array | None:
        """The reference's values as the history has them."""
        if not self._samples:
            return None
        sample = self._samples[-1]
        return sample.values if self._level is None else self._level.apply(sample.values, sample.timestamps)

    @property
    def inflation(self) -> float:
        """How many of its values count as one for their dependence, as far as is known."""
        found = (watch.calibration.inflation for watch in self.watches if watch.calibration is not None)
        return max(found, default=1.0)

    # Reference -----------------------------------------------------------------------------------------------------

    def adopt(self, sample: Sample, share: Share, row: int) -> None:
        """Take a reference from elsewhere; later values are compared with it. Where it is not enough for a detector,
        a reference of the series' own is waited for."""
        self._complete(sample, share, row)
        if all(watch.state in ("armed", "unarmed") for watch in self.watches):
            self._warm_up = self._due = None

    def arm_due(self, share: Share) -> int:
        """Arm by a long reference, where one is complete. How much work that was: its values, for each detector."""
        if self._due is None or self._warm_up is None:
            return 0
        row, healthy = self._due
        sample = self._warm_up.sample(row)
        work = len(sample.values) * sum(watch.state in ("warming", "uncalibrated") for watch in self.watches)
        self._due = None
        self._complete(sample, share, row, healthy)
        self._wait()
        return work

    def _complete(self, sample: Sample, share: Share, row: int, healthy: Moments | None = None) -> None:
        """A reference is there: arm what is not. `healthy` are the moments of the series when it was complete, where
        that was not just now."""
        armed = []
        for watch in self.watches:
            if watch.state in ("warming", "uncalibrated"):
                part, watch.provisional = share(watch, row)
                if watch.arm(sample, part):
                    armed.append(watch)
        if self._level is None:
            profiles = [watch.calibration.profile for watch in armed if watch.calibration is not None]
            self._level = next((level for level in map(level_of, profiles) if level is not None), None)
        self._samples.append(sample.held())
        values = sample.values if self._level is None else self._level.apply(sample.values, sample.timestamps)
        strays, anew = self._hold(values)
        begin = self.history.moments(self.history.count)
        if strays or sample.origin != "self" or self._level is not None:
            base = Moments.of(self.history.held(values), self.history.origin)
        else:
            base = (begin if healthy is None else healthy) - self._gone
        for watch in self.watches:
            if watch in armed:
                watch.begin(base, begin)
            elif anew:
                watch.resume(base, begin)

    def _hold(self, healthy: Float64Array) -> tuple[bool, bool]:
        """Have the history hold values within what healthy ones make plausible. Whether some so far were outside; and
        whether its sums had to begin anew for it."""
        limits = detectors.limits_of(healthy) if self.kind == "numeric" else None
        return self.history.strays(limits), limits is not None and self.history.hold(limits)

    def _wait(self) -> None:
        """After a reference of its own: wait for a longer one where that helps, and no detector has fired."""
        assert self._warm_up is not None
        needed = [watch.needed for watch in self.watches if watch.state == "uncalibrated" and watch.needed is not None]
        longest = min(LONGEST * self._settings.warm_up, MOST)
        least = max(min(needed, default=longest + 1), self._warm_up.seen * 5 // 4)
        self._warm_up.least = least
        if least > longest:
            self._warm_up = None

    def _skipped(self, lane: Lane) -> int:
        """How many values come before the time from which the reference is taken."""
        if self._since is None:
            return 0
        late = np.flatnonzero(lane.timestamps >= self._since)
        if not len(late):
            return len(lane)
        self._since = None
        return int(late[0])

    # Values --------------------------------------------------------------------------------------------------------

    def feed(self, lane: Lane, share: Share) -> list[Finding]:
        """Take the next values."""
        found: list[Finding] = []
        start = 0
        while start < len(lane):
            stop, row, skipped = len(lane), None, 0
            if self._warm_up is not None and self._due is None:
                skipped = self._skipped(lane.part(start, stop))
                rest = lane.part(start + skipped, stop)
                taken = self._warm_up.take(rest.values, rest.timestamps)
                if taken is not None:
                    stop = start + skipped + taken
                    row = int(lane.rows[stop - 1])
            found += self._look(lane.part(start, stop))
            if skipped:
                self._gone = self.history.moments(self.history.count - (stop - start) + skipped)
            collecting = self._warm_up is not None and self._due is None
            if self._samples and collecting and any(watch.fired for watch in self.watches):
                self._warm_up = row = None  # what comes now is not healthy for sure
            if row is not None and self._warm_up is not None:
                self._due = row, self.history.moments(self.history.count)
                if self._warm_up.kept <= AT_ONCE:
                    self.arm_due(share)
            start = stop
        return found

    def _look(self, lane: Lane) -> list[Finding]:
        values = lane.values if self._level is None else self._level.apply(lane.values, lane.timestamps)
        self.history.extend(replace(lane, values=values))
        found: list[tuple[int, int, Finding]] = []
        for number, watch in enumerate(self.watches):
            for event in watch.run(lane, self.history, self.levels, self.sample):
                drift = replace(event.drift, cause=self._cause(lane, event.index))
                found.append((event.index, number, Finding(int(lane.rows[event.index]), drift)))
        found.sort(key=lambda each: each[:2])
        return [finding for _, _, finding in found]

    def _cause(self, lane: Lane, index: int) -> Cause:
        labelled = bool(lane.labelled[index])
        topic = self._settings.labels_topic if labelled else self._settings.predictions_topic
        return Cause(topic, int(lane.partitions[index]), int(lane.offsets[index]))

    def settle(self, share: Share, row: int) -> None:
        """Give those that were armed early the share that they keep, once it is known."""
        for watch in self.watches:
            if watch.provisional and self.sample is not None:
                part, provisional = share(watch, row)
                if not provisional:
                    watch.settle(self.sample, part)

    def changes(self) -> list[MonitorChange]:
        """What has changed since last asked: the state of each detector."""
        made = []
        for watch in self.watches:
            origin = "self" if watch.origin is None and watch.state == "armed" else watch.origin
            if origin is None and self.sample is not None:
                origin = self.sample.origin
            change = MonitorChange(
                self._version, self._variant, self.subject, watch.use, watch.state, watch.reason, origin,
                watch.detectable, dict([self.segment] if self.segment else []),
            )  # fmt: skip
            if self._announced.get(watch.identity) != change:
                self._announced[watch.identity] = change
                made.append(change)
        return made

    def rebaseline(self, row: int, since: int | None) -> list[Finding]:
        """Start a new reference with the next value (not before event time `since`). The findings that end the alerts
        that fire."""
        self._since = since
        self._samples, self._level, self._warm_up, self._due = [], None, self._new_warm_up(), None
        self.history.forget()
        self._gone = self.history.moments(self.history.count)
        ended = [watch.rebaseline(self._gone) for watch in self.watches]
        return [Finding(row, drift) for drift in ended if drift is not None]

    def admit(self, categories: list[float]) -> list[float]:
        """The next distinct categories, in the order in which they come: those beyond the limit are `__other__`."""
        found = []
        for category in categories:
            if category in self._categories or len(self._categories) < self._settings.categories:
                self._categories[category] = None
                found.append(category)
            else:
                self.overflow += 1
                found.append(_OTHER_CODE)
        return found

    # State ---------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "subject": self.subject,
            "segment": self.segment,
            "kind": self.kind,
            "born": self.born,
            "settled": self.settled,
            "since": self._since,
            "gone": self._gone.tree(),
            "history": self.history.snapshot(),
            "samples": [sample.tree() for sample in self._samples],
            "level": None if self._level is None else self._level.tree(),
            "warm_up": None if self._warm_up is None else self._warm_up.snapshot(),
            "due": None if self._due is None else [self._due[0], self._due[1].tree()],
            "watches": {watch.identity: watch.snapshot() for watch in self.watches},
            "categories": np.array(list(self._categories), np.float64),
            "overflow": self.overflow,
            "announced": {name: asdict(change) for name, change in self._announced.items()},
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave. A watch that the state does not know starts against the reference."""
        tree = shaped(_State, tree)
        self.born, self.settled = tree["born"], tree["settled"]
        self._since = tree["since"]
        self._gone = Moments.of_tree(tree.get("gone", []))
        self.history.restore(tree["history"])
        self._samples = [sample_of(each) for each in tree["samples"]]
        self._level = None if tree["level"] is None else level_from(tree["level"])
        if "limits" not in tree["history"] and (levels := self.levels()) is not None:
            self._hold(levels)  # of a version that held nothing
        self._categories = dict.fromkeys(array(tree.get("categories", np.empty(0)), "<f8", None).tolist())
        self.overflow = tree.get("overflow", 0)
        self._warm_up = None
        if tree["warm_up"] is not None:
            self._warm_up = self._new_warm_up()
            self._warm_up.restore(tree["warm_up"])
        due = tree.get("due")
        self._due = None if due is None else (due[0], Moments.of_tree(due[1]))
        for watch in self.watches:
            if watch.identity in tree["watches"]:
                watch.restore(tree["watches"][watch.identity])
        known = {watch.identity for watch in self.watches}
        shaped(list[MonitorChange], list(tree["announced"].values()))
        self._announced = {name: MonitorChange(**each) for name, each in tree["announced"].items() if name in known}

    def arm(self, share: Share, row: int) -> None:
        """Arm what a changed configuration has added, against the reference."""
        if self.sample is not None and any(watch.state == "warming" for watch in self.watches):
            self._complete(replace(self.sample, origin="baseline"), share, row)


def _watches(
    settings: SeriesSettings,
    subject: str,
    kind: detectors.Kind,
    version: str | None,
    variant: str | None,
    segment: Segment | None,
) -> list[Watch]:
    """The detectors on a subject. On categories windowed_ks stands for chi_squared; where that is asked for too, it
    is there once."""
    found = [each for each in settings.watches if each.covers(subject, segment[0] if segment else None)]
    asked = {(each.on, each.use) for each in found}
    made = [Watch(each, subject, kind, version, variant, settings.recover_for, segment) for each in found]
    return [
        watch
        for each, watch in zip(found, made, strict=True)
        if watch.use == each.use or (each.on, watch.use) not in asked
    ]
