"""What the series of a model need of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal

import detectors
from schemas import LimitsConfig, ModelConfig, WatchedDetector

Direction = Literal["up", "down", "both"]
Severity = Literal["info", "warning", "critical"]
_MONTH = 30 * 86_400_000


@cache
def needs_reference(use: str) -> bool:
    """Whether a detector compares with the reference's values themselves."""
    return any(each.name == "reference" for each in fields(detectors.find(use).parameters))


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """One detector on one subject or family of subjects. `params` are the user's own, or None: from the budget."""

    on: str
    use: str
    severity: Severity = "warning"
    params: Mapping[str, Any] | None = None
    min_effect: float | None = None
    direction: Direction | None = None
    segment: str | None = None

    @property
    def refers(self) -> bool:
        """Whether the detector compares with the reference's values themselves."""
        return needs_reference(self.use)

    @property
    def own(self) -> bool:
        """Whether it has its own threshold, and takes no part of the budget."""
        return self.params is not None and (not self.refers or self.params.get("threshold") is not None)

    def covers(self, subject: str, key: str | None = None) -> bool:
        """Whether this watches the subject: by its name, or by its family's; of the whole model, or of the values of
        a segment key."""
        return self.segment == key and self.on in (subject, subject.partition(".")[0])


@dataclass(frozen=True, slots=True)
class SeriesSettings:
    """What is watched, and by which rules. Times are milliseconds; `budget` is false alarms in 30 days."""

    watches: tuple[WatchSettings, ...] = field(
        default=(
            WatchSettings("error", "adwin", "critical"),
            WatchSettings("error", "page_hinkley", "critical"),
            WatchSettings("score", "windowed_ks", "warning"),
            WatchSettings("features", "windowed_ks", "info"),
        )
    )
    warm_up: int = 1000
    span: int = 0
    budget: float = 1.0
    recover_for: int = 1_800_000
    versions: int = 10
    features: int = 500
    segments: int = 100
    categories: int = 1000
    predictions_topic: str = "predictions"
    labels_topic: str = "labels"

    def watched(self, subject: str, key: str | None = None) -> bool:
        """Whether anything watches the subject."""
        return any(each.covers(subject, key) for each in self.watches)

    @property
    def segment_keys(self) -> tuple[str, ...]:
        """The segment keys by whose values anything is watched."""
        return tuple(dict.fromkeys(each.segment for each in self.watches if each.segment is not None))

    def watches_family(self, family: str) -> bool:
        """Whether anything watches a subject of the family."""
        return any(each.on.partition(".")[0] == family for each in self.watches)

    @classmethod
    def of(
        cls,
        model: ModelConfig,
        limits: LimitsConfig,
        predictions_topic: str = "predictions",
        labels_topic: str = "labels",
    ) -> SeriesSettings:
        """From the configuration of a model."""
        watches = tuple(
            WatchSettings(
                each.on, each.detector, each.severity, _own(each), each.min_effect, each.direction, each.segment
            )
            for each in model.detectors
        )
        return cls(
            watches,
            warm_up=model.reference.warm_up,
            span=model.reference.span,
            budget=model.budget.false_alarms * _MONTH / model.budget.per,
            recover_for=model.recover_for,
            versions=limits.versions,
            features=limits.features,
            segments=limits.segments_per_key,
            categories=limits.categories,
            predictions_topic=predictions_topic,
            labels_topic=labels_topic,
        )


def _own(detector: WatchedDetector) -> dict[str, Any] | None:
    """The user's parameters, with what the configuration says of every detector where this one has a say in it."""
    params = detector.params
    if params is None:
        return None
    known = {each.name for each in fields(detectors.find(detector.detector).parameters)}
    said = {"direction": detector.direction, "min_effect": detector.min_effect}
    return params | {name: value for name, value in said.items() if name in known and value is not None}
