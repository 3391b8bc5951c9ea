"""Detectors that bet against health, and small windows against a reference."""

from __future__ import annotations

import numpy as np

from tests.detectors.cases import Case, bernoulli, normal

REFERENCE = np.random.default_rng(7).normal(size=200)

CASES = [
    Case(
        "conformal",
        ({"threshold": 1e4, "history": 500}, {"threshold": 300.0, "history": 50, "seed": 2**63 - 1}),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"threshold": float("inf")}, "threshold must be a run length of 1 to 1e12"),
            ({"history": 3}, "history must be 20 to 1,000,000"),
            ({"seed": -1}, "seed must be 0 to"),
        ),
        within=200,
        draws=True,
    ),
    Case(
        "shiryaev_roberts",
        (
            {"bound": 0.1, "threshold": 1e4},
            {"bound": 0.2, "lower": 0.1, "low": -0.5, "high": 2.0, "direction": "both", "threshold": 200.0, "bets": 5},
            {"bound": 0.3, "direction": "down", "threshold": 300.0, "bets": 1},
        ),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.35),
        refused=(
            ({"bound": 1.0}, "bound must lie between low and high"),
            ({"bound": float("nan")}, "bound must lie between low and high"),
            ({"low": 2.0}, "low must lie below high"),
            ({"low": -1.7e308, "high": 1.7e308}, "low must lie below high, both finite"),
            ({"threshold": 1e13}, "threshold must be a run length of 1 to 1e12"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
            ({"lower": 0.05}, "lower is for direction both"),
            ({"lower": 0.2, "direction": "both"}, "lower must lie above low and be at most bound"),
            ({"bets": 0}, "bets must be 1 to 256"),
        ),
        within=200,
        shaped=True,
    ),
    Case(
        "welch_t",
        (
            {"reference": REFERENCE, "window": 60, "threshold": 6.0},
            {"reference": REFERENCE, "window": 7, "threshold": 2.0, "direction": "up", "min_effect": 0.5},
            {"reference": REFERENCE, "window": 2, "threshold": 4.0, "direction": "down"},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"reference": [1.0, np.nan]}, "at least 30 finite values"),
            ({"reference": [1.0] * 50}, "reference must vary"),
            ({"window": 1}, "window must be 2 to 1,000,000"),
            ({"threshold": 0.0}, "threshold must be a number above 0"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
            ({"min_effect": -1.0}, "min_effect must be a number of at least 0"),
        ),
        within=200,
    ),
    Case(
        "z_score",
        (
            {"target": 0.0, "scale": 1.0, "window": 60, "threshold": 5.0},
            {"target": 0.1, "scale": 1.1, "window": 1, "threshold": 2.5, "direction": "up"},
            {"target": 0.0, "scale": 1.0, "window": 7, "threshold": 2.0, "direction": "down", "min_effect": 0.5},
        ),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"target": float("nan")}, "target must be a number"),
            ({"scale": 0.0}, "scale must be a number above 0"),
            ({"window": 0}, "window must be 1 to 1,000,000"),
            ({"threshold": 0.0}, "threshold must be a number above 0"),
            ({"direction": "sideways"}, "direction must be up, down or both"),
            ({"min_effect": -1.0}, "min_effect must be a number of at least 0"),
        ),
        within=200,
    ),
]
