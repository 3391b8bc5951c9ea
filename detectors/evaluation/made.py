"""The made-up series: stationary kinds, and the changes that may come over them."""

from __future__ import annotations

from math import log

import numpy as np

from detectors.evaluation.series import (
    Change,
    Family,
    autoregressive,
    bernoulli,
    beta,
    categories,
    gradual,
    lognormal,
    mixture,
    normal,
    recurring,
    rows,
    season,
    student,
    zero_inflated,
)


def _normal_information(shift: float, ratio: float = 1.0) -> float:
    """Of a normal value whose mean moves by so many standard deviations, whose deviation by that factor."""
    return (shift * shift + ratio * ratio - 1.0) / 2.0 - log(ratio)


def _information(after: tuple[float, ...], before: tuple[float, ...]) -> float:
    """Of categories in these proportions."""
    p, q = np.array(after) / sum(after), np.array(before) / sum(before)
    return float((p * np.log(p / q)).sum())


def _errors(rate: float, *rises: float, reference: int = 5_000, horizon: int = 5_000, ten: bool = False) -> Family:
    healthy = bernoulli(rate)
    changes = [
        Change(
            f"{rate:g} to {rise:g}", "small" if rise < 1.5 * rate else "abrupt", bernoulli(rise),
            _information((rise, 1.0 - rise), (rate, 1.0 - rate)),
        )
        for rise in rises
    ]  # fmt: skip
    if rate == 0.1:
        changes.append(Change("0.1 to 0.3 over 1,000", "gradual", gradual(healthy, bernoulli(0.3), 1_000)))
        changes.append(Change("0.1 to 0.3 and back, 200 each", "recurring", recurring(healthy, bernoulli(0.3), 200)))
    return Family(f"errors {rate:g}", "binary", "error", healthy, tuple(changes), reference, horizon, ten)


SYNTHETIC: tuple[Family, ...] = (
    Family(
        "normal", "numeric", "numeric", normal(),
        (
            Change("mean + 1 sd", "abrupt", normal(1.0), _normal_information(1.0)),
            Change("mean + 0.5 sd", "small", normal(0.5), _normal_information(0.5)),
            Change("mean + 0.25 sd", "small", normal(0.25), _normal_information(0.25)),
            Change("mean + 1 sd over 2,000", "gradual", gradual(normal(), normal(1.0), 2_000)),
            Change("mean + 1 sd and back, 100 each", "recurring", recurring(normal(), normal(1.0), 100)),
            Change("sd × 1.5", "abrupt", normal(0.0, 1.5), _normal_information(0.0, 1.5)),
            Change("sd × 0.67", "abrupt", normal(0.0, 0.67), _normal_information(0.0, 0.67)),
            Change("two humps, same mean and sd", "abrupt", mixture()),
        ),
        ten=True,
    ),
    Family(
        "lognormal", "numeric", "numeric", lognormal(1.0),
        (
            Change("× 1.3", "small", lognormal(1.0, 1.3), _normal_information(log(1.3))),
            Change("× 2", "abrupt", lognormal(1.0, 2.0), _normal_information(log(2.0))),
            Change("log-sd 1 to 1.3", "abrupt", lognormal(1.3), _normal_information(0.0, 1.3)),
        ),
        ten=True,
    ),
    Family(
        "Student t(3)", "numeric", "numeric", student(), (Change("mean + 0.5 sd", "small", student(0.5)),), ten=True
    ),
    Family("uniform", "unit", "score", lambda rng, start, size: rng.random(size), ten=True),
    _errors(0.001, 0.005, 0.01, reference=50_000, horizon=20_000),
    _errors(0.01, 0.02, 0.05, ten=True),
    _errors(0.1, 0.13, 0.2, 0.3, ten=True),
    _errors(0.3, 0.4),
    _errors(0.5, 0.6),
    Family(
        "AR(1) 0.5", "numeric", "numeric", autoregressive(0.5),
        (Change("mean + 1 sd", "abrupt", autoregressive(0.5, 1.0), 0.5 * 0.5 / 1.5),),
        ten=True,
    ),
    Family(
        "AR(1) 0.9", "numeric", "numeric", autoregressive(0.9),
        (Change("mean + 2 sd", "abrupt", autoregressive(0.9, 2.0), 2.0 * 0.1 / 1.9),),
        ten=True, reference=20_000,
    ),
    Family(
        "daily season", "numeric", "numeric", season(),
        (Change("× 1.3", "abrupt", season(factor=1.3)),),
        ten=True, reference=20_160, seasonal=True,
    ),
    Family(
        "zero-inflated Poisson", "numeric", "numeric", zero_inflated(0.8, 4.0),
        (Change("zeros 80 % to 65 %", "abrupt", zero_inflated(0.65, 4.0)),),
        ten=True,
    ),
    Family(
        "scores", "unit", "score", beta(2.0, 6.0),
        (
            Change("logit + 0.5", "abrupt", beta(2.0, 6.0, 0.5)),
            Change("logit + 0.2", "small", beta(2.0, 6.0, 0.2)),
            Change("sharper: beta(2, 6) to (4, 12)", "abrupt", beta(4.0, 12.0)),
            Change("logit + 0.5 over 2,000", "gradual", gradual(beta(2.0, 6.0), beta(2.0, 6.0, 0.5), 2_000)),
        ),
    ),
    Family(
        "five categories", "categories", "categories", categories(50, 25, 15, 7, 3),
        (
            Change(
                "shares move by 15 %", "abrupt", categories(35, 25, 15, 15, 10),
                _information((35, 25, 15, 15, 10), (50, 25, 15, 7, 3)),
            ),
            Change(
                "shares move by 5 %", "small", categories(45, 25, 15, 10, 5),
                _information((45, 25, 15, 10, 5), (50, 25, 15, 7, 3)),
            ),
            Change("a new one, 5 %", "abrupt", categories(48, 24, 14, 6, 3, 5)),
            Change("3 % to 10 % over 2,000", "gradual",
                   gradual(categories(50, 25, 15, 7, 3), categories(43, 25, 15, 7, 10), 2_000)),
        ),
        ten=True,
    ),
    Family(
        "rare categories", "categories", "categories", categories(900, 95, 3, 2),
        (
            Change(
                "0.2 % to 3 %", "abrupt", categories(870, 97, 3, 30),
                _information((870, 97, 3, 30), (900, 95, 3, 2)),
            ),
        ),
        ten=True,
    ),
    Family(
        "rows of eight", "rows", "rows", rows(8, 0.5),
        (
            Change("one feature + 1 sd", "abrupt", rows(8, 0.5, 1.0, 1)),
            Change("all + 0.5 sd", "abrupt", rows(8, 0.5, 0.5, 8)),
            Change("sd × 1.5", "abrupt", rows(8, 0.5, deviation=1.5)),
            Change("correlation 0.5 to 0", "abrupt", rows(8, 0.0)),
        ),
        reference=2_000, ten=True,
    ),
)  # fmt: skip
"""The made-up series."""
