"""The detectors of a level with a run length: cusum, ewma, focus, variance."""

from __future__ import annotations

from tests.detectors.cases import Case, normal

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
