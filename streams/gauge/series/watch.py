"""One detector on one series: armed by a reference, gated by what matters, silent while its alert fires.

warming ──reference──► armed ──alarm that matters──► firing
   ▲        │            ▲                              │ back within min_effect for recover_for
   │        ▼            └──────────────────────────────┘
   │   uncalibrated / unarmed (reason)
   └── rebaseline, from any state
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

import detectors
from streams.alerts import DriftFinding, Level
from streams.gauge.series.facts import State
from streams.gauge.series.history import History, Moments
from streams.gauge.series.recovery import distance_is_calm, mean_is_calm, variation_is_calm
from streams.gauge.series.reference import Sample
from streams.gauge.series.settings import WatchSettings
from streams.records import Float64Array

CHECK_EVERY = 100
"""While an alert fires, its recovery is looked at every so many values."""
LONGEST = 10
"""A reference of 0/1 values is made this many times longer at most, where its mean is not known well enough."""


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm that matters, or a recovery, at the value `index` of the lane in hand."""

    index: int
    drift: DriftFinding


class Watch:
    """A detector of the catalogue on a series."""

    def __init__(
        self,
        settings: WatchSettings,
        subject: str,
        kind: detectors.Kind,
        version: str | None,
        variant: str | None,
        recover_for: int,
    ) -> None:
        self._settings = settings
        self._recover_for = recover_for
        self._subject = subject
        self._family = subject.partition(".")[0]
        self._kind: detectors.Kind = kind
        self._version, self._variant = version, variant
        self.use = "chi_squared" if settings.use == "windowed_ks" and kind == "categories" else settings.use
        self.state: State = "warming"
        self.reason: str | None = None
        self._detector: detectors.Detector | None = None
        self._params: dict[str, Any] = dict(settings.params or {})
        self._calibration: detectors.Calibration | None = None
        self._scale = 1.0
        self._base = Moments()  # healthy values before `_begin`
        self._begin = Moments()  # the series when this watch began to look
        self._before: Moments | None = None  # of the alert that fires
        self._calm_since: int | None = None
        self.retry_at: int | None = None  # values of the series at which a longer reference may do
        self.first_fired: int | None = None  # values of the series at the first alarm
        self._extended: tuple[int, int] | None = None  # (values, ones) of a longer reference
        if self._impossible():
            self.state, self.reason = "unarmed", self._impossible()
        elif self.own and not self.refers:
            self._detector = detectors.build(self.use, **self._params)
            self.state = "armed"

    def _impossible(self) -> str | None:
        if self._kind == "categories" and self.use in ("adwin", "page_hinkley"):
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
    def refers(self) -> bool:
        """Whether the detector compares with the reference's values themselves."""
        return self.use in ("windowed_ks", "chi_squared")

    @property
    def own(self) -> bool:
        """Whether it has its own threshold, and takes no part of the budget."""
        params = self._settings.params
        return params is not None and (not self.refers or params.get("threshold") is not None)

    @property
    def shares(self) -> int:
        """Shares of the budget it takes. Of what is known from birth alone: how far others have come at some row
        is not the same for every cut of the log."""
        return 0 if self.own or self._impossible() else 1

    @property
    def firing(self) -> bool:
        """Whether its alert fires."""
        return self._before is not None

    @property
    def detectable(self) -> dict[str, float] | None:
        """The change that it finds, and in how many values."""
        found = self._calibration
        return None if found is None else {"shift": found.shift, "within": float(found.within)}

    @property
    def _mode(self) -> Literal["up", "down", "both"]:
        return self._settings.direction or (
            "up" if self._subject == "error" or self._subject.startswith("missing.") else "both"
        )

    @property
    def _min_effect(self) -> float:
        default = {"windowed_ks": 0.1, "chi_squared": 0.05}.get(self.use, 0.05 if self._kind == "binary" else 0.25)
        return default if self._settings.min_effect is None else self._settings.min_effect

    def arm(self, sample: Sample, shares: int, budget: float, begin: Moments) -> None:
        """Start looking, against the reference. `begin` are the moments of the series so far."""
        if self.state != "warming":
            return
        try:
            if not self.own:
                self._calibration = self._calibrate(sample, shares, budget)
                self._params = dict(self._calibration.params)
            self._build(sample.values)
        except detectors.Uncalibrated as problem:
            self.state, self.reason = "uncalibrated", str(problem)
            if self._kind == "binary" and sample.origin == "self" and problem.needed is not None:
                self.retry_at = max(problem.needed, begin.count + 1)
            return
        except detectors.ParameterError as problem:
            self.state, self.reason = "unarmed", str(problem)
            return
        assert self._detector is not None
        self.state = "armed"
        if not self.own:
            self._detector.prime(sample.values * self._scale)
        self._base, self._begin = (begin if sample.origin == "self" else sample.moments), begin

    def _calibrate(self, sample: Sample, shares: int, budget: float) -> detectors.Calibration:
        effect = self._min_effect
        if self.use == "page_hinkley" and self._kind != "binary":
            effect *= float(sample.values.std())
        return detectors.calibrate(
            self.use, sample.values, rate=sample.rate, false_alarms=budget, series=max(1, shares), kind=self._kind,
            min_effect=effect, direction=self._mode, lag_one=sample.lag_one,
            window=int((self._settings.params or {}).get("window", 500)),
        )  # fmt: skip

    def retune(self, sample: Sample, shares: int, budget: float) -> None:
        """Go on with a threshold for a smaller share of the budget, now that more is watched."""
        if self.own or self.state != "armed":
            return
        assert self._detector is not None
        try:
            self._calibration = self._calibrate(self._longer(sample), shares, budget)
        except detectors.Uncalibrated as problem:  # too much is watched for so small a reference
            if not self.firing:
                self.state, self.reason, self._calibration = "uncalibrated", str(problem), None
            return
        self._params = dict(self._calibration.params)
        self._detector = self._detector.retuned(**self._params)

    def _longer(self, sample: Sample) -> Sample:
        """The sample, or what took its place where its mean was not known well enough."""
        if self._extended is None:
            return sample
        count, ones = self._extended
        lag_one = detectors.lag_one_autocorrelation(sample.values) if sample.lag_one is None else sample.lag_one
        return replace(sample, values=np.repeat([0.0, 1.0], [count - ones, ones]), lag_one=lag_one)

    def retry(self, sample: Sample, shares: int, budget: float, begin: Moments) -> None:
        """Arm with all values so far for a reference, where the first were too few to know their mean well enough."""
        self.retry_at = None
        if begin.count > LONGEST * len(sample.values):
            return
        self.state, self.reason = "warming", None
        self._extended = (begin.count, round(begin.total))
        self.arm(self._longer(sample), shares, budget, begin)

    def _build(self, values: Float64Array) -> None:
        params = {key: value for key, value in self._params.items() if value is not None}
        if self.use == "adwin" and not self.own and self._kind != "binary":
            # ADWIN's bound is for values of a range of 1
            self._scale = 1.0 / max(float(np.ptp(values)), 1e-300)
        self._detector = detectors.build(self.use, **(params | {"reference": values} if self.refers else params))

    def run(self, values: Float64Array, start: int, history: History, sample: Sample | None) -> list[Event]:
        """Look at the values from `start` of the lane in hand, which `history` has taken over."""
        if self.state != "armed":
            return []
        assert self._detector is not None
        events: list[Event] = []
        first = history.count - len(values)
        scaled = values if self._scale == 1.0 else values * self._scale
        at = start
        while at < len(values):
            if self.firing:
                back = self._back_at(at, first, len(values), history, sample)
                if back is None:
                    break
                self._restart(history.moments(first + back + 1), sample)
                events.append(Event(back, self._finding("recovered")))
                at = back + 1
                continue
            alarm = self._detector.feed(scaled[at:])
            if alarm < 0:
                break
            at += alarm
            found = self._judge(first + at + 1, history)
            if found is not None:
                events.append(Event(at, found))
            elif not self.own and sample is not None:
                self._detector.prime(sample.values * self._scale)  # insignificant: on, against the same reference
            at += 1
        return events

    def _judge(self, count: int, history: History) -> DriftFinding | None:
        """The finding of an alarm at the `count`-th value; None where it does not matter."""
        assert self._detector is not None
        since = None if self.use in ("adwin", "page_hinkley") else self._detector.since_change
        change, change_at = history.change(since, self._begin, self._base, count)
        before, after = self._base + (change - self._begin), history.moments(count) - change
        rise = after.mean - before.mean
        if self._kind != "categories" and self._mode != "both" and (rise > 0) != (self._mode == "up"):
            return None
        if not self.refers and abs(rise) < self._least(before):
            return None
        self._before, self._calm_since = before, None
        if self.first_fired is None:
            self.first_fired = count
        numeric = self._kind != "categories"
        return self._finding(
            "fired",
            statistic=self._detector.statistic / self._scale,
            threshold=self._detector.threshold / self._scale,
            before=Level(before.mean if numeric else None, before.count),
            after=Level(after.mean if numeric else None, after.count),
            direction=("up" if rise > 0 else "down") if numeric else None,
            change_at=change_at,
            observations_since_change=after.count,
        )

    def _finding(self, kind: Literal["fired", "recovered", "rebaselined"], **more: Any) -> DriftFinding:
        found = self._calibration
        return DriftFinding(
            kind=kind,
            version=self._version,
            variant=self._variant,
            subject=self._subject,
            rule=self.rule,
            detector=self.use,
            params=self._params,
            severity=self._settings.severity,
            calibration=None if found is None else {"method": found.method, "expected_per_30d": found.expected_per_30d},
            **more,
        )

    def _back_at(self, at: int, first: int, length: int, history: History, sample: Sample | None) -> int | None:
        """The first check from `at` on by which the series has been back for long enough; None where none is."""
        for index in range(at + (-(first + at + 1)) % CHECK_EVERY, length, CHECK_EVERY):
            count = first + index + 1
            now = history.latest_at(count)
            if not self._calm(history.recent(count), sample):
                self._calm_since = None
            elif self._calm_since is None:
                self._calm_since = now
            if self._calm_since is not None and now - self._calm_since >= self._recover_for:
                return index
        return None

    def _calm(self, recent: Float64Array, sample: Sample | None) -> bool:
        assert self._before is not None
        if sample is not None and self.use == "windowed_ks":
            return distance_is_calm(recent, sample.values, self._min_effect)
        if sample is not None and self.use == "chi_squared":
            return variation_is_calm(recent, sample.values, self._min_effect)
        return mean_is_calm(recent, self._before.mean, self._least(self._before), self._mode)

    def _least(self, before: Moments) -> float:
        """The least change of a mean that matters, in the units of the values."""
        return self._min_effect * (1.0 if self._kind == "binary" else before.deviation)

    def _restart(self, now: Moments, sample: Sample | None) -> None:
        assert self._detector is not None and self._before is not None
        self._base = self._before if sample is None else sample.moments
        self._begin = now
        self._before = self._calm_since = None
        self._detector.reset()
        if sample is not None and not self.own:
            self._detector.prime(sample.values * self._scale)

    def rebaseline(self) -> DriftFinding | None:
        """Forget the reference. The finding that ends the alert, where one fires."""
        ended = self._finding("rebaselined") if self.firing else None
        self._before = self._calm_since = None
        self.retry_at = self.first_fired = self._extended = None
        if self.state != "unarmed" and not (self.own and not self.refers):
            self.state, self.reason, self._detector, self._calibration = "warming", None, None, None
            self._params, self._scale = dict(self._settings.params or {}), 1.0
        return ended

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        found = self._calibration
        return {
            "state": self.state,
            "reason": self.reason,
            "params": self._params,
            "calibration": None if found is None else found.tree(),
            "detector": None if self._detector is None else {k: v.copy() for k, v in self._detector.state().items()},
            "scale": self._scale,
            "moments": [[m.count, m.total, m.squares] for m in (self._base, self._begin)],
            "before": None if self._before is None else list(asdict(self._before).values()),
            "calm_since": self._calm_since,
            "retry_at": self.retry_at,
            "first_fired": self.first_fired,
            "extended": self._extended,
        }

    def restore(self, tree: Any, sample: Sample | None) -> None:
        """Take back what snapshot gave."""
        self.state, self.reason, self._params = tree["state"], tree["reason"], tree["params"]
        found = tree["calibration"]
        self._calibration = None if found is None else detectors.Calibration.of(found)
        if tree["detector"] is not None:
            self._build(np.empty(0) if sample is None else sample.values)
            assert self._detector is not None
            self._detector.load(tree["detector"])
        self._scale = tree["scale"]
        self._base, self._begin = (Moments(*each) for each in tree["moments"])
        self._before = None if tree["before"] is None else Moments(*tree["before"])
        self._calm_since = tree["calm_since"]
        self.retry_at, self.first_fired = tree["retry_at"], tree["first_fired"]
        self._extended = None if tree["extended"] is None else tuple(tree["extended"])
