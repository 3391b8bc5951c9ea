"""Detectors that compare a window with a reference."""

from __future__ import annotations

import numpy as np

from tests.detectors.cases import Case, categories, normal

REFERENCE = np.random.default_rng(7).normal(size=200)
CATEGORIES = np.random.default_rng(7).integers(4, size=200).astype(float)

CASES = [
    Case(
        "windowed_ks",
        (
            {"reference": REFERENCE, "window": 40, "threshold": 0.4},
            {"reference": None, "window": 30, "threshold": 0.45, "before": 50},
            {"window": 60, "threshold": 0.3},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"reference": [1.0, np.nan]}, "at least 30 finite values"),
            ({"threshold": 0.0}, "threshold must lie above 0"),
            ({"window": 5}, "window must be at least 10"),
            ({"before": 50}, "a reference takes its place"),
            ({"reference": None, "before": 3}, "before must be at least 10"),
        ),
    ),
    Case(
        "chi_squared",
        ({"reference": CATEGORIES, "window": 60, "threshold": 40.0, "min_effect": 0.05},),
        healthy=categories(1, 1, 1, 1),
        changed=categories(1, 1),
        refused=(({"window": 3}, "window must be at least 10"),),
    ),
]
