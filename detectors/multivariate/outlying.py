"""What detectors that score single rows share: how many of the last rows lie further out than the reference's do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

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
    as_rows,
    demand,
    split,
)
from detectors.multivariate.rows import FittedParams, Rows, fitted, reference_rows
from detectors.snapshot import SnapshotError

_FILLED, _NEXT, _BEYOND = 4, 5, 6  # places in counts: rows in the ring, where the next goes, how many lie beyond
_CHUNK = 256  # rows that are scored at a time: what an alarm among them wastes is small
LEAST = 100
"""Rows that a reference must hold."""

Flags = npt.NDArray[np.uint8]


def share_for(held_out: int, run_length: float, *, window: int = 200, share: float = 0.1) -> float:
    """The least threshold with an average run length of at least this, in rows, while rows are exchangeable.

    A held-out row is one of the reference that the model was not fitted on. The level is the k-th least of so many
    scores, k = ⌊share × (held_out + 1)⌋, so the number of a window's rows beyond it has the beta-binomial distribution
    of (window, k, held_out + 1 - k), whatever the model and the data: exact, the reference's own chance included. At
    each look the probability of an alarm is at most 1 / run_length, so over n rows at most n / run_length alarms are
    expected. Raises ParameterError where so few rows cannot keep that promise.

    >>> share_for(1000, 1e5)
    0.22

    Vovk, Gammerman, Shafer: Algorithmic learning in a random world. Springer 2005.
    """
    from scipy.special import betaln, gammaln

    rank = int(share * (held_out + 1))
    demand(rank >= 1, f"share {share:g} of {held_out} held-out rows is less than one row")
    demand(isfinite(run_length) and run_length >= 1, "run_length must be a number of at least 1")
    counts = np.arange(window + 1)
    ways = gammaln(window + 1) - gammaln(counts + 1) - gammaln(window - counts + 1)
    logs = ways + betaln(rank + counts, held_out + 1 - rank + window - counts) - betaln(rank, held_out + 1 - rank)
    above = np.cumsum(np.exp(logs[::-1]))[::-1]  # the probability of at least as many
    enough = np.flatnonzero(above[1:] <= 1.0 / run_length)
    demand(len(enough) > 0, f"{held_out} held-out rows and a window of {window} cannot keep so long a run length")
    return float(enough[0]) / window


@dataclass(frozen=True, slots=True)
class OutlyingParams(FittedParams, ABC):
    """Parameters.

    reference: healthy rows, shape rows × features (at least 100 without a missing value); it is fitted on, and not
    kept. window: rows looked back. threshold: alarm level, a share of the window's rows. share: of healthy rows, that
    is to lie beyond the level. seed: of what is drawn for the fit, which half of the reference is held out included.
    held_out: scores of the held-out rows, ascending."""

    window: int = 200
    threshold: float = 0.3
    share: float = 0.1
    seed: int = 0
    held_out: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 rows")
        demand(isfinite(self.threshold) and 0 < self.threshold < 1, "threshold must lie between 0 and 1")
        demand(0 < self.share < 1, "share must lie between 0 and 1")
        demand(0 <= self.seed < 2**32, "seed must be 0 to 2^32 - 1")
        self._check_model()
        if self.reference is not None:
            self._fit(reference_rows(self.reference, LEAST))
        self._check_scale()
        held_out = fitted(self.held_out, "held_out", None)
        demand(len(held_out) > 0 and bool((np.diff(held_out) >= 0).all()), "held_out must ascend")
        self._set(held_out=held_out)
        self._check_fit()
        demand(self.rank >= 1, f"share {self.share:g} of {len(held_out)} held-out rows is less than one row")

    def _fit(self, reference: Float64Array) -> None:
        """Fit on one half of the rows, score the other."""
        rows = self._fit_scale(reference)
        rng = np.random.default_rng(self.seed)
        drawn = rng.permutation(len(rows))
        learn, rest = rows[drawn[len(rows) // 2 :]], reference[drawn[: len(rows) // 2]]
        self._fit_model(learn, rng)
        self._set(reference=None)
        self._check_scale()
        self._check_fit()
        self._set(held_out=np.sort(self._score(rest)))

    @abstractmethod
    def _check_model(self) -> None:
        """Refuse what the model cannot be fitted with."""

    @abstractmethod
    def _fit_model(self, rows: Float64Array, rng: np.random.Generator) -> None:
        """Fit the model on rows in the reference's scale, and set its arrays."""

    @abstractmethod
    def _check_fit(self) -> None:
        """Make the model's arrays what the kernels take, refuse those that could lead them astray."""

    @abstractmethod
    def _score(self, rows: Float64Array) -> Float64Array:
        """The score of each row, smaller for those further out; NaN for one that misses a value."""

    @property
    def rank(self) -> int:
        """The level is that least score of the held-out rows: the 1st, 2nd, …"""
        return int(self.share * (len(np.asarray(self.held_out)) + 1))

    @property
    def level(self) -> float:
        """Scores below it lie beyond."""
        return float(np.asarray(self.held_out)[self.rank - 1])

    @property
    @abstractmethod
    def model_bytes(self) -> int:
        """Bytes of the model's arrays."""


