"""Detectors over rows of several features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from detectors.multivariate.half_space_trees import HalfSpaceTreesParams
from detectors.multivariate.isolation_forest import IsolationForestParams
from detectors.multivariate.one_class_svm import OneClassSVMParams
from tests.detectors.cases import Array, Case

REFERENCE = np.random.default_rng(7).normal(size=(300, 3))
WIDE = np.random.default_rng(8).normal(size=(2000, 3))
MISSING = np.full((200, 3), np.nan)


def rows(mean: float = 0.0) -> Callable[[np.random.Generator, int], Array]:
    """Independent rows of three normal features."""
    return lambda rng, size: rng.normal(mean, 1.0, (size, 3))


def without_reference(params: Any) -> dict[str, Any]:
    """What a snapshot holds: all that was fitted, and no reference."""
    return {name: getattr(params, name) for name in params.__dataclass_fields__}


OUTLYING: tuple[tuple[dict[str, Any], str], ...] = (
    ({"reference": None}, "give a reference to fit on"),
    ({"reference": MISSING}, "at least 100 rows without a missing value"),
    ({"reference": [1.0] * 200}, "reference must be rows of equally many features"),
    ({"reference": [[1.0], [1.0, 2.0]]}, "reference must be rows of equally many features"),
    ({"reference": np.full((200, 2), 1e200)}, "reference must hold numbers within"),
    ({"reference": np.zeros((200, 0))}, "reference must have 1 to 1024 features"),
    ({"window": 9}, "window must be 10 to 1,000,000"),
    ({"threshold": 1.0}, "threshold must lie between 0 and 1"),
    ({"share": 0.0}, "share must lie between 0 and 1"),
    ({"share": 0.001}, "of 150 held-out rows is less than one row"),
    ({"seed": -1}, "seed must be 0 to"),
)
WINDOW = {"reference": REFERENCE, "window": 40, "threshold": 0.45}
FITTED = without_reference(
    IsolationForestParams(reference=REFERENCE, window=30, threshold=0.3, trees=5, sample=32, share=0.2)
)

CASES = [
    Case(
        "domain_classifier",
        (
            {"reference": WIDE, "threshold": 1e4},
            {"reference": REFERENCE, "threshold": 50.0, "products": False, "seed": 2**63 - 1},
        ),
        healthy=rows(),
        changed=rows(1.0),
        refused=(
            ({"reference": None}, "give a reference to fit on"),
            ({"reference": MISSING}, "at least 100 rows without a missing value"),
            ({"reference": np.random.default_rng(1).normal(size=(200, 65))}, "at most 64 features"),
            ({"threshold": float("inf")}, "threshold must be a run length of 1 to 1e12"),
            ({"products": "yes"}, "products must be true or false"),
            ({"seed": -1}, "seed must be 0 to"),
        ),
        slow=True,
        draws=True,
    ),
    Case(
        "half_space_trees",
        (
            WINDOW | {"trees": 7, "height": 5},
            without_reference(
                HalfSpaceTreesParams(reference=REFERENCE, window=30, threshold=0.3, trees=4, height=3, share=0.2)
            ),
        ),
        healthy=rows(),
        changed=rows(1.5),
        refused=(
            *OUTLYING,
            ({"trees": 0}, "trees must be 1 to 1000"),
            ({"height": 13}, "height must be 1 to 12"),
        ),
        slow=True,
    ),
    Case(
        "isolation_forest",
        (WINDOW | {"trees": 6, "sample": 32}, FITTED),
        healthy=rows(),
        changed=rows(1.5),
        refused=(
            *OUTLYING,
            ({"trees": 0}, "trees must be 1 to 1000"),
            ({"sample": 1}, "sample must be 2 to 4096"),
            (FITTED | {"children": np.zeros_like(FITTED["children"])}, "children must come after their parents"),
            (FITTED | {"children": FITTED["children"] + 1000}, "children must be 0 to under"),
            (FITTED | {"questions": FITTED["questions"] + 0.5}, "questions must be 0 to under 3"),
            (FITTED | {"cuts": None}, "give a reference to fit on, or cuts"),
            (FITTED | {"lengths": FITTED["lengths"][1:]}, "lengths does not fit the other parameters"),
        ),
        slow=True,
    ),
    Case(
        "mmd",
        (
            {"reference": REFERENCE, "window": 40, "threshold": 0.45},
            {"reference": REFERENCE, "window": 30, "threshold": 0.3, "waves": 5, "bandwidth": 1.5, "seed": 3},
        ),
        healthy=rows(),
        changed=rows(1.0),
        refused=(
            ({"reference": None}, "give a reference to fit on"),
            ({"reference": MISSING}, "at least 50 rows without a missing value"),
            ({"window": 9}, "window must be 10 to 1,000,000"),
            ({"threshold": 2.5}, "threshold must lie above 0 and be at most 2"),
            ({"waves": 0}, "waves must be 1 to 4096"),
            ({"bandwidth": -1.0}, "bandwidth must be a number of at least 0"),
            ({"seed": -1}, "seed must be 0 to"),
        ),
        slow=True,
    ),
    Case(
        "one_class_svm",
        (
            WINDOW | {"nu": 0.2, "sample": 100},
            without_reference(OneClassSVMParams(reference=REFERENCE, window=30, threshold=0.3, gamma=0.7, share=0.2)),
        ),
        healthy=rows(),
        changed=rows(1.5),
        refused=(
            *OUTLYING,
            ({"nu": 1.0}, "nu must lie between 0 and 1"),
            ({"gamma": float("nan")}, "gamma must be a number of at least 0"),
            ({"sample": 10}, "sample must be 50 to 10,000"),
        ),
        slow=True,
    ),
]
