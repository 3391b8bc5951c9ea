"""How a model is monitored: the sections of the configuration that stand under `defaults` and `models.<name>`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from schemas.catalogue import Adwin, Detector, PageHinkley, WindowedKs
from schemas.detection import Rule
from schemas.sections import Section
from schemas.units import ClassText, Duration, PositiveDuration, format_duration


class ExpiryLabel(Section):
    """A prediction let go without a label becomes an outcome with this label."""

    label: ClassText
    """The label, a class or a number."""


def _expiry_kind(value: Any) -> str | None:
    if isinstance(value, dict | ExpiryLabel):
        return "label"
    return "unlabelled" if value == "unlabelled" else None


OnExpiry = Annotated[
    Annotated[Literal["unlabelled"], Tag("unlabelled")] | Annotated[ExpiryLabel, Tag("label")],
    Discriminator(
        _expiry_kind, custom_error_type="on_expiry", custom_error_message="must be unlabelled or {label: <class>}"
    ),
]


class JoinConfig(Section):
    """How predictions and labels are joined. Only horizon, grace and on_expiry can differ between models."""

    horizon: PositiveDuration = 7 * 86_400_000
    """A label counts for a prediction when their times are at most this far apart."""
    grace: Duration = 86_400_000
    """How much longer both are held, for records read late."""
    disorder: Duration = 60_000
    """How far the watermark stays behind the largest timestamp."""
    idle_after: PositiveDuration = 30_000
    """A partition at its end for this long does not hold the watermark back."""
    max_future: PositiveDuration = 3_600_000
    """An event further ahead of its Kafka record's timestamp is a dead letter."""
    max_past: PositiveDuration = 400 * 86_400_000
    """An event further behind its Kafka record's timestamp is a dead letter."""
    on_expiry: OnExpiry = "unlabelled"
    """What a prediction without a label becomes: unlabelled, or an outcome: {label: 0}."""


def _distinct_sizes(value: list[int]) -> list[int]:
    if len(set(value)) < len(value):
        raise PydanticCustomError("windows", "must not name a size twice")
    return sorted(value)


class WindowsConfig(Section):
    """Over what metrics are computed, and how often they are emitted."""

    tumbling: Annotated[list[PositiveDuration], AfterValidator(_distinct_sizes)] = Field(
        default=[3_600_000, 86_400_000]
    )
    """Sizes of the windows in event time, aligned to UTC."""
    rolling: Annotated[list[Annotated[int, Field(ge=1, le=1_000_000)]], AfterValidator(_distinct_sizes)] = Field(
        default=[1000]
    )
    """Windows over the last so many outcomes."""
    cumulative: bool = True
    """Whether metrics over everything are kept."""
    emit_every: PositiveDuration = 10_000
    """An open window is emitted at most this often."""
    revise_every: PositiveDuration = 300_000
    """A closed window that is revised is emitted at most this often."""


class ReferenceConfig(Section):
    """What a series is compared with where no baseline was published: both must pass."""

    warm_up: int = Field(default=1000, ge=30, le=1_000_000_000)
    """So many first values."""
    span: Duration = 0
    """So much event time."""


class BudgetConfig(Section):
    """How many false incidents of a model are tolerable, on average, over all its armed series."""

    false_alarms: float = Field(default=1.0, gt=0)
    """So many …"""
    per: PositiveDuration = 30 * 86_400_000
    """… in this time."""


def _default_detectors() -> list[Detector]:
    return [
        Adwin(on="error", use="adwin", severity="critical"),
        PageHinkley(on="error", use="page_hinkley", severity="critical"),
        WindowedKs(on="score", use="windowed_ks", severity="warning"),
        WindowedKs(on="features", use="windowed_ks", severity="info"),
    ]


class ModelConfig(Section):
    """How a model is monitored: `defaults`, and over it `models.<name>`."""

    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    """What the model does; auto is decided at the 1,000th outcome."""
    positive_label: ClassText = "1"
    """The positive class of a binary model, as canonical text."""
    join: JoinConfig = JoinConfig()
    """How its predictions and labels are joined."""
    windows: WindowsConfig = WindowsConfig()
    """Over what its metrics are computed."""
    segments: list[str] = Field(default=["region"])
    """Segment keys by whose values metrics are also sliced."""
    reference: ReferenceConfig = ReferenceConfig()
    """What its series are compared with."""
    detectors: list[Detector] = Field(default_factory=_default_detectors)
    """What is watched for drift. The features' windowed_ks is for numeric ones; categorical ones get chi_squared."""
    budget: BudgetConfig = BudgetConfig()
    """How many false incidents are tolerable."""
    rules: list[Rule] = Field(default_factory=list)
    """Threshold rules."""
    recover_for: Duration = 1_800_000
    """A drift alert resolves when its series has been back for this long, in event time."""
    repeat: PositiveDuration = 4 * 3_600_000
    """A firing alert is published again this often."""
    min_coverage: float = Field(default=0.9, ge=0, le=1)
    """A window is mature with this share of the labels that are expected."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Copied into all its alerts; a detector's or rule's own come over them."""


def check_detectors(path: tuple[str, ...], model: ModelConfig) -> None:
    """No detector is named twice for the same subjects: its two alerts would be one. Segments are those there are."""
    seen: set[tuple[str, str | None]] = set()
    for i, detector in enumerate(model.detectors):
        if detector.segment is not None and detector.segment not in model.segments:
            raise PydanticCustomError(
                "detector", "must be one of segments", {"path": (*path, "detectors", i, "segment")}
            )  # fmt: skip
        if (detector.rule, detector.segment) in seen:
            raise PydanticCustomError(
                "detector", "is the second {use} on {on}; one subject can have one detector of a kind",
                {"path": (*path, "detectors", i), "use": detector.detector, "on": detector.on},
            )  # fmt: skip
        seen.add((detector.rule, detector.segment))


MOST_WINDOWS = 20_000
"""That a rule's `over` may hold."""


def check_rules(path: tuple[str, ...], model: ModelConfig) -> None:
    """Every rule judges a window that there is, by a segment that there is, under a name of its own."""
    seen: set[str] = set()
    for i, rule in enumerate(model.rules):
        at: tuple[Any, ...] = (*path, "rules", i)
        if rule.window not in model.windows.tumbling:
            sizes = ", ".join(format_duration(size) for size in model.windows.tumbling)
            raise PydanticCustomError(
                "rule", "must be one of windows.tumbling: {sizes}", {"path": (*at, "window"), "sizes": sizes}
            )
        if not isinstance(rule.limit, float) and rule.limit.over < 3 * rule.window:
            raise PydanticCustomError(
                "rule", "must hold at least three windows of {size}",
                {"path": (*at, rule.side, "over"), "size": format_duration(rule.window)},
            )  # fmt: skip
        if not isinstance(rule.limit, float) and rule.limit.over > MOST_WINDOWS * rule.window:
            raise PydanticCustomError(
                "rule", "must hold at most twenty thousand windows of {size}: all are looked at when one is judged",
                {"path": (*at, rule.side, "over"), "size": format_duration(rule.window)},
            )  # fmt: skip
        if rule.segment is not None and rule.segment not in model.segments:
            raise PydanticCustomError("rule", "must be one of segments", {"path": (*at, "segment")})
        if rule.rule in seen:
            raise PydanticCustomError(
                "rule", "is the second rule called {name}: give it a name", {"path": at, "name": rule.rule}
            )
        seen.add(rule.rule)
