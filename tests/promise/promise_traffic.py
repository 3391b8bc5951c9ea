"""Traffic for the promise: models as a service meets them, a prediction a minute, for two months.

A model has 18 numeric features, two categorical ones, a score and an error, in four regions. Numbers have a daily and
a weekly season and depend on their past (AR(1), phi .3 to .8); some have heavy tails, some are mostly zero, some are
counts; some are now and then missing. Nothing here is fitted to a detector: a change is what a person would call one
(an amount 1.3 times as large), and its size is told by the process itself (`kl`, in nats for a value, given the past).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import log, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.stats import t as student

Float64Array = npt.NDArray[np.float64]

DAY = 1440
"""Values a day."""
MINUTE = 60_000
MONDAY = 1_789_948_800_000
"""The first minute: a Monday, midnight UTC, in epoch milliseconds."""
FACTOR, SCORE_SHIFT, CHANGED_ERROR, NULLS, NEWCOMERS = 1.3, 0.5, 0.2, 0.3, 0.1
"""Planted changes: of a feature, of the score (standard deviations), of the error rate, of the share of nulls, and the
share of a category that was not there before."""
ERROR = 0.1
TAIL = 4
"""Degrees of freedom of heavy-tailed innovations."""
CATEGORIES = 8

Change = Literal["error", "feature", "score", "category", "nulls"]
Family = Literal["gaussian", "lognormal", "heavy", "zero_inflated", "count"]
FAMILIES: tuple[Family, ...] = (
    *("gaussian",) * 8, *("lognormal",) * 4, *("heavy",) * 3, *("zero_inflated",) * 1, *("count",) * 2,
)  # fmt: skip


def season(minutes: npt.NDArray[np.int64], phase: float) -> Float64Array:
    """The shape of a week: a wave a day, smaller and lower at the weekend. Between about -1 and 1."""
    weekend = (minutes // DAY % 7) >= 5
    wave = np.sin(2 * np.pi * (minutes % DAY / DAY - phase))
    return np.where(weekend, 0.6 * wave - 0.4, wave)


def autoregressive(rng: np.random.Generator, n: int, phi: float, tail: int | None = None) -> Float64Array:
    """AR(1) of variance 1; its innovations normal, or Student's with `tail` degrees of freedom."""
    made = rng.standard_normal(n) if tail is None else rng.standard_t(tail, n) / sqrt(tail / (tail - 2))
    made[1:] *= sqrt(1 - phi * phi)
    return np.asarray(lfilter([1.0], [1.0, -phi], made), np.float64)


@dataclass(frozen=True)
class Feature:
    """A numeric feature. `level` is its location in standard deviations of its noise (of a count: its mean), `spread`
    the deviation of the logarithm where it is positive by nature, `season` the wave's height in standard deviations."""

    family: Family
    unit: float
    level: float
    spread: float
    phi: float
    season: float
    phase: float
    missing: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, family: Family) -> Feature:
        """One as services have them."""
        return cls(
            family,
            unit=float(10 ** rng.uniform(-2, 3)),
            level=float(rng.uniform(8, 20) if family == "count" else rng.uniform(3, 6)),
            spread=float(rng.uniform(0.3, 0.5)),
            phi=float(rng.choice([0.3, 0.5, 0.7, 0.8] if family in ("gaussian", "heavy") else [0.3, 0.5])),
            season=float(rng.choice([0.0, 0.4, 0.8])),
            phase=float(rng.uniform()),
            missing=float(rng.choice([0.0, 0.0, 0.005, 0.02])),
        )

    def values(self, noise: Float64Array, minutes: npt.NDArray[np.int64], factor: Float64Array,
               rng: np.random.Generator) -> Float64Array:  # fmt: skip
        """The values over such noise; `factor` is what each is multiplied by."""
        wave = self.season * season(minutes, self.phase)
        match self.family:
            case "gaussian" | "heavy":
                made = self.level + wave + noise
            case "lognormal":
                made = np.exp(self.spread * (wave + noise))
            case "zero_inflated":
                made = np.where(noise > 0.2, np.exp(self.spread * rng.standard_normal(len(noise))), 0.0)
            case "count":
                return rng.poisson(self.level * factor * (1 + 0.3 * wave)).astype(np.float64)
        return self.unit * made * factor

    @property
    def kl(self) -> float:
        """Of the process FACTOR times as large against itself, in nats for a value, given the past; over the season."""
        wave = self.season * season(np.arange(7 * DAY), self.phase)
        growth, innovation = log(FACTOR), sqrt(1 - self.phi**2)
        drift = (FACTOR - 1) * (1 - self.phi) * (self.level + wave) / innovation  # in deviations of an innovation
        match self.family:
            case "gaussian":
                return float((-growth + (FACTOR**2 + drift**2) / 2 - 0.5).mean())
            case "heavy":
                scale = 1 / sqrt(TAIL / (TAIL - 2))
                at = np.linspace(-40, 40, 8001)
                after = student.pdf(at, TAIL, float(drift.mean()), FACTOR * scale)
                ratio = student.logpdf(at, TAIL, float(drift.mean()), FACTOR * scale) - student.logpdf(
                    at, TAIL, 0, scale
                )
                return float(np.trapezoid(after * ratio, at))
            case "lognormal":
                return (growth * (1 - self.phi) / (self.spread * innovation)) ** 2 / 2
            case "zero_inflated":
                return 0.42 * (growth / self.spread) ** 2 / 2  # P(N > .2) = .42
            case "count":
                return float((self.level * (1 + 0.3 * wave)).mean()) * (FACTOR * growth - FACTOR + 1)


