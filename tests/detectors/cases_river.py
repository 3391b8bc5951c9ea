"""The exact twins of river's detectors."""

from __future__ import annotations

from tests.detectors.cases import Case, normal

CASES = [
    Case(
        "adwin",
        ({}, {"delta": 0.2, "clock": 1, "min_window_length": 2, "grace_period": 3}),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"delta": 0.0}, "delta must lie between 0 and 1"),
            ({"delta": float("nan")}, "delta must lie between 0 and 1"),
            ({"clock": 0}, "clock must be at least 1"),
            ({"sigma": 1}, "adwin takes the parameters delta, clock"),
        ),
    ),
    Case(
        "page_hinkley",
        (
            {"threshold": 25.0, "delta": 0.25, "alpha": 1.0},
            {"threshold": 3.0, "mode": "up", "alpha": 0.999, "min_instances": 5},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"mode": "sideways"}, "mode must be up, down or both"),
            ({"threshold": -1.0}, "threshold must be a number above 0"),
            ({"alpha": 1.5}, "alpha must lie above 0"),
        ),
    ),
]
