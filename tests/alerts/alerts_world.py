"""A model's alerts to play with: findings with short names, and every event checked as it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from schemas import AlertEvent
from streams.alerts import (
    Alert,
    AlertSettings,
    Cause,
    Condition,
    DriftFinding,
    Level,
    Limit,
    ModelAlerts,
    Suspect,
    ThresholdRule,
    WindowFigures,
)
from streams.state import pack, unpack

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_795_334_400_000  # 2026-11-22T08:00:00Z


def rule(**changes: Any) -> ThresholdRule:
    """Accuracy below 0.9 in an hour with 100 outcomes."""
    base = ThresholdRule("low_accuracy", "accuracy", "below", Limit("static", 0.9), HOUR, min_count=100)
    return replace(base, **changes)


def fired(**changes: Any) -> DriftFinding:
    """The error rate rose from 10 % to 31 %."""
    finding = DriftFinding(
        kind="fired",
        version="2026-11-02",
        variant="champion",
        subject="error",
        rule="error/adwin",
        detector="adwin",
        params={"delta": 0.0001},
        severity="critical",
        statistic=0.213,
        threshold=0.118,
        before=Level(0.10, 4800),
        after=Level(0.31, 220),
        direction="up",
        change_at=START - HOUR,
        observations_since_change=220,
        cause=Cause("labels", 2, 88123),
        suspects=(Suspect("amount", "windowed_ks", 0.41, 3e-9, "up"),),
        calibration={"method": "bound", "expected_per_30d": 0.08},
    )
    return replace(finding, **changes)


def window(hour: int, accuracy: float | None, **changes: Any) -> WindowFigures:
    """The mature figures of an hour, counted from START."""
    figures = WindowFigures(
        version="2026-11-02",
        variant="champion",
        start=START + hour * HOUR,
        size=HOUR,
        state="closed",
        mature=True,
        outcomes=500,
        metrics={"accuracy": accuracy},
    )
    return replace(figures, **changes)


def condition(active: bool = True, **changes: Any) -> Condition:
    """Too many versions."""
    base = Condition("data_quality", "limits/versions", "versions", active, "50 versions were seen, the limit is 10")
    return replace(base, **changes)


@dataclass
class World:
    """A model's alerts, and all events they have led to."""

    settings: AlertSettings
    alerts: ModelAlerts = field(init=False)
    clock: int = START
    events: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.alerts = ModelAlerts("fraud", self.settings)
        self.alerts.decide("binary")

    def take(self, events: list[Alert]) -> list[Alert]:
        for event in events:
            AlertEvent.model_validate_json(event.to_json())
        self.events += events
        return events

    def drift(self, finding: DriftFinding) -> list[Alert]:
        return self.take(self.alerts.drift(finding, self.clock))

    def judge(self, *figures: WindowFigures) -> list[Alert]:
        return self.take([event for each in figures for event in self.alerts.judge(each, self.clock)])

    def condition(self, told: Condition) -> list[Alert]:
        return self.take(self.alerts.condition(told, self.clock))

    def control(self, key: str, value: bytes | None) -> list[Alert]:
        return self.take(self.alerts.control(key, value, self.clock))

    def restart(self) -> None:
        """Go on from a snapshot."""
        packed = pack(b"TEST", 1, self.alerts.snapshot())
        self.alerts = ModelAlerts("fraud", self.settings)
        self.alerts.restore(unpack(b"TEST", 1, packed))

    def tick(self, advance: int = 1_000, caught_up: bool = True) -> list[Alert]:
        """Time passes, event time with it."""
        self.clock += advance
        return self.take(self.alerts.tick(self.clock, self.clock - MINUTE, caught_up))


def world(**settings: Any) -> World:
    """With one rule on accuracy, without `for`, unless said otherwise."""
    return World(AlertSettings(**{"rules": (rule(),), "config_hash": "c0ffee"} | settings))