class Outlying(Rows):
    """A detector that scores single rows: the share of the last rows that lie further out than a level which a known
    share of held-out reference rows lies beyond. There is no test before the window is full; an alarm empties it."""

    def __init__(self, params: OutlyingParams) -> None:
        self._start(params)
        self._level = params.level
        self._ring = np.zeros(params.window, np.uint8)

    def _feed(self, values: Float64Array) -> int:
        threshold = self.params.threshold
        for start in range(0, len(values), _CHUNK):
            scores = self.params._score(values[start : start + _CHUNK])
            at = int(_count(self.counts, self._ring, scores, self._level, threshold))
            if at >= 0:
                self.counts[SINCE] = split(np.roll(self._ring, -int(self.counts[_NEXT])).astype(np.float64))
                return start + at
        return -1

    @classmethod
    def threshold_for(
        cls, reference: npt.ArrayLike, run_length: float, *, window: int = 200, share: float = 0.1, **_others: Any
    ) -> float:
        """The threshold with which this reference keeps an average run length, in rows (see `share_for`); parameters
        of the model make no difference. Raises ParameterError."""
        return share_for(len(reference_rows(reference, LEAST)) // 2, run_length, window=window, share=share)

    def scores(self, rows: npt.ArrayLike) -> Float64Array:
        """The score of each row, smaller for those further out; NaN for one that misses a value."""
        scores: Float64Array = self.params._score(as_rows(rows, self.params.features))
        return scores

    def reset(self) -> None:
        _clear(self.counts, self._ring)

    @property
    def statistic(self) -> float:
        """The share of the window's rows that lie beyond the level; 0 until the window is full."""
        full = self.counts[_FILLED] == len(self._ring)
        return float(self.counts[_BEYOND] / len(self._ring)) if full else 0.0

    @property
    def threshold(self) -> float:
        return float(self.params.threshold)

    @property
    def memory(self) -> int:
        p = self.params
        return int(OBJECTS + p.window + 8 * (len(p.held_out) + 4 * p.features) + p.model_bytes)

    def state(self) -> State:
        return {"counts": self.counts, "ring": self._ring}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        counts, ring = self.counts.copy(), self._ring.copy()
        self._load_array(state, "counts", counts)
        self._load_array(state, "ring", ring)
        filled, at, size = int(counts[_FILLED]), int(counts[_NEXT]), len(ring)
        inside = 0 <= filled <= size and 0 <= at < size and filled in (size, at)
        if not (inside and ring.max() <= 1 and counts[_BEYOND] == ring.sum()):
            raise SnapshotError(f"the state of {self.name} is not one that can be: window out of bounds")
        self.counts[:], self._ring[:] = counts, ring


@numba.njit(cache=True, _nrt=False)
def _clear(counts: Int64Array, ring: Flags) -> None:
    counts[ALARMED], counts[SINCE], counts[_FILLED], counts[_NEXT], counts[_BEYOND] = 0, 0, 0, 0, 0
    for k in range(len(ring)):
        ring[k] = 0


@numba.njit(cache=True, _nrt=False)
def _count(counts: Int64Array, ring: Flags, scores: Float64Array, level: float, threshold: float) -> int:
    window = len(ring)
    for i in range(len(scores)):
        score = scores[i]
        if np.isnan(score):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, ring)
        counts[SEEN] += 1
        at = counts[_NEXT]
        beyond = 1 if score < level else 0
        counts[_BEYOND] += beyond - ring[at]
        ring[at] = beyond
        counts[_NEXT] = at + 1 if at + 1 < window else 0
        counts[_FILLED] = min(counts[_FILLED] + 1, window)
        if counts[_FILLED] == window and counts[_BEYOND] / window > threshold:
            counts[ALARMED] = 1
            return i
    return -1
