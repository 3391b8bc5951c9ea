"""Domain classifier: a model that learns to tell live rows from the reference's bets on telling the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, tanh
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import (
    ALARMED,
    IGNORED,
    OBJECTS,
    SEEN,
    SINCE,
    Float64Array,
    Int64Array,
    State,
    demand,
    finite,
)
from detectors.multivariate.rows import FittedParams, Int32Array, Rows, fitted, reference_rows, standardize
from detectors.snapshot import SnapshotError

_RUN, _PLACE, _DRAWN = 4, 5, 6  # places in counts: rows since the start, pairs in this round, numbers drawn
_EDGE = 4.0  # deviations at which a feature is held: a wild row must not teach too much
_RATES = np.array([0.5, 0.1, 0.02])  # how fast each classifier learns, and forgets
_BETS = np.array([1.0, 0.5, 0.2])  # parts of what each classifier is sure of that are bet
_KEPT = 0.01  # of a classifier's weights, times its rate, is forgotten at each row
_WIDEST = 64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_ONE = np.uint64(0xBF58476D1CE4E5B9)
_MIX_TWO = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class DomainClassifierParams(FittedParams):
    __doc__ = f"""Parameters.

    {FittedParams.__doc__} At least 100, of at most 64 features. threshold: alarm level, in rows: the average run length
    between false alarms is at least this; up to 1e12. products: whether the classifiers see the squares and products of
    the features too, hence variances and correlations. seed: of the order in which reference rows are drawn. Fitted:
    partners (the reference rows that live ones are told from; a tenth of the reference sets the scale alone)."""

    threshold: float = 1e5
    products: bool = True
    seed: int = 0
    partners: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        demand(1 <= self.threshold <= 1e12, "threshold must be a run length of 1 to 1e12 rows")
        demand(isinstance(self.products, (bool, np.bool_)), "products must be true or false")
        demand(0 <= self.seed < 2**63, "seed must be 0 to 2^63 - 1")
        if self.reference is not None:
            rows = reference_rows(self.reference, 100)
            rows = rows[np.random.default_rng(self.seed).permutation(len(rows))]
            self._fit_scale(rows[: len(rows) // 10])
            self._set(partners=rows[len(rows) // 10 :], reference=None)
        self._check_scale()
        demand(self.features <= _WIDEST, f"a domain classifier takes at most {_WIDEST} features")
        partners = fitted(self.partners, "partners", None, self.features)
        demand(len(partners) > 0, "partners must be rows")
        self._set(products=bool(self.products), partners=partners)

    @property
    def inputs(self) -> int:
        """What the classifiers see of a row: its features, and where `products` their squares and products."""
        d = self.features
        return d + d * (d + 1) // 2 if self.products else d


class DomainClassifier(Rows):
    """A classifier two-sample test by betting, with Shiryaev-Roberts restarts: a change of the joint distribution.

    Each live row is paired with a reference row, drawn by the seed, and three logistic classifiers of different memory
    say which of the two is the live one, learnt from the pairs before. While live rows are like the reference's, either
    is as likely, whatever the classifiers have learnt, and a bet on what they say is fair; a stake of 1 comes in at
    every row and an alarm takes `threshold`, so over any n rows at most n / threshold alarms are expected, and the
    average run length is at least the threshold. That holds for any distribution, at all times, the reference's own
    chance included, because each reference row is used once: when all have been, the classifiers and what is held start
    afresh (a new round) with all of them in another order, so each round is as fair as the first. It needs rows that
    are independent, of one distribution. A change so small that a reference of this size cannot tell it is not found.

    What holds in closed form: threshold = the run length wanted, in rows, whatever the other parameters.

    Memory: 8 bytes × (features + 1) × reference, plus 64 bytes × inputs (features, their squares and products).

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = DomainClassifier(DomainClassifierParams(reference=rng.normal(size=(5000, 2))))
    >>> correlated = rng.normal(size=(400, 1)) + 0.3 * rng.normal(size=(400, 2))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=(2000, 2)), correlated]))[0])
    2066

    Podkopaev, Ramdas: Sequential predictive two-sample and independence testing. NeurIPS 2023. Lopez-Paz, Oquab:
    Revisiting classifier two-sample tests. ICLR 2017. Restarts: Shin, Ramdas, Rinaldo: E-detectors. New England J.
    Statist. Data Sci. 2 (2024), 229-260. Drawn numbers: splitmix64 (Steele et al., OOPSLA 2014).
    """

    name: ClassVar[str] = "domain_classifier"
    parameters: ClassVar[type[DomainClassifierParams]] = DomainClassifierParams

    def __init__(self, params: DomainClassifierParams) -> None:
        self._start(params)
        self._order = np.arange(len(np.asarray(params.partners)), dtype=np.int32)
        self._weights = np.zeros((len(_RATES), params.inputs))
        self._held = np.zeros((2, len(_RATES), len(_BETS)))
        self._work = np.zeros((2, params.inputs))

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        return int(
            _feed(
                self.counts, self._order, self._weights, self._held, self._work, self._room, p.center, p.scale,
                p.partners, p.threshold, p.seed, values,
            )
        )  # fmt: skip

    @classmethod
    def threshold_for(cls, reference: npt.ArrayLike, run_length: float, **_params: Any) -> float:
        """The threshold with an average run length of at least this, in rows: the run length itself."""
        demand(isfinite(run_length) and 1 <= run_length <= 1e12, "run_length must be 1 to 1e12 rows")
        return float(run_length)

    def reset(self) -> None:
        _clear(self.counts, self._weights, self._held)
        self.counts[_PLACE] = self.counts[_DRAWN] = 0
        self._order[:] = np.arange(len(self._order))

    @property
    def statistic(self) -> float:
        """What the gambler holds, averaged over the bets; its healthy mean is the number of rows since the start."""
        return float(_gained(self._held))

    @property
    def threshold(self) -> float:
        return float(self.params.threshold)

    @property
    def memory(self) -> int:
        p = self.params
        return int(OBJECTS + p.partners.nbytes + 4 * len(p.partners) + 8 * (5 * p.inputs + 6 * p.features))

    def state(self) -> State:
        return {"counts": self.counts, "order": self._order, "weights": self._weights, "held": self._held}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        ours = self.state()
        loaded = {name: array.copy() for name, array in ours.items()}
        for name, array in loaded.items():
            self._load_array(state, name, array)
        counts, order, held = loaded["counts"], loaded["order"], loaded["held"]
        inside = 0 <= counts[_PLACE] <= len(order) and counts[_DRAWN] >= 0 and held.min() >= 0
        once = bool((np.sort(order) == np.arange(len(order))).all())
        if not (inside and once and finite(held) and finite(loaded["weights"])):
            raise SnapshotError("the state of domain_classifier is not one that can be: rows drawn out of bounds")
        for name, array in loaded.items():
            ours[name][...] = array


@numba.njit(cache=True, _nrt=False)
def _clear(counts: Int64Array, weights: Float64Array, held: Float64Array) -> None:
    """Forget the rows. The round goes on: its reference rows that were used stay used."""
    counts[ALARMED], counts[SINCE], counts[_RUN] = 0, 0, 0
    for c in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            weights[c, k] = 0.0
        for b in range(held.shape[2]):
            held[0, c, b] = held[1, c, b] = 0.0


@numba.njit(cache=True, _nrt=False)
def _draw(counts: Int64Array, seed: int) -> float:
    """The next number of splitmix64, in [0, 1)."""
    counts[_DRAWN] += 1
    mixed = np.uint64(seed) + np.uint64(counts[_DRAWN]) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_ONE
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_TWO
    mixed = mixed ^ (mixed >> np.uint64(31))
    number: float = float(mixed >> np.uint64(11)) * 2.0**-53
    return number


@numba.njit(cache=True, _nrt=False)
def _partner(counts: Int64Array, order: Int32Array, seed: int) -> int:
    """A reference row that was not used in this round: one step of Fisher and Yates's shuffle."""
    at = counts[_PLACE]
    other = min(at + int(_draw(counts, seed) * (len(order) - at)), len(order) - 1)
    order[at], order[other] = order[other], order[at]
    counts[_PLACE] += 1
    return int(order[at])


