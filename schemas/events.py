"""Events that go out: metrics, alerts, what is monitored, dead letters. Nothing but what is written here is in them.

Times are RFC 3339 in UTC with milliseconds. Where a number has no value (a zero denominator) it is null, never NaN.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.detection import Severity
from schemas.inputs import ErrorCode

METRIC_TYPE = "io.streamgauge.metric.v1"
ALERT_TYPE = "io.streamgauge.alert.v1"
MONITOR_TYPE = "io.streamgauge.monitor.v1"
DEAD_LETTER_TYPE = "io.streamgauge.dead_letter.v1"

Time = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Segment = Annotated[dict[str, str], Field(max_length=1)]


class OutputEvent(BaseModel):
    """Base of the events that go out."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, use_attribute_docstrings=True
    )


class TumblingWindow(OutputEvent):
    """A span of event time, UTC-aligned: [start, end)."""

    kind: Literal["tumbling"]
    """tumbling"""
    size_ms: Annotated[int, Field(gt=0)]
    """Its length."""
    start: Time
    """Its first moment."""
    end: Time
    """The first moment after it."""


class RollingWindow(OutputEvent):
    """The last so many outcomes, in the order of the outcomes topic."""

    kind: Literal["rolling"]
    """rolling"""
    size: Annotated[int, Field(gt=0)]
    """How many outcomes."""


class CumulativeWindow(OutputEvent):
    """Everything so far."""

    kind: Literal["cumulative"]
    """cumulative"""


Window = Annotated[TumblingWindow | RollingWindow | CumulativeWindow, Field(discriminator="kind")]


class Counts(OutputEvent):
    """What was counted in the window."""

    predictions: Count = 0
    """Predictions."""
    outcomes: Count = 0
    """Predictions with a label that counts."""
    unlabelled: Count = 0
    """Predictions let go without a label."""
    duplicate_predictions: Count = 0
    """Predictions that were there already."""
    duplicate_labels: Count = 0
    """Labels that said what was known."""
    corrected_labels: Count = 0
    """Labels that said something else."""
    withdrawn_labels: Count = 0
    """Labels taken back."""
    late_labels: Count = 0
    """Labels further than the horizon from their prediction."""
    errors: Count = 0
    """Predictions that carry an error."""
    late_predictions: Count | None = None
    """Predictions that were past when read; in cumulative windows alone."""
    lost_labels: Count | None = None
    """Labels that were past when read; in cumulative windows alone."""
    orphan_labels: Count | None = None
    """Labels let go without a prediction; in cumulative windows alone."""
    tombstones: Count | None = None
    """Records without a value; in cumulative windows alone."""
    misplaced: Count | None = None
    """Records on a partition where they do not belong; in cumulative windows alone."""
    dead_letters: Count | None = None
    """Records that could not be read; in cumulative windows alone."""


class Maturity(OutputEvent):
    """How far the window's labels have come."""

    coverage: Figure | None
    """Share of the window's predictions that have an outcome."""
    expected_coverage: Figure | None
    """What earlier windows had reached at the end."""
    coverage_by_prediction: dict[str, Figure | None] | None = None
    """Coverage by predicted class: labels are seldom missing at random."""
    mature: bool
    """Whether threshold rules judge it."""


class LabelDelay(OutputEvent):
    """Quantiles of label time minus prediction time, in milliseconds."""

    p50: Figure | None
    """Median."""
    p90: Figure | None
    """9 in 10."""
    p99: Figure | None
    """99 in 100."""


class MetricValue(OutputEvent):
    """A metric's value and how sure it is."""

    value: Figure | dict[str, Any] | list[Any] | None
    """The value; null where it is not defined. confusion_matrix and per_class have structure."""
    ci: Annotated[list[Figure], Field(min_length=2, max_length=2)] | None = None
    """Sampling uncertainty at `level`: lower and upper."""
    level: Figure | None = None
    """Confidence level of ci."""
    bound: Annotated[list[Figure], Field(min_length=2, max_length=2)] | None = None
    """Encloses the exact value where the computation is approximate."""


class Latency(OutputEvent):
    """Quantiles of the service's latency, in milliseconds."""

    p50: Figure | None
    """Median."""
    p90: Figure | None = None
    """9 in 10."""
    p99: Figure | None
    """99 in 100."""


class Service(OutputEvent):
    """The model service's own health."""

    prediction_rate: Figure | None = None
    """Predictions a second."""
    positive_rate: Figure | None = None
    """Share of the positive class among predictions."""
    score_mean: Figure | None = None
    """Mean score."""
    error_rate: Figure | None = None
    """Share of predictions that carry an error."""
    latency_ms: Latency | None = None
    """Latency."""


class InputSummary(OutputEvent):
    """What one feature looked like."""

    count: Count
    """Predictions that have the feature."""
    missing: Count
    """Of these, null or NaN."""
    unseen: Count | None = None
    """Of these, categories that the reference does not have."""
    mean: Figure | None = None
    """Mean."""
    std: Figure | None = None
    """Standard deviation."""
    p50: Figure | None = None
    """Median."""
    psi: Figure | None = None
    """Population stability index against the reference."""
    ks: Figure | None = None
    """Kolmogorov-Smirnov statistic against the reference."""


class MetricEvent(OutputEvent):
    """What a model × version × variant × segment did in a window. The highest revision of a window is the truth."""

    event_id: str
    """Deterministic."""
    model: str
    """The model."""
    version: str | None
    """Its version."""
    variant: str | None
    """Its variant."""
    segment: Segment
    """{} for the whole model, else one key and its value."""
    window: Window
    """Over what."""
    revision: Count
    """Rises by one with each event of the window."""
    state: Literal["open", "closed", "final"]
    """closed: the watermark has passed the end. final: never revised again."""
    counts: Counts
    """What was counted."""
    maturity: Maturity
    """How far the labels have come."""
    label_delay_ms: LabelDelay | None = None
    """How long labels took."""
    metrics: dict[str, MetricValue]
    """scikit-learn's metrics by name."""
    service: Service | None = None
    """The service's health."""
    inputs: dict[str, InputSummary] = Field(default_factory=dict)
    """Features by name."""
    config_hash: str | None = None
    """The configuration it was made under."""


