"""Series to try detectors on: stationary kinds, and the changes that may come over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.detector import Float64Array

Kind = Literal["binary", "unit", "numeric", "categories"]
"""What the values are: 0/1, numbers between 0 and 1, any numbers, categories coded as numbers."""
Role = Literal["error", "score", "numeric", "categories"]
"""What such a series is in monitoring: what defaults are chosen for."""
Sampler = Callable[[np.random.Generator, int, int], Float64Array]
"""(random generator, number of the first value, how many) -> values."""

PER_DAY = 1440
"""Values a day, where the time of day matters: one a minute."""


@dataclass(frozen=True, slots=True)
class Change:
    """What comes over a series: `sample` gives the values from the change on. `what` is its sort."""

    name: str
    what: Literal["abrupt", "gradual", "recurring", "small"]
    sample: Sampler


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of healthy series. `reference`: values that detectors may learn from. `horizon`: values after a change by
    which it must be found. `ten`: whether it is one of the kinds whose false alarms are tabled."""

    name: str
    kind: Kind
    role: Role
    sample: Sampler
    changes: tuple[Change, ...] = ()
    reference: int = 5_000
    horizon: int = 5_000
    ten: bool = False
    seasonal: bool = False


def normal(mean: float = 0.0, deviation: float = 1.0) -> Sampler:
    """Independent normal values."""
    return lambda rng, start, size: rng.normal(mean, deviation, size)


def bernoulli(rate: float) -> Sampler:
    """Independent errors, 0 or 1."""
    return lambda rng, start, size: (rng.random(size) < rate).astype(np.float64)


def lognormal(sigma: float, factor: float = 1.0) -> Sampler:
    """exp of normal values, times a factor: amounts, latencies."""
    return lambda rng, start, size: factor * rng.lognormal(0.0, sigma, size)


def student(shift: float = 0.0) -> Sampler:
    """Student's t with three degrees of freedom, scaled to unit variance: outliers."""
    return lambda rng, start, size: shift + rng.standard_t(3, size) / np.sqrt(3.0)


def mixture() -> Sampler:
    """Two humps with the mean and variance of a standard normal."""
    return lambda rng, start, size: rng.choice((-0.9, 0.9), size) + rng.normal(0.0, np.sqrt(1 - 0.81), size)


def autoregressive(phi: float, shift: float = 0.0) -> Sampler:
    """A stationary AR(1) series of unit variance."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        from scipy.signal import lfilter

        noise = rng.normal(0.0, np.sqrt(1.0 - phi * phi), size)
        values, _ = lfilter([1.0], [1.0, -phi], noise, zi=[phi * rng.normal()])
        return np.asarray(shift + values, np.float64)

    return sample


def season(shift: float = 0.0, factor: float = 1.0) -> Sampler:
    """A daily wave of amplitude 1 around 3 with normal noise of deviation .5, a value a minute."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        hour = 2.0 * np.pi * ((start + np.arange(size)) % PER_DAY) / PER_DAY
        return np.asarray(factor * (3.0 + np.sin(hour) + rng.normal(0.0, 0.5, size)) + shift, np.float64)

    return sample


def zero_inflated(zeros: float, mean: float) -> Sampler:
    """Poisson counts, a share of which is zero whatever the mean."""
    return lambda rng, start, size: np.where(rng.random(size) < zeros, 0.0, rng.poisson(mean, size).astype(np.float64))


def beta(a: float, b: float, shift: float = 0.0) -> Sampler:
    """Scores between 0 and 1; the shift is one of the logit."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        scores = np.clip(rng.beta(a, b, size), 1e-12, 1.0 - 1e-12)
        return np.asarray(1.0 / (1.0 + (1.0 / scores - 1.0) * np.exp(-shift)), np.float64)

    return sample


def categories(*weights: float) -> Sampler:
    """Independent categories 0, 1, … in proportion to the weights."""
    edges = np.cumsum(np.array(weights) / sum(weights))[:-1]
    return lambda rng, start, size: np.searchsorted(edges, rng.random(size), side="right").astype(np.float64)


def drawn(pool: Float64Array) -> Sampler:
    """Values of a sample, drawn anew with replacement."""
    return lambda rng, start, size: pool[rng.integers(len(pool), size=size)]


def in_order(pool: Float64Array, stretch: int) -> Sampler:
    """Stretches of a recorded series in the order in which they were recorded, joined at random places."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        begins = rng.integers(len(pool), size=-(-size // stretch))
        places = (begins[:, None] + np.arange(stretch)[None, :]).ravel()[:size]
        return np.asarray(pool[places % len(pool)], np.float64)

    return sample


