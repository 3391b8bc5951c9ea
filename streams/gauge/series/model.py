"""All series of one model: rows in, findings out. Any cut of the rows into batches gives the same findings."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import replace
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

import detectors
from streams.alerts import DriftFinding
from streams.gauge.series import lanes
from streams.gauge.series.columns import groups
from streams.gauge.series.facts import Finding, MonitorChange, finding_of, finding_tree
from streams.gauge.series.group import Feed, Group
from streams.gauge.series.lane import Lane
from streams.gauge.series.reference import Sample, baseline_of
from streams.gauge.series.series import OTHER, Series
from streams.gauge.series.settings import SeriesSettings
from streams.gauge.series.suspects import suspects
from streams.gauge.series.watch import Watch
from streams.outcomes import Rows
from streams.records import Int64Array
from streams.state import Count, shaped

Task = Literal["binary", "multiclass", "regression"]
UNBOUNDED = 2**62
MOST_BASELINES = 100
MOST_NUMBERS = 1_000_000
"""Of versions to come; the newest baseline is kept whatever it holds."""


class _State(TypedDict):
    task: Task | None
    rows: Count
    places: Count
    free: NotRequired[list[int]]
    gone: NotRequired[Count]
    groups: list[Any]
    baselines: dict[str, dict[str, Any]]
    late: list[dict[str, Any]]


class ModelSeries:
    """The series of one model.

    Series are numbered by the row of their first value, counted from the model's first row, and looked at in that
    order. Errors are looked at first, so that an alarm's suspects are asked for when each feature has been fed up to
    the alarm's row, and not beyond.
    """

    def __init__(self, model: str, settings: SeriesSettings) -> None:
        self.model = model
        self._settings = settings
        self._task: Task | None = None
        self._groups: dict[tuple[str | None, str | None], Group] = {}
        self._rows = 0  # rows of the model so far
        self._late: list[Finding] = []  # of outcomes that waited, told before anything else is
        self._places = 0  # in the division of the budget, that have been given away
        self._free: set[int] = set()  # those of them whose versions have been forgotten
        self._gone = 0  # those of them that counted among the first known
        self._baselines: dict[str, Mapping[str, Any]] = {}
        self.worked = 0
        """What arming took at the last tick: values of references, for each detector."""

    # What comes in -------------------------------------------------------------------------------------------------

    def decide(self, task: Task) -> None:
        """Settle what kind of task this is; the outcomes that waited for it are looked at now. What they lead to is
        told with the next row, or at the next tick, whichever comes first: what follows from later rows, a recovery
        perhaps, must not be told before it. Where it was another kind before, its errors are forgotten."""
        if self._task not in (None, task):
            for group in self._groups.values():
                group.has_errors = False
                group.forget(lanes.ERRORS)
        self._task = task
        for group in self._groups.values():
            for feed in group.waiting:
                lanes.open_errors(group, self._settings, feed, task == "regression")
        self._settle(list(self._groups.values()))
        found: list[Finding] = []
        for group in self._groups.values():
            waited, group.waiting = group.waiting, []
            for feed in waited:
                found += self._feed_errors(group, feed)
        found.sort(key=_place)
        self._late += [replace(each, row=-1) for each in found]

    def apply(self, rows: Rows, join_task: int | Int64Array) -> list[Finding]:
        """Fold the model's rows, which are in log order, of one join task or each of its own. The findings, by row."""
        tasks = np.broadcast_to(np.asarray(join_task, np.int64), len(rows))
        waited, first = self.late(), self._rows
        self._rows += len(rows)
        parts: dict[int, tuple[Group, list[Int64Array]]] = {}
        for version, variant, places in groups(rows):
            group = self._admit(rows.text(version), rows.text(variant), first + int(places[0]))
            parts.setdefault(group.born, (group, []))[1].append(places)
        work: list[tuple[Group, list[tuple[Series, Lane]], Feed | None]] = []
        # whoever is born in these rows must be known before anything in them is decided; then, the oldest first
        for _, (group, several) in sorted(parts.items()):
            places = several[0] if len(several) == 1 else np.sort(np.concatenate(several))
            fed = lanes.predicted(group, self._settings, rows, places, first, tasks)
            feed = lanes.outcomes(self._settings, rows, places, first, tasks)
            if feed is not None and self._task is not None:
                lanes.open_errors(group, self._settings, feed, self._task == "regression")
            work.append((group, fed, feed))
        self._settle([group for group, _, _ in work])
        found: list[Finding] = []
        for group, fed, feed in work:
            found += self._run(group, fed, feed)
        found.sort(key=_place)
        return [*(replace(each, row=0) for each in waited), *(replace(each, row=each.row - first) for each in found)]

    def late(self) -> list[Finding]:
        """What is still to be told of outcomes that waited; it is told now."""
        found, self._late = self._late, []
        return found

    def _run(self, group: Group, fed: list[tuple[Series, Lane]], feed: Feed | None) -> list[Finding]:
        errors: list[Finding] = []
        if feed is not None:
            if self._task is None:
                group.waiting.append(feed)
            else:
                errors = self._feed_errors(group, feed)
        errors.sort(key=lambda each: each.row)
        done = [0] * len(fed)
        found: list[Finding] = []
        for error in errors:
            if error.drift.kind == "fired":
                for k, (series, lane) in enumerate(fed):
                    upto = lane.upto(error.row)
                    found += self._feed(group, series, lane.part(done[k], upto))
                    done[k] = max(done[k], upto)
                error = replace(error, drift=replace(error.drift, suspects=suspects(group.features())))
            found.append(error)
        for k, (series, lane) in enumerate(fed):
            found += self._feed(group, series, lane.part(done[k], len(lane)))
        return found

    def tick(self, clock: int, watermark: int | None, work: int = UNBOUNDED) -> list[Finding | MonitorChange]:
        """What became of the detectors since the last tick. Recoveries are not here: they are decided at rows, by event
        time. Detectors that wait to be armed by long references are, until it has been `work` or a little more."""
        told: list[Finding | MonitorChange] = [*self.late()]
        self.worked = 0
        for group in self._groups.values():
            for series in group.series():
                if self.worked < work:
                    self.worked += series.arm_due(self._share)
                series.settle(self._share, self._rows)
                told += series.changes()
        return told

    # Series and their references -----------------------------------------------------------------------------------

    def _admit(self, version: str | None, variant: str | None, row: int) -> Group:
        """The group of a version and variant; beyond the limit versions share one."""
        known = {each for each, _ in self._groups}
        if version is not None and version not in known and len(known - {None, OTHER}) >= self._settings.versions:
            version = OTHER
        group = self._groups.get((version, variant))
        if group is None:
            group = self._groups[version, variant] = Group(version, variant, row)
        return group

    def _feed(self, group: Group, series: Series, lane: Lane) -> list[Finding]:
        if len(lane) and not series.settled:
            series.settled = True
            sample = self._reference(group, series, int(lane.rows[0]))
            if sample is not None:
                series.adopt(sample, self._share, int(lane.rows[0]))
        return series.feed(lane, self._share)

    def _reference(self, group: Group, series: Series, row: int) -> Sample | None:
        """A baseline, else the reference of the newest other version (of the same variant, if there is one)."""
        profile = self._baselines.get(group.version or "", {}).get(series.subject)
        if profile is not None and series.segment is None:
            return baseline_of(profile, series.kind, row)
        # only those older than this one: they have been fed up to this row
        others = [each for each in self._groups.values() if each.version != group.version and each.born < group.born][
            ::-1
        ]
        others.sort(key=lambda each: each.variant != group.variant)
        for other in others:
            older = other.find(series.subject, series.segment)
            sample = None if older is None or older.kind != series.kind else older.sample_before(row)
            if sample is not None:
                return replace(sample, origin="previous_version", at=row)
        return None

    # Budget --------------------------------------------------------------------------------------------------------

    def _place(self, count: int) -> int:
        """The first of so many places in a row in the division of the budget: those that are free again, or new."""
        for place in sorted(self._free):
            run = set(range(place, place + count))
            if run <= self._free:
                self._free -= run
                return place
        self._places += count
        return self._places - count

    def forget(self, version: str) -> None:
        """A version has left: its series go, and their places in the division of the budget are free again."""
        self._baselines.pop(version, None)
        self._late = [each for each in self._late if each.drift.version != version]
        for key, group in list(self._groups.items()):
            if group.version == version:
                self._gone += self._first_known(group, self._settings.warm_up - 1)
                held = range(group.place or 0, (group.place or 0) + group.held)
                taken = (watch.place for series in group.series() for watch in series.watches)
                self._free |= {*held, *(place for place in taken if place is not None)}
                del self._groups[key]

    def _settle(self, groups: list[Group]) -> None:
        """Give places to the detectors that were born in these rows, in the order of their births."""
        newborn: list[tuple[tuple[int, str, tuple[str, str]], Group, Series | None]] = []
        for group in groups:
            if group.place is None:
                newborn.append(((group.born, "", ("", "")), group, None))
            newborn += [(series.birth, group, series) for series in group.newborn]
            group.newborn.clear()
        for _, group, series in sorted(newborn, key=lambda each: each[0]):
            if series is None:  # labels come later, but their detectors will want their shares
                group.held = sum(
                    each.on in lanes.ERRORS and each.segment is None and not each.own for each in self._settings.watches
                )
                group.place = self._place(group.held)
                continue
            free = iter(group.free_places() if _held(series) else ())
            for watch in series.watches:
                if watch.shares and watch.place is None:
                    place = next(free, None)
                    watch.place = self._place(1) if place is None else place

    def _share(self, watch: Watch, row: int) -> tuple[float, bool]:
        """What a detector may take of the budget at a row, and whether that is provisional: shares are even among
        those that are born before the first reference can be complete, and later ones take from what was held back.
        So what is armed by then keeps its threshold for good."""
        if watch.place is None:
            return 0.0, False
        earliest = self._settings.warm_up - 1  # row at which a reference can be complete
        last = min(row, earliest)
        known = self._gone + sum(self._first_known(group, last) for group in self._groups.values())
        return self._settings.budget * detectors.share(watch.place, max(known, 1)), row < earliest

    @staticmethod
    def _first_known(group: Group, last: int) -> int:
        """The places of a group's detectors that were known by the row `last`."""
        if group.born > last:
            return 0
        return group.held + sum(
            sum(each.place is not None for each in series.watches)
            for series in group.series()
            if series.born <= last and not _held(series)
        )

    def _feed_errors(self, group: Group, feed: Feed) -> list[Finding]:
        error = np.abs(feed.residual) if self._task == "regression" else feed.wrong
        found: list[Finding] = []
        for subject, values in (("error", error), ("residual", feed.residual)):
            series = group.find(subject, None)
            if series is not None:
                found += self._feed(group, series, feed.lane(values))
            for segment, mine in feed.parts():
                series = group.find(subject, segment)
                if series is not None:
                    found += self._feed(group, series, feed.lane(values, mine))
        return found

    # Control -------------------------------------------------------------------------------------------------------

    def baseline(self, version: str, profile: Mapping[str, Any]) -> None:
        """A baseline was published: {subject: {"values": […]} or {"counts": {category: n}}, with "rate" (values a
        second) where it is known}. Series of that version that have not finished their own reference take it."""
        self._baselines.pop(version, None)
        self._baselines[version] = profile
        self._bound_baselines()
        for group in self._groups.values():
            if group.version == version:
                for series in group.series():
                    if series.sample is None and series.segment is None and series.subject in profile:
                        sample = baseline_of(profile[series.subject], series.kind, self._rows)
                        if sample is not None:
                            series.adopt(sample, self._share, self._rows)

    def withdraw_baseline(self, version: str) -> None:
        """A baseline was deleted: series that have taken it keep it, none takes it from now on."""
        self._baselines.pop(version, None)

    def _bound_baselines(self) -> None:
        """Of versions that have not been seen yet, the newest baselines are kept."""
        seen = {group.version for group in self._groups.values()}
        waiting = [version for version in self._baselines if version not in seen]
        numbers = 0
        for place, version in enumerate(reversed(waiting)):
            numbers += sum(_numbers(each) for each in self._baselines[version].values())
            if place >= MOST_BASELINES or (place and numbers > MOST_NUMBERS):
                del self._baselines[version]

    def rebaseline(self, version: str | None, subject: str | None = None, since: int | None = None) -> list[Finding]:
        """Start new references with the next values, of one subject, a family of them, or all. With `since`, values
        are waited for whose event time is not before it. The findings that end what fires have row -1."""
        found: list[Finding] = []
        for group in self._groups.values():
            if group.version == version:
                for series in group.series():
                    if subject in (None, series.subject, series.subject.partition(".")[0]):
                        found += series.rebaseline(-1, since)
        return found

    def firing(self) -> list[DriftFinding]:
        """What fires now, by what identifies it."""
        watches = (watch for group in self._groups.values() for series in group.series() for watch in series.watches)
        return [watch.alert for watch in watches if watch.firing]

    def overflow(self) -> dict[str, int]:
        """What went beyond a limit so far, by the limit's name: sightings that were put elsewhere."""
        return {
            "features": sum(group.overflow for group in self._groups.values()),
            "categories": sum(series.overflow for group in self._groups.values() for series in group.series()),
        }

    # State ---------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "task": self._task,
            "rows": self._rows,
            "places": self._places,
            "free": sorted(self._free),
            "gone": self._gone,
            "groups": [group.snapshot() for group in self._groups.values()],
            "baselines": {version: dict(profile) for version, profile in self._baselines.items()},
            "late": [finding_tree(each) for each in self._late],
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        tree = shaped(_State, tree)
        self._task, self._rows, self._places = tree["task"], tree["rows"], tree["places"]
        self._free, self._gone = set(tree.get("free", ())), tree.get("gone", 0)
        self._baselines = dict(tree["baselines"])
        self._late = [finding_of(each) for each in tree["late"]]
        for each in tree["groups"]:
            group = Group.restored(each, self._settings)
            self._groups[group.version, group.variant] = group
        self._settle(list(self._groups.values()))
        for group in self._groups.values():
            for series in group.series():
                series.arm(self._share, self._rows)


def _numbers(profile: Mapping[str, Any]) -> int:
    """How many numbers of one subject are held."""
    return sum(len(value) for value in profile.values() if isinstance(value, Sized))


def _held(series: Series) -> bool:
    """Whether places are held for its detectors from its group's birth on."""
    return series.segment is None and series.subject in lanes.ERRORS


def _place(finding: Finding) -> tuple[int, str, str, list[tuple[str, str]]]:
    drift = finding.drift
    return finding.row, drift.subject, drift.rule, sorted(drift.segment.items())
