"""What a user asks to be told about: detectors and threshold rules, as configuration items."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.sections import Section, unknown_key
from schemas.units import Duration, PositiveDuration, format_duration

Severity = Literal["info", "warning", "critical"]
Direction = Literal["up", "down", "both"]
Metric = Literal[
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "log_loss",
    "brier_score",
    "precision_macro",
    "precision_micro",
    "precision_weighted",
    "recall_macro",
    "recall_micro",
    "recall_weighted",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "mse",
    "rmse",
    "mae",
    "mape",
    "smape",
    "r2",
    "bias",
    "error_variance",
]
METRICS: tuple[str, ...] = get_args(Metric)
"""The metrics that windows carry and rules can judge."""


def _subject(value: str) -> str:
    family, dot, name = value.partition(".")
    families = {"features", "attributions", "missing"}
    whole = {"error", "residual", "score", *families}
    if (not dot and family in whole) or (name and family in families) or value == "service.latency":
        return value
    raise PydanticCustomError(
        "subject",
        "must be error, residual, score, features, attributions, missing, features.<name>, attributions.<name>, "
        "missing.<name> or service.latency",
    )


class _Detector(Section):
    on: Annotated[str, AfterValidator(_subject)]
    """What is watched: error, residual, score, features, attributions, missing (how often a feature is), one of
    these by name (features.<name>, attributions.<name>, missing.<name>), service.latency."""
    severity: Severity = "warning"
    """Severity of the alert."""
    min_effect: float | None = Field(default=None, gt=0)
    """The smallest change worth an alert. Default: error and missing .05, numeric .25 standard deviations, ks .1,
    categories .05 total variation."""
    direction: Direction | None = None
    """The direction that counts. Default: up for error and missing, both for everything else."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Copied into the alert, such as {runbook: https://…}."""

    @property
    def rule(self) -> str:
        """The alert's `rule`: <on>/<detector>."""
        return f"{self.on}/{self.detector}"

    @property
    def detector(self) -> str:
        """The detector's name in the catalogue."""
        return str(self.use)  # type: ignore[attr-defined]

    @property
    def params(self) -> dict[str, Any] | None:
        """The detector's own parameters, where any was given: it then runs as told, outside the budget. Else None:
        it is calibrated to the budget."""
        return {name: getattr(self, name) for name in sorted(self._own & self.model_fields_set)} or None

    @property
    def _own(self) -> set[str]:
        return type(self).model_fields.keys() - _Detector.model_fields.keys() - {"use"}

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A parameter written out is one that was given: it would take the detector out of the budget.
        data: dict[str, Any] = handler(self)
        return {key: value for key, value in data.items() if key not in self._own - self.model_fields_set}


class Adwin(_Detector):
    """ADWIN (Bifet and Gavaldà 2007): the mean of an adaptive window has changed."""

    use: Literal["adwin"]
    """The detector."""
    delta: float = Field(default=0.002, gt=0, lt=1)
    """Confidence of each test."""
    clock: int = Field(default=32, ge=1)
    """Test every so many values."""
    max_buckets: int = Field(default=5, ge=1)
    """Buckets of each size in the exponential histogram."""
    min_window_length: int = Field(default=5, ge=1)
    """Shortest sub-window tested."""
    grace_period: int = Field(default=10, ge=0)
    """Values before the first test."""


class PageHinkley(_Detector):
    """Page-Hinkley (Page 1954): the cumulative deviation from the mean has grown beyond a threshold."""

    use: Literal["page_hinkley"]
    """The detector."""
    min_instances: int = Field(default=30, ge=1)
    """Values before the first test."""
    delta: float = Field(default=0.005, ge=0)
    """Deviation allowed for."""
    threshold: float = Field(default=50.0, gt=0)
    """Cumulative deviation that raises the alarm."""
    alpha: float = Field(default=0.9999, gt=0, le=1)
    """Forgetting factor."""
    mode: Literal["up", "down", "both"] = "both"
    """Direction of the change looked for."""


class WindowedKs(_Detector):
    """Two-sample Kolmogorov-Smirnov test of a sliding window against the reference."""

    use: Literal["windowed_ks"]
    """The detector."""
    window: int = Field(default=500, ge=10)
    """Values looked back on."""
    threshold: float = Field(default=0.2, gt=0, le=1)
    """Distance that raises the alarm."""


