"""What a user asks to be told about by threshold rules, as configuration items."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.sections import Section, unknown_key
from schemas.units import Duration, PositiveDuration, format_duration
from schemas.watching import Severity

Metric = Literal[
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "matthews_corrcoef",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
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
    "median_absolute_error",
]
METRICS: tuple[str, ...] = get_args(Metric)
"""The metrics that windows carry and rules can judge."""


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
    min_count: int = Field(default=100, ge=1, le=1_000_000_000)
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