class DetectorInfo(OutputEvent):
    """A detector and its parameters."""

    name: str
    """Its name in the catalogue."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Its parameters."""


class Side(OutputEvent):
    """The values on one side of a change."""

    mean: Figure | None
    """Their mean."""
    count: Count
    """How many there are."""


class Cause(OutputEvent):
    """The input record that tipped it."""

    topic: str
    """Its topic."""
    partition: Count
    """Its partition."""
    offset: Count
    """Its offset."""
    traceparent: str | None = None
    """W3C trace context of the record, where it had one."""


class Suspect(OutputEvent):
    """A feature that changed about when the errors did."""

    feature: str
    """Its name."""
    detector: str
    """What it was judged by."""
    statistic: Figure | None
    """The statistic."""
    p_value: Figure | None = None
    """How likely so much is without a change."""
    direction: Literal["up", "down", "both"] | None = None
    """Where it went."""


class Calibration(OutputEvent):
    """Where the threshold is from."""

    method: str
    """bound, given, …"""
    expected_per_30d: Figure | None = None
    """False alarms expected of this detector in 30 days."""
    assumptions: str | None = None
    """What the method assumes."""


class AlertEvent(OutputEvent):
    """Something to know, or to be woken by. One episode is one firing; sequence rises with each event of the alert."""

    alert_id: str
    """Of model × version × variant × segment × rule × subject."""
    episode_id: str
    """Of one firing."""
    sequence: Count
    """Rises with each event."""
    status: Literal["pending", "firing", "resolved"]
    """pending: the condition holds, `for` is not over."""
    severity: Severity
    """Severity."""
    kind: Literal["threshold", "drift", "data_quality", "silence_of_stream", "service", "pipeline"]
    """What is wrong."""
    rule: str
    """<on>/<detector>, or the rule's name."""
    model: str
    """The model."""
    version: str | None
    """Its version."""
    variant: str | None
    """Its variant."""
    segment: Segment
    """{} for the whole model, else one key and its value."""
    subject: str
    """error, score, features.<name>, …, or a metric's name."""
    detector: DetectorInfo | None = None
    """What found it; null for threshold rules."""
    statistic: Figure | None = None
    """What was compared …"""
    threshold: Figure | None = None
    """… with what."""
    before: Side | None = None
    """Before the change."""
    after: Side | None = None
    """After it."""
    direction: Literal["up", "down", "both"] | None = None
    """Where it went."""
    detected_at: Time
    """Clock of the ticks."""
    change_at: Time | None = None
    """Event time at which the change is estimated to have begun."""
    observations_since_change: Count | None = None
    """Values since."""
    started_at: Time | None = None
    """When it began to fire; clock of the ticks."""
    resolved_at: Time | None = None
    """When it ended; clock of the ticks."""
    resolution: Literal["recovered", "rebaselined", "version_retired", "expired"] | None = None
    """How it ended."""
    cause: Cause | None = None
    """The record that tipped it."""
    suspects: list[Suspect] = Field(default_factory=list)
    """Features that changed too, the likeliest first."""
    group_id: str
    """The incident: alerts of one model until an hour after the last of them resolves."""
    calibration: Calibration | None = None
    """Where the threshold is from."""
    config_hash: str | None = None
    """The configuration it was made under."""
    summary: str
    """One sentence for a person."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """From the configuration."""
    muted_by: str | None = None
    """The silence that mutes it."""
    acknowledged_by: str | None = None
    """Who acknowledged it."""


class Detectable(OutputEvent):
    """What a series would notice."""

    shift: Figure
    """A change of this size …"""
    within: Count
    """… within so many values."""


class MonitorEvent(OutputEvent):
    """What is watched and what is not, on change."""

    event_id: str | None = None
    """Deterministic."""
    model: str
    """The model."""
    version: str | None
    """Its version."""
    variant: str | None = None
    """Its variant."""
    segment: Segment = Field(default_factory=dict)
    """{} for the whole model, else one key and its value."""
    subject: str
    """error, score, features.<name>, …"""
    detector: str
    """The detector's name."""
    state: Literal["warming", "armed", "uncalibrated", "unarmed"]
    """Whether it can raise an alarm."""
    reason: str | None = None
    """Why it cannot."""
    reference: Literal["baseline", "previous_version", "self"] | None = None
    """What it compares with."""
    detectable: Detectable | None = None
    """What it would notice."""
    config_hash: str | None = None
    """The configuration it was made under."""


class RecordError(OutputEvent):
    """What is wrong with a record."""

    code: ErrorCode
    """The kind of error."""
    message: str
    """A sentence, which quotes no values."""
    field: str | None
    """The field it is about."""


class RecordSource(OutputEvent):
    """Where a record is."""

    topic: str
    """Its topic."""
    partition: Count
    """Its partition."""
    offset: Count
    """Its offset."""
    timestamp: Time
    """Its Kafka timestamp."""


class DeadLetter(OutputEvent):
    """A record that could not be read, or not applied. There is one for each."""

    error: RecordError
    """What is wrong."""
    source: RecordSource
    """Where it is."""
    key: str | None = None
    """Base64 of its key, cut at 64 KiB, where privacy.dead_letter_value is full."""
    value: str | None = None
    """Base64 of its value, cut at 64 KiB, where privacy.dead_letter_value is full."""