@dataclass(frozen=True)
class Columns:
    """What a model did: a row a minute."""

    minutes: npt.NDArray[np.int64]
    numbers: Float64Array  # shape (n, 18), NaN where missing
    texts: npt.NDArray[np.int32]  # shape (n, 2): a category's number
    score: Float64Array
    wrong: npt.NDArray[np.bool_]
    region: npt.NDArray[np.int32]


class Model:
    """A model of the world, by its seed. `plan` says in which minute each change sets in; the others are healthy."""

    def __init__(self, seed: np.random.SeedSequence) -> None:
        shape, self._draws = seed.spawn(2)
        rng = np.random.default_rng(shape)
        self.features = [Feature.drawn(rng, family) for family in FAMILIES]
        self._weights = [rng.dirichlet(np.full(CATEGORIES, 3.0)) for _ in range(2)]
        self._phases = rng.uniform(size=3)
        self.scaled = int(rng.integers(len(FAMILIES)))
        """The feature that a change makes larger."""
        self.nulled = int((self.scaled + 1 + rng.integers(len(FAMILIES) - 1)) % len(FAMILIES))
        """The feature that a change makes missing."""

    def _streams(self) -> Iterator[np.random.Generator]:
        """A generator for each column, the same ones each time."""
        for k in count():
            key = (*self._draws.spawn_key, k)
            yield np.random.default_rng(np.random.SeedSequence(self._draws.entropy, spawn_key=key))

    def columns(self, days: int, plan: dict[Change, int]) -> Columns:
        """The first `days` days. The same seed gives the same healthy part, whatever is planned."""
        n = days * DAY
        minutes = np.arange(n)
        streams = self._streams()
        after = {change: minutes >= at for change, at in plan.items()}
        never = np.zeros(n, bool)
        noises, numbers = [], np.empty((n, len(self.features)))
        for k, feature in enumerate(self.features):
            rng = next(streams)
            lost = rng.random(n)
            noises.append(autoregressive(rng, n, feature.phi, TAIL if feature.family == "heavy" else None))
            changed = after.get("feature", never) & (k == self.scaled)
            numbers[:, k] = feature.values(noises[k], minutes, np.where(changed, FACTOR, 1.0), rng)
            nulls = np.where(after.get("nulls", never) & (k == self.nulled), NULLS, feature.missing)
            numbers[lost < nulls, k] = np.nan
        texts = [self._texts(k, minutes, after.get("category", never), next(streams)) for k in range(2)]
        score = self._score(noises, minutes, after.get("score", never), next(streams))
        error = self._error(minutes) * np.where(after.get("error", never), CHANGED_ERROR / ERROR, 1.0)
        wrong = next(streams).random(n) < error
        region = next(streams).choice(4, n, p=[0.4, 0.3, 0.2, 0.1]).astype(np.int32)
        return Columns(minutes, numbers, np.column_stack(texts), score, wrong, region)

    def _texts(self, k: int, minutes: npt.NDArray[np.int64], changed: npt.NDArray[np.bool_],
               rng: np.random.Generator) -> npt.NDArray[np.int32]:  # fmt: skip
        """Categories; the first feature's new one is not among them. By night, the first two are a little rarer."""
        cumulated = np.cumsum(self._weights[k])
        draw = rng.random(len(minutes))
        draw = np.clip(draw ** (1 + 0.05 * season(minutes, self._phases[k])), 0, 1 - 1e-12)
        made = np.searchsorted(cumulated, draw * cumulated[-1], side="right").astype(np.int32)
        new = (rng.random(len(minutes)) < NEWCOMERS) & changed & (k == 0)
        made[new] = CATEGORIES
        return made

    def _score(self, noises: list[Float64Array], minutes: npt.NDArray[np.int64], changed: npt.NDArray[np.bool_],
               rng: np.random.Generator) -> Float64Array:  # fmt: skip
        """A probability: half of its logit's variance from the first two features, half its own."""
        logit = 0.5 * (noises[0] + noises[1]) + 0.4 * season(minutes, self._phases[2])
        logit += sqrt(0.5) * rng.standard_normal(len(minutes)) + SCORE_SHIFT * self._deviation * changed
        return np.asarray(1 / (1 + np.exp(1 - logit)), np.float64)

    @property
    def _deviation(self) -> float:
        wave = 0.4 * season(np.arange(7 * DAY), self._phases[2])
        return sqrt(1 + float(wave.var()))

    def _error(self, minutes: npt.NDArray[np.int64]) -> Float64Array:
        return ERROR * (1 + 0.2 * season(minutes, self._phases[2]))

    def kl(self, change: Change) -> float:
        """Of a change, in nats for a value of its own series, given its past. What was never seen in n values is
        taken to have had a probability of 1 / 2n."""
        unseen = 1 / (2 * 28 * DAY)
        match change:
            case "error":
                return _bernoulli(CHANGED_ERROR, ERROR)
            case "feature":
                return self.features[self.scaled].kl
            case "nulls":
                return _bernoulli(NULLS, max(self.features[self.nulled].missing, unseen))
            case "category":
                return _bernoulli(NEWCOMERS, unseen)
            case "score":
                # of a shift in a Gaussian process: its square over twice the long-run variance
                phis = [feature.phi for feature in self.features[:2]]
                long_run = sum(0.25 * (1 + phi) / (1 - phi) for phi in phis) + 0.5
                return (SCORE_SHIFT * self._deviation) ** 2 / (2 * long_run)

    def subject(self, change: Change) -> str:
        """The subject whose alert finds the change."""
        match change:
            case "feature":
                return f"features.f{self.scaled}"
            case "nulls":
                return f"missing.f{self.nulled}"
            case "category":
                return "features.c0"
            case _:
                return change


def _bernoulli(after: float, before: float) -> float:
    return after * log(after / before) + (1 - after) * log((1 - after) / (1 - before))
