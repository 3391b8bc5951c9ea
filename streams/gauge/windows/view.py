"""A window's figures at one revision, and the metric event that tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from streams.cloudevents import rfc3339

WindowKind = Literal["tumbling", "rolling", "cumulative"]
WindowState = Literal["open", "closed", "final"]


@dataclass(frozen=True, slots=True)
class WindowView:
    """One revision of one window of one scope (version × variant × segment); plain figures.

    `size` is milliseconds (tumbling), outcomes (rolling) or None (cumulative); `start` and `end` are epoch
    milliseconds of a tumbling window, else None. `counts` has the names of the metric event. `metrics` maps a name to
    {"value", "ci"?, "level"?, "bound"?} and is empty until the task is decided. `label_delay` is p50, p90, p99 in ms.
    """

    version: str | None
    variant: str | None
    segment: Mapping[str, str]
    kind: WindowKind
    size: int | None
    start: int | None
    end: int | None
    revision: int
    state: WindowState
    counts: Mapping[str, int]
    coverage: float | None
    expected_coverage: float | None
    coverage_by_prediction: Mapping[str, float | None]
    mature: bool
    label_delay: Mapping[str, float] | None
    metrics: Mapping[str, Mapping[str, Any]]
    service: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def value(self, metric: str) -> float | None:
        """The value of a metric, None where it is undefined or not there."""
        found = self.metrics.get(metric, {}).get("value")
        return found if isinstance(found, float) else None


def event_id(application_id: str, model: str, view: WindowView) -> str:
    """The same for the same revision of the same window, whoever publishes it, and for no other."""
    identity = [application_id, model, view.version, view.variant, sorted(view.segment.items())]
    window = [view.kind, view.size, view.start, view.revision]
    return hashlib.blake2b(msgspec.json.encode([*identity, *window]), digest_size=16).hexdigest()


def metric_event(view: WindowView, model: str, application_id: str) -> dict[str, Any]:
    """The metric event in the contract's shape, ready for JSON: finite numbers or None, never NaN."""
    window: dict[str, Any] = {"kind": view.kind}
    if view.kind == "tumbling":
        assert view.start is not None and view.end is not None
        window |= {"size_ms": view.size, "start": rfc3339(view.start), "end": rfc3339(view.end)}
    elif view.kind == "rolling":
        window["size"] = view.size
    return {
        "event_id": event_id(application_id, model, view),
        "model": model,
        "version": view.version,
        "variant": view.variant,
        "segment": dict(view.segment),
        "window": window,
        "revision": view.revision,
        "state": view.state,
        "counts": dict(view.counts),
        "maturity": {
            "coverage": view.coverage,
            "expected_coverage": view.expected_coverage,
            "coverage_by_prediction": dict(view.coverage_by_prediction),
            "mature": view.mature,
        },
        "label_delay_ms": None if view.label_delay is None else dict(view.label_delay),
        "metrics": {name: dict(metric) for name, metric in view.metrics.items()},
        "service": dict(view.service),
        "inputs": {name: dict(figures) for name, figures in view.inputs.items()},
    }
