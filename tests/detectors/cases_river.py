"""The exact twins of river's detectors."""

from __future__ import annotations

from tests.detectors.cases import Case, bernoulli, normal

CASES = [
    Case(
        "adwin",
        ({}, {"delta": 0.2, "clock": 1, "min_window_length": 2, "grace_period": 3}),
        healthy=normal(),
        changed=normal(1.5),
        refused=(
            ({"delta": 0.0}, "delta must lie between 0 and 1"),
            ({"delta": float("nan")}, "delta must lie between 0 and 1"),
            ({"least_change": -0.1}, "least_change must be a number of at least 0"),
            ({"clock": 0}, "clock must be at least 1"),
            ({"sigma": 1}, "adwin takes the parameters delta, clock"),
        ),
        knob=("delta", 0.25),
    ),
    Case(
        "ddm",
        (
            {"warm_start": 100, "drift_threshold": 3.5},
            {"warm_start": 5, "drift_threshold": 1.5, "warning_threshold": 1.0},
        ),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(
            ({"warm_start": -1}, "warm_start must not be negative"),
            ({"drift_threshold": -1.0}, "drift_threshold must be a number of at least 0"),
            ({"warning_threshold": float("nan")}, "warning_threshold must be a number of at least 0"),
        ),
        knob=("drift_threshold", 1.3),
    ),
    Case(
        "eddm",
        ({"alpha": 0.7, "beta": 0.6}, {}, {"warm_start": 0, "alpha": 0.99, "beta": 0.97}),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(
            ({"warm_start": -1}, "warm_start must not be negative"),
            ({"beta": 0.0}, "beta must lie above 0"),
            ({"beta": 0.8}, "alpha must be at least beta"),
        ),
        within=1000,
        knob=("beta", 0.9),
    ),
    Case(
        "hddm_a",
        ({}, {"drift_confidence": 0.1, "warning_confidence": 0.2, "two_sided_test": True}),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(
            ({"drift_confidence": 0.0}, "drift_confidence must lie above 0"),
            ({"warning_confidence": float("nan")}, "warning_confidence must lie above 0"),
            ({"two_sided_test": 1}, "two_sided_test must be true or false"),
        ),
        knob=("drift_confidence", 0.25),
    ),
    Case(
        "hddm_w",
        (
            {"drift_confidence": 1e-4},
            {"lambda_val": 0.2, "two_sided_test": True},
            {"lambda_val": 0.1, "drift_confidence": 0.01},
        ),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.7),
        refused=(
            ({"drift_confidence": 1.5}, "drift_confidence must lie above 0"),
            ({"lambda_val": 1.5}, "lambda_val must lie between 0 and 1"),
        ),
        knob=("drift_confidence", 0.25),
        shaped=True,
    ),
    Case(
        "kswin",
        ({"alpha": 1e-5}, {"window_size": 300, "stat_size": 20, "alpha": 0.05, "seed": 3}),
        healthy=normal(),
        changed=normal(3.0),
        refused=(
            ({"alpha": -0.1}, "alpha must lie between 0 and 1"),
            ({"window_size": 50}, "window_size must be at least twice stat_size"),
            ({"stat_size": 0}, "stat_size must be 1 to 10,000"),
            ({"seed": None}, "seed must be a whole number"),
        ),
        slow=True,
        knob=("alpha", 0.25),
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
    Case(
        "river:DDM",
        ({"warm_start": 100, "drift_threshold": 3.5},),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(({"warm_start": 1.5}, "warm_start must be a whole number"),),
        slow=True,
        knob=("drift_threshold", 1.3),
    ),
    Case(
        "river:DummyDriftDetector",
        ({"t_0": 400}, {"trigger_method": "random", "t_0": 100, "w": 20, "seed": 3}, {"t_0": 90, "w": 50}),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(
            ({"seed": None}, "seed must be a whole number"),
            ({"trigger_method": "random"}, "cannot work with these parameters: The 'w' value"),
            ({"trigger_method": 7}, "trigger_method must be a text"),
        ),
        slow=True,
        draws=True,
        knob=None,
    ),
    Case(
        "river:EDDM",
        ({"alpha": 0.7, "beta": 0.6},),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(({"beta": 0.9}, "'alpha' must be greater or equal to 'beta'"),),
        within=1000,
        slow=True,
        knob=("beta", 0.9),
    ),
    Case(
        "river:FHDDM",
        ({}, {"sliding_window_size": 60, "short_window_size": 20, "confidence_level": 0.001}),
        healthy=bernoulli(0.9),
        changed=bernoulli(0.3),
        refused=(
            ({"confidence_level": 0.0}, "cannot work with these parameters"),
            ({"short_window_size": 200}, "cannot work with these parameters"),
            ({"sliding_window_size": -1}, "sliding_window_size must be a whole number of at least 0"),
        ),
        slow=True,
        knob=("confidence_level", 0.25),
    ),
    Case(
        "river:HDDMA",
        ({"two_sided_test": True},),
        healthy=bernoulli(0.1),
        changed=bernoulli(0.5),
        refused=(
            ({"drift_confidence": 0.0}, "cannot work with these parameters"),
            ({"two_sided_test": 1}, "two_sided_test must be true or false"),
        ),
        slow=True,
        knob=("drift_confidence", 0.25),
    ),
    Case(
        "river:PageHinkley",
        ({"threshold": 25.0, "delta": 0.25, "alpha": 1.0},),
        healthy=normal(),
        changed=normal(1.5),
        refused=(({"mode": "sideways"}, "Invalid 'mode'"), ({"threshold": -1.0}, "threshold must be a number")),
        slow=True,
    ),
]
