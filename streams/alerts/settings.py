"""What a model's alerts are configured with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas import ModelConfig, Quantile, Rule, Sigmas
from streams.alerts.facts import Severity

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

FEWEST_WINDOWS = 10
"""A history of fewer mature windows judges nothing, unless `over` itself holds fewer."""


class SettingsError(ValueError):
    """A rule that could never be judged."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a metric is compared with.

    `static`: `value` itself. `sigmas`: the mean of the history moved `value` standard deviations (n - 1) outwards.
    `quantile`: the `value` quantile of the history, interpolated linearly. The history is the values of the judged
    windows that start within `over` milliseconds before the window at hand, breached ones left out: a reference
    must not slide into what it is there to find.
    """

    kind: Literal["static", "sigmas", "quantile"]
    value: float
    over: int = 0


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """A metric of tumbling windows of `window` ms, compared with a limit.

    `hold` is the contract's `for`, in ms of event time: the windows of an unbroken run of breaches must cover as
    much. Windows with fewer than `min_count` outcomes are unknown. `segment` None judges the whole model, a segment
    key each of its values.
    """

    name: str
    metric: str
    side: Literal["below", "above"]
    limit: Limit
    window: int
    hold: int = 0
    min_count: int = 0
    severity: Severity = "warning"
    segment: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit.kind != "static" and self.limit.over < 3 * self.window:
            raise SettingsError(
                f"rule {self.name}: `over` holds {self.limit.over // self.window} windows, at least 3 are needed; "
                "make `over` longer or `window` shorter"
            )

    @property
    def fewest(self) -> int:
        """How many windows the history must hold before the rule is judged: 10; for a quantile as many as its tail
        needs to have one value in it (100 for 0.01); at most what `over` can hold."""
        if self.limit.kind == "static":
            return 0
        wanted = FEWEST_WINDOWS
        if self.limit.kind == "quantile":
            tail = min(self.limit.value, 1 - self.limit.value)
            if tail > 0:
                wanted = max(wanted, math.ceil(1 / tail))
        return min(wanted, self.limit.over // self.window)


@dataclass(frozen=True, slots=True)
class QuietSettings:
    """When a stream may be missed: once so much time (ms) was listened to and so many came; and after how long (ms)
    at the earliest."""

    history: int = 7 * DAY
    fewest_predictions: int = 1_000
    fewest_outcomes: int = 100
    predictions_floor: int = 5 * MINUTE
    outcomes_floor: int = HOUR


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The settings of one model's alerts; times in milliseconds.

    `repeat`, `incident_gap`, `expire_after` and `quiet` go by the clock of the ticks, `retire_after` and `keep` (how
    long a window may still be revised: horizon + grace) by event time.
    """

    rules: tuple[ThresholdRule, ...] = ()
    repeat: int = 4 * HOUR
    incident_gap: int = HOUR
    retire_after: int = DAY
    expire_after: int = 7 * DAY
    keep: int = 8 * DAY
    quiet: QuietSettings = QuietSettings()
    open_limit: int = 1_000
    config_hash: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    detector_annotations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: ModelConfig, config_hash: str = "") -> AlertSettings:
        """The settings of a model as it is configured. Raises SettingsError for a rule that could never be judged."""
        of_detectors = {detector.rule: detector.annotations for detector in config.detectors}
        for detector in config.detectors:
            if detector.detector == "windowed_ks":  # categorical features get chi_squared in its place
                of_detectors.setdefault(f"{detector.on}/chi_squared", detector.annotations)
        return cls(
            rules=tuple(_rule(rule) for rule in config.rules),
            repeat=config.repeat,
            keep=config.join.horizon + config.join.grace,
            config_hash=config_hash,
            annotations=config.annotations,
            detector_annotations=of_detectors,
        )


def _rule(rule: Rule) -> ThresholdRule:
    match rule.limit:
        case Sigmas():
            limit = Limit("sigmas", rule.limit.sigmas, rule.limit.over)
        case Quantile():
            limit = Limit("quantile", rule.limit.quantile, rule.limit.over)
        case _:
            limit = Limit("static", rule.limit)
    return ThresholdRule(
        rule.rule, rule.metric, rule.side, limit, rule.window, rule.for_, rule.min_count, rule.severity, rule.segment,
        rule.annotations,
    )  # fmt: skip
