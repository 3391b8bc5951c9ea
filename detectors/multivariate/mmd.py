"""Maximum mean discrepancy: the last rows against a reference, any difference of the joint distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log, pi, sqrt
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
    split,
)
from detectors.multivariate.rows import CLIP, FittedParams, Rows, fitted, reference_rows, standardize, standardized
from detectors.snapshot import SnapshotError

_FILLED, _NEXT = 4, 5  # places in counts: rows in the ring, where the next one goes
_STEPS = 2.0**30  # waves are rounded to whole steps, so that their sums are exact in any order
_MARGIN = 1e-9  # of the threshold, against rounding
_WINDOWS, _TAIL = 1000, 100  # of the bootstrap; how many of them are the tail
_PAIRS = 1000  # rows of the reference whose distances set the bandwidth


@dataclass(frozen=True, slots=True)
class MMDParams(FittedParams):
    __doc__ = f"""Parameters.

    {FittedParams.__doc__} At least 50; they are not kept. window: rows looked back. threshold: alarm level of the
    distance, 0 to 2. waves: random frequencies that stand for the kernel. bandwidth: of the Gaussian kernel, in
    standard deviations; 0 for the median distance between reference rows. seed: of the frequencies. Fitted: frequencies
    (features × waves, in turns per deviation) and target (2 × waves: mean cosines, then sines, of the reference)."""

    window: int = 200
    threshold: float = 0.2
    waves: int = 64
    bandwidth: float = 0.0
    seed: int = 0
    frequencies: npt.ArrayLike | None = None
    target: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        demand(10 <= self.window <= 1_000_000, "window must be 10 to 1,000,000 rows")
        demand(isfinite(self.threshold) and 0 < self.threshold <= 2, "threshold must lie above 0 and be at most 2")
        demand(1 <= self.waves <= 4096, "waves must be 1 to 4096")
        demand(isfinite(self.bandwidth) and self.bandwidth >= 0, "bandwidth must be a number of at least 0")
        demand(0 <= self.seed < 2**63, "seed must be 0 to 2^63 - 1")
        if self.reference is not None:
            self._fit(reference_rows(self.reference, 50))
        self._check_scale()
        frequencies = fitted(self.frequencies, "frequencies", self.features, self.waves)
        target = fitted(self.target, "target", 2 * self.waves)
        demand(bool((np.abs(target) <= 1.0).all()), "target must be means of cosines and sines")
        demand(bool((np.abs(frequencies) < 1e100).all()), "frequencies must be numbers within ±1e100")
        self._set(frequencies=frequencies, target=target)

    def _fit(self, reference: Float64Array) -> None:
        rng = np.random.default_rng(self.seed)
        rows = self._fit_scale(reference)
        if self.bandwidth == 0.0:
            self._set(bandwidth=median_distance(rows, rng))
        frequencies = rng.normal(0.0, 1.0 / (2.0 * pi * self.bandwidth), (rows.shape[1], self.waves))
        target = np.zeros(2 * self.waves)
        _sum(np.ascontiguousarray(rows), frequencies, np.zeros(2 * self.waves), target)
        self._set(frequencies=frequencies, target=target / _STEPS / len(rows), reference=None)


def median_distance(rows: Float64Array, rng: np.random.Generator) -> float:
    """The median distance between two of the rows (of at most 1000 drawn ones); 1 where most are the same."""
    from scipy.spatial.distance import pdist

    drawn = rows if len(rows) <= _PAIRS else rows[rng.permutation(len(rows))[:_PAIRS]]
    return float(np.median(pdist(drawn))) or 1.0


class MMD(Rows):
    """The maximum mean discrepancy of a sliding window from a fixed reference, by random Fourier features.

    It is the distance between the mean embeddings of the two, in the space of a Gaussian kernel: zero only where the
    joint distributions are the same, so a lost correlation counts as a moved mean does. Cosines and sines of `waves`
    random projections stand for the kernel, within about 1 / √waves; their sums over the window go on by one row in and
    one row out, in whole steps of 2^-30, hence exactly. A row for a row moves the distance by at most 2 / window, so
    it is looked at only when it could have passed the threshold: no look that could alarm is left out. There is no test
    before the window is full; an alarm empties it. A feature that does not vary in the reference is taken in its own
    unit, all others in deviations from the reference's mean. The wider the bandwidth, the more a shift counts; details
    of a shape that are finer than it are not seen.

    Memory: 8 bytes × (features × (window + waves) + 8 × waves).

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = MMD(MMDParams(reference=rng.normal(size=(1000, 2)), threshold=0.15))
    >>> correlated = rng.normal(size=(400, 1)) + 0.3 * rng.normal(size=(400, 2))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=(2000, 2)), correlated]))[0])
    2176

    Gretton, Borgwardt, Rasch, Schölkopf, Smola: A kernel two-sample test. JMLR 13 (2012), 723-773. Rahimi, Recht:
    Random features for large-scale kernel machines. NIPS 2007.
    """

    name: ClassVar[str] = "mmd"
    parameters: ClassVar[type[MMDParams]] = MMDParams

    def __init__(self, params: MMDParams) -> None:
        self._start(params)
        self._ring = np.zeros((params.window, params.features))
        self._sums = np.zeros(2 * params.waves)
        self._work = np.zeros((2, 2 * params.waves))
        self._slack = np.zeros(1)  # how much the distance may grow before the next look
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        found = int(
            _feed(
                self.counts, self._ring, self._sums, self._work, self._slack, self._room, p.center, p.scale,
                p.frequencies, p.target, p.threshold, values,
            )
        )  # fmt: skip
        if found >= 0:
            self.counts[SINCE] = split(self._along())
        return found

    def _along(self) -> Float64Array:
        """How far each row of the window, oldest first, lies in the direction from the reference to the window."""
        p = self.params
        direction = self._sums / _STEPS / p.window - p.target
        places, rows = np.empty(p.window), np.roll(self._ring, -int(self.counts[_NEXT]), axis=0)
        _project(rows, p.frequencies, self._work[0], direction, places)
        return places

    @classmethod
    def threshold_for(cls, reference: npt.ArrayLike, run_length: float, *, block: int = 1, **params: Any) -> float:
        """The threshold with an average run length of `run_length` rows on the reference's own kind of rows; `params`
        are the others. Raises ParameterError.

        By bootstrap: a thousand windows' worth of rows, drawn from the reference in blocks of `block` (1 for rows that
        are independent of each other; else longer than they depend on each other), and the largest distance in each.
        What is rarer than one in ten comes from an exponential tail, its mean excess with a standard error more: the
        true tail is shorter. √(1 + window / reference) is for the reference's own chance.
        """
        demand(isfinite(run_length) and run_length >= 1, "run_length must be a number of at least 1")
        healthy = reference_rows(reference, 50)
        demand(1 <= block <= len(healthy), "block must be 1 row up to the whole reference")
        fit = MMDParams(reference=healthy, **params)
        rng = np.random.default_rng(fit.seed)
        starts = rng.integers(len(healthy), size=-(-_WINDOWS * fit.window // block))
        order = ((starts[:, None] + np.arange(block)) % len(healthy)).ravel()
        rows = standardized(healthy, np.asarray(fit.center), np.asarray(fit.scale))
        peaks, work = np.zeros(_WINDOWS), np.zeros((3, 2 * fit.waves))
        _peaks(rows, order, np.asarray(fit.frequencies), np.asarray(fit.target), work, fit.window, peaks)
        peaks = np.sort(peaks[1:])  # the first window is not full before its end
        body, tail = peaks[-_TAIL - 1], peaks[-_TAIL:]
        excess = float((tail - body).mean()) * (1.0 + 1.0 / sqrt(_TAIL))
        wanted = min(fit.window / run_length, 1.0)  # alarms are at least a window apart
        found = body + excess * log(_TAIL / len(peaks) / wanted) if wanted < _TAIL / len(peaks) else body
        return min(float(found) * sqrt(1.0 + fit.window / len(healthy)), 2.0)

    def reset(self) -> None:
        _clear(self.counts, self._sums, self._slack)

    @property
    def statistic(self) -> float:
        """The distance, 0 to 2; 0 until the window is full."""
        full = self.counts[_FILLED] == len(self._ring)
        return float(_distance(self._sums, self.params.target, len(self._ring))) if full else 0.0

    @property
    def threshold(self) -> float:
        return float(self.params.threshold)

    @property
    def memory(self) -> int:
        p = self.params
        return int(OBJECTS + 8 * p.features * (p.window + p.waves + 4) + 64 * p.waves)

    def state(self) -> State:
        return {"counts": self.counts, "ring": self._ring}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        counts, ring = self.counts.copy(), self._ring.copy()
        self._load_array(state, "counts", counts)
        self._load_array(state, "ring", ring)
        filled, at, size = int(counts[_FILLED]), int(counts[_NEXT]), len(ring)
        inside = 0 <= filled <= size and 0 <= at < size and filled in (size, at)
        if not (inside and finite(ring) and np.abs(ring).max() <= CLIP):
            raise SnapshotError("the state of mmd is not one that can be: window out of bounds")
        self.reset()
        self.counts[:], self._ring[:] = counts, ring
        _sum(self._ring[:filled], self.params.frequencies, self._work[0], self._sums)


@numba.njit(cache=True, _nrt=False)
def _clear(counts: Int64Array, sums: Float64Array, slack: Float64Array) -> None:
    counts[ALARMED], counts[SINCE], counts[_FILLED], counts[_NEXT] = 0, 0, 0, 0
    for k in range(len(sums)):
        sums[k] = 0.0
    slack[0] = -1.0


@numba.njit(cache=True, _nrt=False)
def _waves(row: Float64Array, frequencies: Float64Array, into: Float64Array) -> None:
    """Cosines, then sines, of the row's turns along each frequency, in whole steps.

    Both are the sine of an angle within a quarter turn of 0, by its Taylor series to the 17th power (within 1e-13).
    """
    size = frequencies.shape[1]
    for k in range(size):
        into[k] = 0.0
    for j in range(len(row)):
        for k in range(size):
            into[k] += row[j] * frequencies[j, k]
    for k in range(size):
        into[size + k] = into[k] - 0.25
    for k in range(2 * size):
        turn = abs(into[k] - np.floor(into[k] + 0.5))
        x = (0.25 - turn) * (2.0 * pi)
        y = x * x
        s = 1.0 / 355687428096000.0
        s = s * y - 1.0 / 1307674368000.0
        s = s * y + 1.0 / 6227020800.0
        s = s * y - 1.0 / 39916800.0
        s = s * y + 1.0 / 362880.0
        s = s * y - 1.0 / 5040.0
        s = s * y + 1.0 / 120.0
        s = s * y - 1.0 / 6.0
        into[k] = np.floor((s * y * x + x) * _STEPS + 0.5)


@numba.njit(cache=True, _nrt=False)
def _sum(rows: Float64Array, frequencies: Float64Array, waves: Float64Array, sums: Float64Array) -> None:
    """Add the waves of all rows: whole numbers under 2^53, so exact."""
    for i in range(rows.shape[0]):
        _waves(rows[i], frequencies, waves)
        for k in range(len(sums)):
            sums[k] += waves[k]


@numba.njit(cache=True, _nrt=False)
def _distance(sums: Float64Array, target: Float64Array, window: int) -> float:
    """Between the window's mean and the reference's."""
    squares = 0.0
    for k in range(len(sums)):
        apart = sums[k] / (_STEPS * window) - target[k]
        squares += apart * apart
    distance: float = np.sqrt(squares / (len(sums) // 2))
    return distance


@numba.njit(cache=True, _nrt=False)
def _peaks(
    rows: Float64Array,
    order: Int64Array,
    frequencies: Float64Array,
    target: Float64Array,
    work: Float64Array,
    window: int,
    peaks: Float64Array,
) -> None:
    """The largest distance in each window's worth of rows."""
    sums, new, old = work[0], work[1], work[2]
    for i in range(len(peaks) * window):
        _waves(rows[order[i]], frequencies, new)
        for k in range(len(sums)):
            sums[k] += new[k]
        if i >= window:
            _waves(rows[order[i - window]], frequencies, old)
            for k in range(len(sums)):
                sums[k] -= old[k]
            peaks[i // window] = max(peaks[i // window], _distance(sums, target, window))


@numba.njit(cache=True, _nrt=False)
def _project(
    rows: Float64Array,
    frequencies: Float64Array,
    waves: Float64Array,
    direction: Float64Array,
    places: Float64Array,
) -> None:
    for i in range(rows.shape[0]):
        _waves(rows[i], frequencies, waves)
        place = 0.0
        for k in range(len(direction)):
            place += waves[k] / _STEPS * direction[k]
        places[i] = place


@numba.njit(cache=True, _nrt=False)
def _feed(
    counts: Int64Array,
    ring: Float64Array,
    sums: Float64Array,
    work: Float64Array,
    slack: Float64Array,
    row: Float64Array,
    center: Float64Array,
    scale: Float64Array,
    frequencies: Float64Array,
    target: Float64Array,
    threshold: float,
    values: Float64Array,
) -> int:
    window = ring.shape[0]
    new, old = work[0], work[1]
    for i in range(values.shape[0]):
        if not standardize(values[i], center, scale, row):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, sums, slack)
        counts[SEEN] += 1
        at = counts[_NEXT]
        _waves(row, frequencies, new)
        if counts[_FILLED] == window:
            _waves(ring[at], frequencies, old)
            for k in range(len(sums)):
                sums[k] += new[k] - old[k]
            slack[0] -= 2.0 / window
        else:
            for k in range(len(sums)):
                sums[k] += new[k]
            counts[_FILLED] += 1
        for j in range(len(row)):
            ring[at, j] = row[j]
        counts[_NEXT] = at + 1 if at + 1 < window else 0
        if counts[_FILLED] == window and slack[0] < 0.0:
            found = _distance(sums, target, window)
            if found > threshold:
                counts[ALARMED] = 1
                return i
            slack[0] = threshold * (1.0 - _MARGIN) - found
    return -1
