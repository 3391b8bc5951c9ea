"""Detectors that compare a window with a reference."""

from __future__ import annotations

import numpy as np

from tests.detectors.cases import Case, categories, normal

REFERENCE = np.random.default_rng(7).normal(size=200)
TIED = np.round(REFERENCE)
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
            ({"window": 5}, "window must be 10 to 1,000,000"),
            ({"before": 50}, "a reference takes its place"),
            ({"reference": None, "before": 3}, "before must be 10 to 1,000,000"),
        ),
    ),
    Case(
        "chi_squared",
        ({"reference": CATEGORIES, "window": 60, "threshold": 40.0, "min_effect": 0.05},),
        healthy=categories(1, 1, 1, 1),
        changed=categories(1, 1),
        refused=(
            ({"window": 3}, "window must be 10 to 1,000,000"),
            ({"window": 2_000_000}, "window must be 10 to 1,000,000"),
        ),
    ),
    Case(
        "cramer_von_mises",
        (
            {"reference": REFERENCE, "window": 40, "threshold": 2.0},
            {"reference": TIED, "window": 50, "threshold": 1.0, "min_effect": 0.25},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"window": 9}, "window must be 10 to 1,000,000"),
            ({"threshold": float("nan")}, "threshold must be a number above 0"),
            ({"min_effect": 0.7}, "min_effect must be at least 0 and below 0.6"),
        ),
    ),
    Case(
        "wasserstein",
        (
            {"reference": REFERENCE, "window": 40, "threshold": 0.7},
            {"reference": TIED, "window": 50, "threshold": 0.4, "unit": "value"},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"window": 9}, "window must be 10 to 1,000,000"),
            ({"threshold": -1.0}, "threshold must be a number above 0"),
            ({"unit": "percent"}, "unit must be deviation or value"),
            ({"reference": np.zeros(50)}, "needs a reference that varies"),
        ),
    ),
    Case(
        "jensen_shannon",
        (
            {"reference": REFERENCE, "window": 40, "threshold": 0.4},
            {"reference": TIED, "window": 50, "threshold": 0.2, "cells": "categories", "min_effect": 0.2},
            {"reference": REFERENCE, "window": 40, "threshold": 0.25, "cells": "quantile", "bins": 5},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"threshold": 1.0}, "threshold must be below 1"),
            ({"cells": "round"}, "cells must be linear, quantile or categories"),
            ({"bins": 1}, "bins must be 2 to 1000"),
        ),
    ),
    Case(
        "psi",
        (
            {"reference": REFERENCE, "window": 40, "threshold": 1.5},
            {"reference": TIED, "window": 50, "threshold": 0.6, "cells": "categories", "min_effect": 0.2},
            {"reference": REFERENCE, "window": 40, "threshold": 0.6, "cells": "quantile", "bins": 5, "smoothing": 1.0},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"window": 9}, "window must be 10 to 1,000,000"),
            ({"threshold": 0.0}, "threshold must be a number above 0"),
            ({"min_effect": 1.0}, "min_effect must be at least 0 and below 1"),
            ({"smoothing": 0.0}, "smoothing must be a number above 0"),
        ),
    ),
]