def gradual(before: Sampler, after: Sampler, over: int) -> Sampler:
    """The share of values that come from `after` rises from none to all over so many values."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        share = np.minimum(np.arange(1, size + 1) / over, 1.0)
        return np.where(rng.random(size) < share, after(rng, start, size), before(rng, start, size))

    return sample


def recurring(before: Sampler, after: Sampler, period: int) -> Sampler:
    """`after` and `before` in turn, each for so many values."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        on = (np.arange(size) // period) % 2 == 0
        return np.where(on, after(rng, start, size), before(rng, start, size))

    return sample


def _errors(rate: float, *rises: float, reference: int = 5_000, horizon: int = 5_000, ten: bool = False) -> Family:
    healthy = bernoulli(rate)
    changes = [
        Change(f"{rate:g} to {rise:g}", "small" if rise < 1.5 * rate else "abrupt", bernoulli(rise)) for rise in rises
    ]
    if rate == 0.1:
        changes.append(Change("0.1 to 0.3 over 1,000", "gradual", gradual(healthy, bernoulli(0.3), 1_000)))
        changes.append(Change("0.1 to 0.3 and back, 200 each", "recurring", recurring(healthy, bernoulli(0.3), 200)))
    return Family(f"errors {rate:g}", "binary", "error", healthy, tuple(changes), reference, horizon, ten)


SYNTHETIC: tuple[Family, ...] = (
    Family(
        "normal", "numeric", "numeric", normal(),
        (
            Change("mean + 1 sd", "abrupt", normal(1.0)),
            Change("mean + 0.5 sd", "small", normal(0.5)),
            Change("mean + 0.25 sd", "small", normal(0.25)),
            Change("mean + 1 sd over 2,000", "gradual", gradual(normal(), normal(1.0), 2_000)),
            Change("mean + 1 sd and back, 100 each", "recurring", recurring(normal(), normal(1.0), 100)),
            Change("sd × 1.5", "abrupt", normal(0.0, 1.5)),
            Change("sd × 0.67", "abrupt", normal(0.0, 0.67)),
            Change("two humps, same mean and sd", "abrupt", mixture()),
        ),
        ten=True,
    ),
    Family(
        "lognormal", "numeric", "numeric", lognormal(1.0),
        (
            Change("× 1.3", "small", lognormal(1.0, 1.3)),
            Change("× 2", "abrupt", lognormal(1.0, 2.0)),
            Change("log-sd 1 to 1.3", "abrupt", lognormal(1.3)),
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
        (Change("mean + 1 sd", "abrupt", autoregressive(0.5, 1.0)),),
        ten=True,
    ),
    Family(
        "AR(1) 0.9", "numeric", "numeric", autoregressive(0.9),
        (Change("mean + 2 sd", "abrupt", autoregressive(0.9, 2.0)),),
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
            Change("shares move by 15 %", "abrupt", categories(35, 25, 15, 15, 10)),
            Change("shares move by 5 %", "small", categories(45, 25, 15, 10, 5)),
            Change("a new one, 5 %", "abrupt", categories(48, 24, 14, 6, 3, 5)),
            Change("3 % to 10 % over 2,000", "gradual",
                   gradual(categories(50, 25, 15, 7, 3), categories(43, 25, 15, 7, 10), 2_000)),
        ),
        ten=True,
    ),
    Family(
        "rare categories", "categories", "categories", categories(900, 95, 3, 2),
        (Change("0.2 % to 3 %", "abrupt", categories(870, 97, 3, 30)),),
        ten=True,
    ),
)  # fmt: skip
"""The made-up series."""
