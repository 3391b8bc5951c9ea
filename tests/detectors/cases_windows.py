"""Detectors that compare a window with a reference."""

from __future__ import annotations

import numpy as np

from tests.detectors.cases import Case, categories, normal

REFERENCE = np.random.default_rng(7).normal(size=200)
CATEGORIES = np.random.default_rng(7).integers(4, size=200).astype(float)

CASES = [
    Case(
        "windowed_ks",
        ({"reference": REFERENCE, "window": 40, "threshold": 0.4},),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"reference": [1.0, np.nan]}, "at least 30 finite values"),
            ({"threshold": 0.0}, "threshold must lie above 0"),
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
