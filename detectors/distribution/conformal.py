"""Conformal test: bets against the values being exchangeable; no baseline, no distribution, a bounded history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    Detector,
    Float64Array,
    Int64Array,
    State,
    Values,
    as_values,
    demand,
    finite,
)
from detectors.snapshot import SnapshotError

_RUN, _SIZE, _DRAWN = 4, 5, 6  # places in counts: values since the start, values in the history, numbers drawn
_BINS = 128  # equal steps of a p-value; a bet pays the same all over a step
_WEALTH, _AGE, _LAST = range(3)  # rows of held: what each bet holds, times its age; the last p-value
_COARSE = 16  # equal steps of a p-value for the learnt bet
_KEEP = 0.995  # of what the learnt bet knows, at each value: it looks back 200 values
_PRIOR = 1.0  # values that the learnt bet believes to have seen in each of its steps

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_ONE = np.uint64(0xBF58476D1CE4E5B9)
_MIX_TWO = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class ConformalParams:
    """Parameters.

    threshold: alarm level, in values: the average run length between false alarms is at least this; up to 1e12.
    history: values that a new one is compared with; a change slower than that is not seen. seed: of the numbers that
    break ties and thin the history.
    """

    threshold: float = 1e5
    history: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        demand(1 <= self.threshold <= 1e12, "threshold must be a run length of 1 to 1e12 values")
        demand(20 <= self.history <= 1_000_000, "history must be 20 to 1,000,000 values")
        demand(0 <= self.seed < 2**63, "seed must be 0 to 2^63 - 1")


class Conformal(Detector):
    """A conformal test of exchangeability, with Shiryaev-Roberts restarts: a change of any kind, without a baseline.

    The p-value of a value is its rank, from the top, in the bag of the history and itself, ties broken by a drawn
    number; then one element of the bag, the new one as likely as any other, is drawn and dropped once the history is
    full. While the values are exchangeable (independent ones of one distribution are), who of a bag came last is no
    matter of the bag, nor of what was dropped from it, nor of all that comes later: so the p-values are uniform and
    independent, exactly, for any distribution and any size of history. (A history that keeps its first values, or the
    last ones, would not do: its p-values depend on each other.) Against that a mixture of bets is played: on ranks
    rising, falling, crowding at either end, in the middle, or leaving it, and on the next ranks being like the last
    200. A stake of 1 comes in at every value and an alarm takes `threshold`: over any n exchangeable values at most
    n / threshold alarms are expected, and the average run length is at least the threshold.

    Not for seasonal, autocorrelated or trending series: these are not exchangeable, and each season is an alarm. A
    change that goes on for longer than the history becomes the history. After an alarm the history is empty.

    What holds in closed form: threshold = the run length wanted, in values, whatever the other parameters.

    Memory: 8 bytes × history, plus 18 KB.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = Conformal(ConformalParams())
    >>> int(detector.update_many(np.concatenate([rng.gamma(2.0, size=2000), rng.gamma(4.0, size=500)]))[0])
    2015

    Vovk, Nouretdinov, Gammerman: Testing exchangeability on-line. ICML 2003, 768-775. Vovk: Testing randomness online.
    Statist. Science 36 (2021), 595-611. Restarts: Shin, Ramdas, Rinaldo: E-detectors. New England J. Statist. Data
    Sci. 2 (2024), 229-260. Drawn numbers: splitmix64 (Steele et al., OOPSLA 2014) of the seed and a counter.
    """

    name: ClassVar[str] = "conformal"
    parameters: ClassVar[type[ConformalParams]] = ConformalParams

    def __init__(self, params: ConformalParams) -> None:
        self.params: ConformalParams = params
        self.counts = np.zeros(8, np.int64)
        self._history = np.zeros(params.history)
        self._factors = betting_table()
        self._held = np.zeros((3, self._factors.shape[1] + 1))
        self._recent = np.zeros(_COARSE)

    def _feed(self, values: Float64Array) -> int:
        p = self.params
        held, recent = self._held, self._recent
        return int(_feed(self.counts, self._history, held, recent, self._factors, values, p.threshold, p.seed))

    def reset(self) -> None:
        _clear(self.counts, self._history, self._held, self._recent)
        self.counts[_DRAWN] = 0

    def prime(self, reference: Values) -> None:
        """Start with the last values of a healthy sample as the history: exchangeable with what follows, or else."""
        values = as_values(reference)
        values = np.sort(values[np.isfinite(values)][-self.params.history :])
        self.reset()
        self._history[: len(values)] = values
        self.counts[_SIZE] = len(values)

    @property
    def statistic(self) -> float:
        """What the gambler holds, averaged over the bets; its healthy mean is the number of values since the start."""
        return float(self._held[_WEALTH].mean())

    @property
    def threshold(self) -> float:
        return self.params.threshold

    @property
    def p_value(self) -> float:
        """Of the last value: the share of the history that is larger, ties broken; near 0 for the largest."""
        return float(self._held[_LAST, 0])

    @property
    def memory(self) -> int:
        return OBJECTS + 8 * self.params.history + self._factors.nbytes + self._held.nbytes

    def state(self) -> State:
        return {"counts": self.counts, "history": self._history, "held": self._held, "recent": self._recent}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        ours = self.state()
        loaded = {name: array.copy() for name, array in ours.items()}
        for name, array in loaded.items():
            self._load_array(state, name, array)
        counts, history, rest = loaded["counts"], loaded["history"], np.append(loaded["held"], loaded["recent"])
        size = int(counts[_SIZE])
        inside = 0 <= size <= len(history) and counts[_DRAWN] >= 0 and rest.min() >= 0
        if not (inside and finite(history) and finite(rest)):
            raise SnapshotError("the state of conformal is not one that can be: history out of bounds")
        history[:size].sort()
        for name, array in loaded.items():
            ours[name][...] = array


def betting_table() -> Float64Array:
    """What each fixed bet pays (columns) for a p-value in each of 128 equal steps (rows); each column's mean is 1.

    Bets on a tilt are 1 + c x, with x = 1 - 2p; on the ends, k p^(k-1) and its mirror; on the spread,
    1 + c (3x² - 1) / 2.
    """
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    x = 1.0 - edges[:-1] - edges[1:]
    rows = [1.0 + c * x for c in (1.0, 0.5, 0.2)]
    rows += [np.diff(edges**k) * _BINS for k in (0.1, 0.3, 0.6)]
    rows += [row[::-1] for row in rows]
    cubes = np.diff((1.0 - 2.0 * edges) ** 3) / -2.0 * _BINS  # the mean of 3x² over each step
    rows += [1.0 + c * (cubes - 1.0) / 2.0 for c in (2.0, 1.0, 0.4, -0.4, -1.0)]
    table = np.maximum(np.stack(rows, axis=1), 0.0)
    return np.ascontiguousarray(table / table.mean(axis=0))


@numba.njit(cache=True)
def _clear(counts: Int64Array, history: Float64Array, held: Float64Array, recent: Float64Array) -> None:
    """Forget the values. The counter of drawn numbers goes on: what broke a tie once is never used again."""
    counts[ALARMED], counts[SINCE], counts[_RUN], counts[_SIZE] = 0, 0, 0, 0
    history[:] = 0.0
    held[:] = 0.0
    recent[:] = 0.0


@numba.njit(cache=True)
def _draw(counts: Int64Array, seed: int) -> float:
    """The next number of splitmix64, in [0, 1)."""
    counts[_DRAWN] += 1
    mixed = np.uint64(seed) + np.uint64(counts[_DRAWN]) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_ONE
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_TWO
    mixed = mixed ^ (mixed >> np.uint64(31))
    number: float = float(mixed >> np.uint64(11)) * 2.0**-53
    return number


@numba.njit(cache=True)
def _first_above(history: Float64Array, low: int, high: int, value: float, ties: bool) -> int:
    """The first place from low to high whose value is above this one, or with `ties` not below it."""
    while low < high:
        middle = (low + high) >> 1
        if history[middle] < value or (not ties and history[middle] == value):
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
def _replace(history: Float64Array, value: float, place: int, dropped: int) -> None:
    """Put a value in at its place in the bag, and take out what is then at the place `dropped`."""
    if dropped > place:
        moved = history[place:dropped]
        for k in range(len(moved)):
            value, moved[k] = moved[k], value
    elif dropped < place:
        moved = history[dropped:place]
        for k in range(len(moved) - 1):
            moved[k] = moved[k + 1]
        moved[-1] = value


@numba.njit(cache=True)
def _p_value(counts: Int64Array, history: Float64Array, value: float, seed: int) -> float:
    """The p-value of a value against the history, which takes it in."""
    size = counts[_SIZE]
    first = _first_above(history, 0, size, value, True)
    after = first
    if first < size and history[first] == value:
        after = _first_above(history, first, size, value, False)
    p: float = (size - after + _draw(counts, seed) * (after - first + 1)) / (size + 1)
    if size < len(history):
        _replace(history, value, after, size + 1)  # nothing is dropped
        counts[_SIZE] += 1
    else:
        _replace(history, value, after, min(size, int(_draw(counts, seed) * (size + 1))))
    return p


@numba.njit(cache=True)
def _learn(recent: Float64Array, p: float) -> float:
    """What the learnt bet pays for a p-value: the density of those before it, of which it then is one."""
    step = min(int(p * _COARSE), _COARSE - 1)
    total = 0.0
    for k in range(_COARSE):
        total += recent[k]
    factor: float = (recent[step] + _PRIOR) / (total / _COARSE + _PRIOR)
    for k in range(_COARSE):
        recent[k] *= _KEEP
    recent[step] += 1.0
    return factor


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    history: Float64Array,
    held: Float64Array,
    recent: Float64Array,
    factors: Float64Array,
    values: Float64Array,
    threshold: float,
    seed: int,
) -> int:
    wealth, age = held[_WEALTH], held[_AGE]
    fixed, bets = factors.shape[1], len(wealth)
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, history, held, recent)
        counts[SEEN] += 1
        counts[_RUN] += 1
        p = _p_value(counts, history, value, seed)
        held[_LAST, 0] = p
        factor = factors[min(int(p * _BINS), _BINS - 1)]
        for j in range(fixed):
            age[j] = factor[j] * (age[j] + wealth[j] + 1.0)
            wealth[j] = factor[j] * (wealth[j] + 1.0)
        learnt = _learn(recent, p)
        age[fixed] = learnt * (age[fixed] + wealth[fixed] + 1.0)
        wealth[fixed] = learnt * (wealth[fixed] + 1.0)
        total = 0.0
        for j in range(bets):
            total += wealth[j]
        if total / bets > threshold:
            counts[ALARMED] = 1
            counts[SINCE] = int(min(max(age.sum() / total + 0.5, 1.0), float(counts[_RUN])))
            return i
    return -1