class ChiSquared(_Detector):
    """Chi-squared test of a sliding window's categories against the reference."""

    use: Literal["chi_squared"]
    """The detector."""
    window: int = Field(default=500, ge=10)
    """Values looked back on."""
    threshold: float = Field(default=60.0, gt=0)
    """Statistic that raises the alarm."""
    least: float = Field(default=10.0, ge=0)
    """Categories expected fewer times than this in a window are pooled."""


DETECTORS: tuple[str, ...] = ("adwin", "chi_squared", "page_hinkley", "windowed_ks")

Detector = Annotated[Adwin | PageHinkley | WindowedKs | ChiSquared, Field(discriminator="use")]


class Sigmas(Section):
    """Beyond the mean of the history by so many of its standard deviations."""

    sigmas: float = Field(gt=0)
    """How many standard deviations."""
    over: PositiveDuration
    """How much history, in event time."""


class Quantile(Section):
    """Beyond a quantile of the history."""

    quantile: float = Field(gt=0, lt=1)
    """Which quantile."""
    over: PositiveDuration
    """How much history, in event time."""


def _limit_kind(value: Any) -> str | None:
    if isinstance(value, Sigmas) or (isinstance(value, dict) and "sigmas" in value):
        return "sigmas"
    if isinstance(value, Quantile) or (isinstance(value, dict) and "quantile" in value):
        return "quantile"
    return None if isinstance(value, dict) else "number"


Limit = Annotated[
    Annotated[float, Field(allow_inf_nan=False), Tag("number")]
    | Annotated[Sigmas, Tag("sigmas")]
    | Annotated[Quantile, Tag("quantile")],
    Discriminator(
        _limit_kind,
        custom_error_type="limit",
        custom_error_message="must be a number, {sigmas, over} or {quantile, over}",
    ),
]


class Rule(Section):
    """A threshold rule: judges a metric of a tumbling window when the window is mature."""

    metric: Metric
    """The metric judged."""
    below: Limit | None = None
    """Fires when the metric is below: a number, {sigmas, over} or {quantile, over}."""
    above: Limit | None = None
    """Fires when the metric is above: a number, {sigmas, over} or {quantile, over}."""
    window: PositiveDuration
    """Which of windows.tumbling is judged."""
    for_: Duration = Field(default=0, alias="for")
    """How long the condition must hold, in event time."""
    min_count: int = Field(default=100, ge=1)
    """With fewer outcomes the window is unknown: it neither fires nor resolves."""
    severity: Severity = "warning"
    """Severity of the alert."""
    segment: str | None = None
    """A segment key: each of its values is judged on its own. Default: the whole model."""
    name: str = ""
    """The alert's `rule`; by default made of metric, limit and window, such as accuracy_below_0.9_1h."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Copied into the alert, such as {runbook: https://…}."""

    @model_validator(mode="before")
    @classmethod
    def _known_metric(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("metric"), str) and data["metric"] not in METRICS:
            wrong = unknown_key(data["metric"], list(METRICS)).context or {}
            raise PydanticCustomError(
                "metric",
                "{metric} is not a metric a rule can judge; {hint}allowed: {allowed}",
                {"at": "metric", "metric": data["metric"], **{k: wrong[k] for k in ("hint", "allowed")}},
            )
        return data

    @model_validator(mode="after")
    def _one_limit(self) -> Rule:
        if (self.below is None) == (self.above is None):
            raise PydanticCustomError("limit", "must have either below or above")
        return self

    @property
    def limit(self) -> float | Sigmas | Quantile:
        """The limit, whichever side it is on."""
        limit = self.above if self.below is None else self.below
        assert limit is not None
        return limit

    @property
    def side(self) -> Literal["below", "above"]:
        """The side of the limit on which the rule fires."""
        return "above" if self.below is None else "below"

    @property
    def rule(self) -> str:
        """The alert's `rule`: the given name, or one made of metric, limit, window and segment."""
        if self.name:
            return self.name
        limit = self.limit
        match limit:
            case Sigmas():
                text = f"{limit.sigmas:g}sigmas_{format_duration(limit.over)}"
            case Quantile():
                text = f"quantile{limit.quantile:g}_{format_duration(limit.over)}"
            case _:
                text = f"{limit:g}"
        tail = f"_by_{self.segment}" if self.segment else ""
        return f"{self.metric}_{self.side}_{text}_{format_duration(self.window)}{tail}"