@numba.njit(cache=True, _nrt=False)
def _inputs(row: Float64Array, into: Float64Array) -> None:
    """What the classifiers see of a row in the reference's scale."""
    size = len(row)
    for j in range(size):
        into[j] = min(max(row[j], -_EDGE), _EDGE)
    if len(into) > size:
        k = size
        for i in range(size):
            for j in range(i, size):
                into[k] = into[i] * into[j]
                k += 1


@numba.njit(cache=True, _nrt=False)
def _bet_and_learn(apart: Float64Array, weights: Float64Array, held: Float64Array) -> None:
    """Bet on which of a pair is the live row, given the difference of their inputs; then learn that it was the first.

    A classifier that holds the first for the live one with odds e^x, the other with e^-x, is paid 1 + tanh(x / 2) for
    a whole bet: its mean over the pair's two orders is 1.
    """
    wealth, age = held[0], held[1]
    size = len(apart)
    norm = 1.0
    for k in range(size):
        norm += apart[k] * apart[k]
    for c in range(len(_RATES)):
        x = 0.0
        for k in range(size):
            x += weights[c, k] * apart[k]
        sure = tanh(0.5 * x)
        for b in range(len(_BETS)):
            factor = 1.0 + _BETS[b] * sure
            age[c, b] = factor * (age[c, b] + wealth[c, b] + 1.0)
            wealth[c, b] = factor * (wealth[c, b] + 1.0)
        step = _RATES[c] * (1.0 - sure) / norm
        keep = 1.0 - _KEPT * _RATES[c]
        for k in range(size):
            weights[c, k] = keep * weights[c, k] + step * apart[k]


