"""What the gauge tells the alerts room: plain findings, no series, windows or rows behind them.

All times are epoch milliseconds. A segment is `{}` for the whole model, else one key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Segment = Mapping[str, str]
Severity = Literal["info", "warning", "critical"]
Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Level:
    """A mean and the number of values behind it; `mean` is None where there is none (categories)."""

    mean: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Cause:
    """The input record that tipped the alert."""

    topic: str
    partition: int
    offset: int
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A feature that changed at the same time; suspects come ranked, the strongest first."""

    feature: str
    detector: str
    statistic: float
    p_value: float | None
    direction: Direction | None


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """A series changed, or is back.

    `kind`: `fired`; `recovered` (back within min_effect of before, for recover_for); `rebaselined` (its reference
    was moved); `expired` (the series is gone). For the last three the key fields alone matter: version, variant,
    segment, subject and rule, which is `<on>/<detector>`. `statistic` and `threshold` are in the detector's units,
    `change_at` is event time.
    """

    kind: Literal["fired", "recovered", "rebaselined", "expired"]
    version: str | None
    variant: str | None
    subject: str
    rule: str
    detector: str
    params: Mapping[str, object] = field(default_factory=dict)
    severity: Severity = "warning"
    statistic: float | None = None
    threshold: float | None = None
    before: Level | None = None
    after: Level | None = None
    direction: Direction | None = None
    change_at: int | None = None
    observations_since_change: int | None = None
    cause: Cause | None = None
    suspects: tuple[Suspect, ...] = ()
    calibration: Mapping[str, object] | None = None
    segment: Segment = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """A revision of a tumbling window, as far as threshold rules look at it.

    The window is [start, start + size) of event time. `outcomes` is what `min_count` is compared with. `mature`:
    coverage is at least min_coverage of what is expected. `metrics` has a value for each metric, None where it is
    undefined.
    """

    version: str | None
    variant: str | None
    start: int
    size: int
    state: Literal["open", "closed", "final"]
    mature: bool
    outcomes: int
    metrics: Mapping[str, float | None]
    segment: Segment = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something others watch and raise or clear: limits that overflow, misplaced records, errors, latency.

    `active` says whether it holds; telling the same twice changes nothing. `text` is the sentence of the summary
    without the model's name ("50 versions were seen, the limit is 10; the rest counts as __other__").
    """

    kind: Literal["data_quality", "pipeline", "service"]
    rule: str
    subject: str
    active: bool
    text: str
    severity: Severity = "warning"
    version: str | None = None
    variant: str | None = None
    segment: Segment = field(default_factory=dict)
    statistic: float | None = None
    threshold: float | None = None
    direction: Direction | None = None
    change_at: int | None = None
    cause: Cause | None = None
