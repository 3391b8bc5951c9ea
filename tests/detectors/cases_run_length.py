"""The detectors of a level with a run length: cusum, ewma, focus, variance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.detectors.cases import Array, Case, normal


def shares(a: float, b: float) -> Callable[[np.random.Generator, int], Array]:
    """Independent beta values: above 0 and below 1, so that every family of focus has them."""
    return lambda rng, size: rng.beta(a, b, size)


CASES = [
    Case(
        "cusum",
        (
            {"decision_interval": 8.0},
            {"reference_value": 0.25, "decision_interval": 4.0, "target": 0.2, "scale": 0.9, "direction": "up"},
            {"reference_value": 0.0, "decision_interval": 15.0, "direction": "down"},
        ),
        healthy=normal(),
        changed=normal(1.0),
        within=100,
        refused=(
            ({"reference_value": -0.5}, "reference_value must be a number of at least 0"),
            ({"decision_interval": 0.0}, "decision_interval must be a number above 0"),
            ({"target": float("nan")}, "target must be a number"),
            ({"scale": 0.0}, "scale must be a number above 0"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
        ),
        knob=("decision_interval", 1.3),
    ),
    Case(
        "ewma",
        (
            {"limit": 4.0},
            {"smoothing": 0.3, "limit": 2.5, "target": 0.2, "scale": 0.9, "direction": "up"},
            {"smoothing": 0.05, "limit": 2.5, "direction": "down"},
            {"smoothing": 1.0, "limit": 3.0},
        ),
        healthy=normal(),
        changed=normal(1.0),
        within=200,
        refused=(
            ({"smoothing": 0.0}, "smoothing must lie above 0 and be at most 1"),
            ({"smoothing": 1.5}, "smoothing must lie above 0 and be at most 1"),
            ({"limit": float("inf")}, "limit must be a number above 0"),
            ({"target": float("nan")}, "target must be a number"),
            ({"scale": -1.0}, "scale must be a number above 0"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
        ),
        knob=("limit", 1.3),
        shaped=True,
    ),
    Case(
        "focus",
        (
            {"threshold": 12.0, "scale": 0.224},
            {"threshold": 12.0, "target": 0.52, "scale": 0.25},
            {"threshold": 3.0, "scale": 0.2, "direction": "up"},
            {"threshold": 3.0, "scale": 0.2, "direction": "down", "target": 0.6},
            {"threshold": 3.0, "family": "bernoulli"},
            {"threshold": 2.0, "family": "bernoulli", "target": 0.5},
            {"threshold": 1.5, "family": "poisson"},
            {"threshold": 1.5, "family": "poisson", "target": 0.5, "direction": "up"},
            {"threshold": 5.0, "family": "gamma", "shape": 2.0},
            {"threshold": 5.0, "family": "gamma", "target": 0.5},
            {"threshold": 1.5, "scale": 0.2, "least_change": 0.05},
        ),
        healthy=shares(2.0, 2.0),
        changed=shares(6.0, 2.0),
        within=100,
        refused=(
            ({"threshold": 0.0}, "threshold must be a number above 0"),
            ({"least_change": -0.1}, "least_change must be a number of at least 0"),
            ({"family": "binomial"}, "family must be gaussian, bernoulli, poisson or gamma"),
            ({"family": "bernoulli", "target": 1.0}, "target must lie between .* for bernoulli"),
            ({"family": "poisson", "target": 0.0}, "target must lie between .* for poisson"),
            ({"target": float("nan")}, "target must lie between"),
            ({"scale": 0.0}, "scale must be a number above 0"),
            ({"shape": -1.0}, "shape must lie between"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
        ),
    ),
    Case(
        "variance",
        (
            {"threshold": 8.0},
            {"ratio": 2.0, "threshold": 3.0, "target": 0.2, "scale": 0.9, "direction": "up"},
            {"ratio": 1.3, "threshold": 2.0, "direction": "down", "scale": 2.0},
        ),
        healthy=normal(),
        changed=normal(0.0, 2.0),
        within=200,
        refused=(
            ({"ratio": 1.0}, "ratio must lie above 1"),
            ({"threshold": 0.0}, "threshold must be a number above 0"),
            ({"target": float("inf")}, "target must be a number"),
            ({"scale": 0.0}, "scale must be a number above 0"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
        ),
    ),
]