@numba.njit(cache=True, _nrt=False)
def _gained(held: Float64Array) -> float:
    """The mean of what is held over classifiers and bets."""
    total = 0.0
    for c in range(held.shape[1]):
        for b in range(held.shape[2]):
            total += held[0, c, b]
    return float(total / (held.shape[1] * held.shape[2]))


@numba.njit(cache=True, _nrt=False)
def _since(held: Float64Array, run: int) -> int:
    """The mean age of what is held, in rows; 1 to the length of the run."""
    total, old = 0.0, 0.0
    for c in range(held.shape[1]):
        for b in range(held.shape[2]):
            total += held[0, c, b]
            old += held[1, c, b]
    mean = old / total
    return int(min(max(mean + 0.5, 1.0), float(run))) if np.isfinite(mean) else 1


@numba.njit(cache=True, _nrt=False)
def _feed(
    counts: Int64Array,
    order: Int32Array,
    weights: Float64Array,
    held: Float64Array,
    work: Float64Array,
    row: Float64Array,
    center: Float64Array,
    scale: Float64Array,
    partners: Float64Array,
    threshold: float,
    seed: int,
    values: Float64Array,
) -> int:
    apart, other = work[0], work[1]
    for i in range(values.shape[0]):
        if not standardize(values[i], center, scale, row):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, weights, held)
        if counts[_PLACE] == len(order):
            _clear(counts, weights, held)
            counts[_PLACE] = 0
        counts[SEEN] += 1
        counts[_RUN] += 1
        _inputs(row, apart)
        standardize(partners[_partner(counts, order, seed)], center, scale, row)
        _inputs(row, other)
        for k in range(len(apart)):
            apart[k] -= other[k]
        _bet_and_learn(apart, weights, held)
        if _gained(held) > threshold:
            counts[ALARMED] = 1
            counts[SINCE] = _since(held, counts[_RUN])
            return i
    return -1
