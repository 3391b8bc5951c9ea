"""What every detector in the configuration says: on what it looks, and when its alarm matters."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from schemas.sections import Section

Severity = Literal["info", "warning", "critical"]
Direction = Literal["up", "down", "both"]


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


class WatchedDetector(Section):
    """A detector on a subject. What a kind of detector adds are its own parameters."""

    required: ClassVar[frozenset[str]] = frozenset()
    """Parameters that cannot be left out where others are given."""

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
    segment: str | None = None
    """A segment key: each of its values is watched by itself (error, residual and score). Default: the whole model."""
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
        return type(self).model_fields.keys() - WatchedDetector.model_fields.keys() - {"use"}

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A parameter written out is one that was given: it would take the detector out of the budget.
        data: dict[str, Any] = handler(self)
        return {key: value for key, value in data.items() if key not in self._own - self.model_fields_set}

    @model_validator(mode="after")
    def _by_segment(self) -> WatchedDetector:
        if self.segment is not None and self.on not in ("error", "residual", "score"):
            raise PydanticCustomError(
                "segment", "is for error, residual and score: {on} is not watched by segment",
                {"at": "segment", "on": self.on},
            )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _whole(self) -> WatchedDetector:
        params = self.params
        missing = sorted(self.required - params.keys()) if params is not None else []
        if missing:
            raise PydanticCustomError(
                "parameters", "must have {missing} too: a detector is given all its parameters, or none",
                {"missing": " and ".join(missing)},
            )  # fmt: skip
        return self
