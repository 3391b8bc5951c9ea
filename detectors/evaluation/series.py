"""What series are made of: samplers of healthy and of changed values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.detector import Float64Array

Kind = Literal["binary", "unit", "numeric", "categories", "rows"]
"""What the values are: 0/1, numbers between 0 and 1, any numbers, categories coded as numbers, rows of numbers."""
Role = Literal["error", "score", "numeric", "categories", "rows"]
"""What such a series is in monitoring: what defaults are chosen for."""
Sampler = Callable[[np.random.Generator, int, int], Float64Array]
"""(random generator, number of the first value, how many) -> values."""

PER_DAY = 1440
"""Values a day, where the time of day matters: one a minute."""


@dataclass(frozen=True, slots=True)
class Change:
    """What comes over a series: `sample` gives the values from the change on. `what` is its sort. `information` is the
    relative entropy of a value after the change to one before, in nats, where it is known: no detector whose false
    alarms are 1/L apart finds the change sooner than in about log L / information values on average (Lorden: Procedures
    for reacting to a change in distribution. Ann. Math. Statist. 42, 1971, 1897-1908)."""

    name: str
    what: Literal["abrupt", "gradual", "recurring", "small"]
    sample: Sampler
    information: float | None = None


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


def rows(features: int, correlation: float, shift: float = 0.0, shifted: int = 0, deviation: float = 1.0) -> Sampler:
    """Rows of normal values, each pair of them correlated alike; the first `shifted` features move by the shift."""
    means = np.where(np.arange(features) < shifted, shift, 0.0)

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        common, own = rng.normal(size=(size, 1)), rng.normal(size=(size, features))
        values = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own
        return np.asarray(means + deviation * values, np.float64)

    return sample


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


def mixed(before: Sampler, after: Sampler, share: float) -> Sampler:
    """Values of `before`, a share of them replaced by ones of `after`."""

    def sample(rng: np.random.Generator, start: int, size: int) -> Float64Array:
        values = before(rng, start, size)
        some = np.flatnonzero(rng.random(size) < share)
        values[some] = after(rng, start, len(some))
        return values

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
