"""The metric event: what a model did in a window, and how sure that is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.outputs import Count, Figure, OutputEvent, Segment, Time


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
    overflow: Count | None = None
    """Records of one key beyond limits.records_per_key, dropped; in cumulative windows alone."""


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
