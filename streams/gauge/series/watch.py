"""One detector on one series: armed by a reference, gated by what matters, silent while its alert fires.

warming ──reference──► armed ──alarm that matters──► firing
   ▲        │            ▲                              │ back within min_effect for recover_for
   │        ▼            └──────────────────────────────┘
   │   uncalibrated / unarmed (reason)
   └── rebaseline, from any state
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import detectors
from streams.alerts import DriftFinding, Level
from streams.gauge.series.armed import FOR_CATEGORIES, MEANS, Armed, Terms
from streams.gauge.series.facts import Reference, State
from streams.gauge.series.history import History, Moments
from streams.gauge.series.lane import Lane
from streams.gauge.series.recovery import distance_is_calm, mean_is_calm, variation_is_calm
from streams.gauge.series.reference import Sample
from streams.gauge.series.settings import WatchSettings
from streams.records import Float64Array
from streams.state import shaped

CHECK_EVERY = 100
"""While an alert fires, its recovery is looked at every so many values."""
MOVED = 0.1
"""Where at least this share of the values since a change lies beyond what sums hold values within, the mean is told of
them as they came: they are no strays."""
LEAST_RECENT = 200
"""Values since the alarm that recovery is judged by, at least."""

Levels = Callable[[], Float64Array | None]
"""The reference's values as the history has them, without their season; None where there is no reference."""
Held = Callable[[Float64Array], Float64Array]
"""Values as the history's sums take them."""


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm that matters, or a recovery, at the value `index` of the lane in hand."""

    index: int
    drift: DriftFinding


class _State(TypedDict):
    state: State
    reason: str | None
    origin: Reference | None
    place: int | None
    provisional: bool
    needed: int | None
    fired: bool
    armed: Any
    moments: tuple[Any, Any]
    before: Any
    fired_at: int
    calm_since: int | None


class Watch:
    """A detector of the catalogue on a series. `place` is its place in the division of the model's budget."""

    def __init__(
        self,
        settings: WatchSettings,
        subject: str,
        kind: detectors.Kind,
        version: str | None,
        variant: str | None,
        recover_for: int,
        segment: tuple[str, str] | None = None,
    ) -> None:
        self._segment = dict([segment] if segment else [])
        self._settings = settings
        self._recover_for = recover_for
        self._subject = subject
        self._family = subject.partition(".")[0]
        self._kind: detectors.Kind = kind
        self._version, self._variant = version, variant
        self.use = "chi_squared" if settings.use == "windowed_ks" and kind == "categories" else settings.use
        self.state: State = "warming"
        self.reason: str | None = None
        self.origin: Reference | None = None
        self.place: int | None = None
        self.provisional = False  # armed before it was known among how many the budget is shared
        self.needed: int | None = None  # values of a reference that would do, where the last one was too short
        self.fired = False  # whether it ever did, against this reference
        self._armed: Armed | None = None
        self._base = Moments()  # healthy values before `_begin`
        self._begin = Moments()  # the series when this watch began to look
        self._before: Moments | None = None  # of the alert that fires
        self._fired_at = 0  # values of the series at that alarm
        self._calm_since: int | None = None
        impossible = self._impossible()
        if impossible:
            self.state, self.reason = "unarmed", impossible
        elif self._settings.own and not self._settings.refers:
            self._arm_own(None)

    def _impossible(self) -> str | None:
        if self._kind == "categories" and self.use not in FOR_CATEGORIES:
            return f"{self.use} is for numbers; the values are categories"
        if self._kind != "categories" and self.use == "chi_squared":
            return "chi_squared is for categories; the values are numbers"
        return None

    @property
    def rule(self) -> str:
        """The alert's rule."""
        return f"{self._settings.on}/{self.use}"

    @property
    def identity(self) -> str:
        """What a state must have been made for, to be taken over after the configuration has changed."""
        s = self._settings
        own = sorted((s.params or {}).items())
        return f"{self.rule} {own} {s.min_effect} {s.direction}"

    @property
    def shares(self) -> bool:
        """Whether it takes a share of the budget. Of what is known from birth alone: how far others have come at some
        row is not the same for every cut of the log."""
        return not self._settings.own and self._impossible() is None

    @property
    def firing(self) -> bool:
        """Whether its alert fires."""
        return self._before is not None

    @property
    def alert(self) -> DriftFinding:
        """What identifies its alert."""
        return self._finding("fired")

    @property
    def calibration(self) -> detectors.Calibration | None:
        """What is promised of it, once it is armed."""
        return None if self._armed is None else self._armed.calibration

    @property
    def detectable(self) -> dict[str, float] | None:
        """The change that it finds, and in how many values."""
        found = self.calibration
        return None if found is None else {"shift": found.shift, "within": float(found.within)}

    @property
    def _mode(self) -> detectors.Direction:
        return self._settings.direction or ("up" if self._family in ("error", "missing") else "both")

    @property
    def _min_effect(self) -> float:
        if self._settings.min_effect is not None:
            return self._settings.min_effect
        if self.use in MEANS:
            return 0.05 if self._kind == "binary" else 0.25
        return 0.05 if self._kind == "categories" else 0.1

    def arm(self, sample: Sample, share: float) -> bool:
        """Take a reference, and `share` of the budget. Whether it looks from now on."""
        self.origin = sample.origin
        if self._settings.own:
            self._arm_own(sample.held().values)
        else:
            self._calibrate(sample, share)
        return self.state == "armed"

    def begin(self, base: Moments, begin: Moments) -> None:
        """`begin` are the moments of the series so far, `base` those of the healthy values before it."""
        self._base, self._begin = base, begin

    def resume(self, base: Moments, begin: Moments) -> None:
        """As `begin`, in the midst of looking."""
        self.begin(base, begin)
        if self.firing:
            self._before = base

    def _arm_own(self, values: Float64Array | None) -> None:
        try:
            self._armed = Armed.own(self.use, dict(self._settings.params or {}), values)
        except (detectors.ParameterError, ArithmeticError) as problem:
            self.state, self.reason = "unarmed", str(problem)
            return
        self.state = "armed"

    def _calibrate(self, sample: Sample, share: float) -> None:
        window = (self._settings.params or {}).get("window")
        terms = Terms(self._kind, share, self._settings.min_effect, self._mode, window)
        try:
            self._armed = Armed.calibrated(self.use, sample, terms)
        except detectors.Uncalibrated as problem:
            self.state, self.reason, self.needed, self._armed = "uncalibrated", str(problem), problem.needed, None
        except detectors.ParameterError as problem:
            self.state, self.reason, self._armed = "unarmed", str(problem), None
        except ArithmeticError as problem:  # of a detector that is being built; one series stops no other
            self.state, self.reason, self.needed, self._armed = "uncalibrated", str(problem), None, None
        else:
            self.state, self.reason, self.needed = "armed", None, None

    def settle(self, sample: Sample, share: float) -> None:
        """Take the share that it keeps, now that it is known among how many the budget is shared."""
        self.provisional = False
        if self.state == "armed" and not self.firing:
            self._calibrate(sample, share)

    def run(self, lane: Lane, history: History, levels: Levels, sample: Sample | None) -> list[Event]:
        """Look at the values of the lane in hand, which `history` has taken over. `sample` is what the series has
        kept of its reference."""
        if self._armed is None:
            return []
        events: list[Event] = []
        first = history.count - len(lane)
        inputs = self._armed.inputs(lane.values, lane.timestamps)
        at = 0
        while at < len(lane):
            if self.firing:
                back = self._back_at(at, first, len(lane), history, levels)
                if back is None:
                    break
                self._restart(history.moments(first + back + 1), sample)
                events.append(Event(back, self._finding("recovered")))
                at = back + 1
                continue
            alarm = self._armed.feed(inputs[at:])
            if alarm < 0:
                break
            at += alarm
            found = self._judge(first + at + 1, history, levels)
            if found is not None:
                events.append(Event(at, found))
            elif not self._settings.own:
                self._armed.afresh(sample)  # insignificant: on, against the same reference
            at += 1
        return events

    def _is_small(self, recent: Float64Array, levels: Levels) -> bool:
        """Whether the values since a change are closer to the reference than what matters, where that was said to a
        detector that cannot tell: as a distance of distribution functions."""
        least = self._settings.min_effect
        if least is None or self.use in MEANS or self._settings.own or detectors.knows_effect(self.use):
            return False
        reference = levels()
        return reference is not None and detectors.ks_distance(recent, reference) < least

    def _judge(self, count: int, history: History, levels: Levels) -> DriftFinding | None:
        """The finding of an alarm at the `count`-th value; None where it does not matter."""
        assert self._armed is not None
        change, change_at = history.change(self._armed.since, self._begin, self._base, count)
        before, after = self._base + (change - self._begin), history.moments(count) - change
        rise = after.rise(before)
        if self._kind != "categories" and self._mode != "both" and (rise > 0) != (self._mode == "up"):
            return None
        if self.use in MEANS and abs(rise) < self._least(before):
            return None
        if self._is_small(history.recent(count)[-after.count :], levels):
            return None
        self._before, self._fired_at, self._calm_since, self.fired = before, count, None, True
        numeric = self._kind != "categories"
        return self._finding(
            "fired",
            statistic=self._armed.statistic,
            threshold=self._armed.threshold,
            before=Level(before.mean if numeric else None, before.count),
            after=Level(self._told(after, history, count) if numeric else None, after.count),
            direction=("up" if rise > 0 else "down") if numeric else None,
            change_at=change_at,
            observations_since_change=after.count,
        )

    def _told(self, after: Moments, history: History, count: int) -> float:
        """The mean since a change. Sums hold values within what is plausible before it."""
        recent = history.recent(count)[-after.count :] if after.count else history.recent(count)[:0]
        moved = len(recent) > 0 and history.beyond(recent) >= MOVED * len(recent)
        return float(recent.mean()) if moved else after.mean

    def _finding(self, kind: Literal["fired", "recovered", "rebaselined"], **more: Any) -> DriftFinding:
        found = self.calibration
        return DriftFinding(
            kind=kind,
            version=self._version,
            variant=self._variant,
            subject=self._subject,
            rule=self.rule,
            detector=self.use,
            params={} if self._armed is None else self._armed.params,
            severity=self._settings.severity,
            segment=self._segment,
            calibration=None if found is None else {"method": found.method, "expected_per_30d": found.expected_per_30d},
            **more,
        )

    def _back_at(self, at: int, first: int, length: int, history: History, levels: Levels) -> int | None:
        """The first check from `at` on by which the series has been back for long enough; None where none is."""
        for index in range(at + (-(first + at + 1)) % CHECK_EVERY, length, CHECK_EVERY):
            count = first + index + 1
            now = history.latest_at(count)
            recent = history.recent(count)[-(count - self._fired_at) :]  # what was before the alarm is no recovery
            if len(recent) < LEAST_RECENT:
                continue
            if not self._calm(recent, history.held, levels):
                self._calm_since = None
            elif self._calm_since is None:
                self._calm_since = now
            if self._calm_since is not None and now - self._calm_since >= self._recover_for:
                return index
        return None

    def _calm(self, recent: Float64Array, held: Held, levels: Levels) -> bool:
        assert self._before is not None
        reference = None if self.use in MEANS else levels()
        if reference is None:
            return mean_is_calm(held(recent), self._before.mean, self._least(self._before), self._mode)
        calm = variation_is_calm if self._kind == "categories" else distance_is_calm
        return calm(recent, reference, self._min_effect)

    def _least(self, before: Moments) -> float:
        """The least change of a mean that matters, in the units of the values."""
        return self._min_effect * (1.0 if self._kind == "binary" else before.deviation)

    def _restart(self, now: Moments, sample: Sample | None) -> None:
        assert self._armed is not None and self._before is not None
        self._base, self._begin = self._before, now
        self._before = self._calm_since = None
        self._armed.afresh(sample)

    def rebaseline(self, now: Moments) -> DriftFinding | None:
        """Forget the reference, and the values so far, of which `now` are the moments. The finding that ends the alert,
        where one fires."""
        ended = self._finding("rebaselined") if self.firing else None
        self._before = self._calm_since = self.needed = None
        self.fired = self.provisional = False
        if self.state != "unarmed" and not (self._settings.own and not self._settings.refers):
            self.state, self.reason, self.origin, self._armed = "warming", None, None, None
        elif self._armed is not None:
            self.begin(Moments(), now)
            self._armed.afresh(None)
        return ended

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return {
            "state": self.state,
            "reason": self.reason,
            "origin": self.origin,
            "place": self.place,
            "provisional": self.provisional,
            "needed": self.needed,
            "fired": self.fired,
            "armed": None if self._armed is None else self._armed.tree(),
            "moments": [self._base.tree(), self._begin.tree()],
            "before": None if self._before is None else self._before.tree(),
            "fired_at": self._fired_at,
            "calm_since": self._calm_since,
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        tree = shaped(_State, tree)
        for name in ("state", "reason", "origin", "place", "provisional", "needed", "fired"):
            setattr(self, name, tree[name])
        self._armed = None if tree["armed"] is None else Armed.of(self.use, tree["armed"])
        self._base, self._begin = (Moments.of_tree(each) for each in tree["moments"])
        self._before = None if tree["before"] is None else Moments.of_tree(tree["before"])
        self._fired_at, self._calm_since = tree["fired_at"], tree["calm_since"]
