"""KSWIN: the newest values of a window against a random sample of its older ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log
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
    demand,
    finite,
)
from detectors.snapshot import SnapshotError

Int8Array = npt.NDArray[np.int8]

_FILLED, _NEXT, _LARGEST, _AT = 4, 5, 6, 7  # in counts: values in the window, the next's place, distance × r, word
_WORDS = 624
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class KswinParams:
    """Parameters, river's names and defaults, but for the seed: river's None draws it from the machine, here it is 0.

    alpha: significance of one test, 0 to 1. window_size: values looked back; at least twice stat_size. stat_size: how
    many of the newest, and of the older, are compared (1 to 10,000). seed: of Python's Mersenne Twister.
    """

    alpha: float = 0.005
    window_size: int = 100
    stat_size: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        demand(0 <= self.alpha <= 1, "alpha must lie between 0 and 1")
        demand(1 <= self.stat_size <= 10_000, "stat_size must be 1 to 10,000 values")
        demand(2 * self.stat_size <= self.window_size, "window_size must be at least twice stat_size")
        demand(self.window_size <= 100_000, "window_size must be at most 100,000 values")
        demand(isinstance(self.seed, int), "seed must be a whole number")


class Kswin(Detector):
    """The Kolmogorov-Smirnov test within a sliding window.

    The newest stat_size (r) values are held against as many that are drawn at random from the older ones; an exact
    p-value of the largest distance between their distributions that is at most alpha, with a distance above .1, is
    an alarm. The draws are those of Python's random.Random(seed).sample, so alarms are river 0.26's exactly, whose
    generator starts anew after an alarm too. Each value is a test: the defaults raise a false alarm every 700 values.

    Memory: 15 KB for the generator, its words and its seed, plus 25 bytes × window_size.

    >>> detector = Kswin(KswinParams(alpha=0.0001, seed=42))
    >>> detector.update_many([0.0, 1.0] * 500 + [4.0, 5.0, 6.0, 7.0] * 10).tolist()
    [1016]

    Raab, Heusinger, Schleif: Reactive soft prototype computing for concept drift streams. Neurocomputing 416 (2020),
    340-351. Matsumoto, Nishimura: Mersenne Twister. ACM TOMACS 8 (1998), 3-30.
    """

    name: ClassVar[str] = "kswin"
    parameters: ClassVar[type[KswinParams]] = KswinParams

    def __init__(self, params: KswinParams) -> None:
        self.params: KswinParams = params
        r, window = params.stat_size, params.window_size
        self._critical = int(_critical(params.alpha, r))
        self._pooled = window - r <= 21 + (4 ** ceil(log(r * 3, 4)) if r > 5 else 0)  # how CPython chooses to draw
        self._seeded = np.array(random.Random(params.seed).getstate()[1], np.int64)
        self.counts = np.zeros(8, np.int64)
        self._ring = np.zeros(window)
        self._words = np.zeros(_WORDS, np.int64)
        self._tempered = np.zeros(_WORDS, np.int64)
        self._order = np.zeros(window, np.int64)
        self._sides = np.zeros(window, np.int8)
        self._pool = np.zeros(window, np.int64)
        self.reset()

    def _feed(self, values: Float64Array) -> int:
        found: int = _feed(
            self.counts, self._ring, self._words, self._tempered, self._order, self._sides, self._pool, self._seeded,
            values, self.params.stat_size, self._critical, self._pooled,
        )  # fmt: skip
        return found

    def reset(self) -> None:
        _clear(self.counts, self._words, self._tempered, self._seeded)

    @property
    def statistic(self) -> float:
        """The KS distance of the last test."""
        return float(self.counts[_LARGEST] / self.params.stat_size)

    @property
    def threshold(self) -> float:
        """The largest distance that raises no alarm; 1 where none does."""
        return (self._critical - 1) / self.params.stat_size

    @property
    def memory(self) -> int:
        return OBJECTS + 24 * _WORDS + 25 * self.params.window_size

    def state(self) -> State:
        return {"counts": self.counts, "ring": self._ring, "words": self._words}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        super().load(state)
        window, words = len(self._ring), self._words
        filled, at, word = (int(self.counts[place]) for place in (_FILLED, _NEXT, _AT))
        bounded = 0 <= filled <= window and 0 <= at < window and filled in (window, at)
        if not (bounded and finite(self._ring) and 0 <= word <= _WORDS and words.min() >= 0 and words.max() <= _WORD):
            raise SnapshotError("the state of kswin is not one that can be: window or generator out of bounds")
        if not words[1:].any():
            raise SnapshotError("the state of kswin is not one that can be: a generator that gives zeros alone")
        _temper(words, self._tempered)
        self._order[:filled] = np.argsort(self._ring[:filled], kind="stable")


@numba.njit(cache=True)
def _critical(alpha: float, r: int) -> int:
    """The least h at which a distance of h / r alarms; r + 1 where none does.

    The p-value is scipy's, to the last bit: the reflection principle's alternating sum, as a product (Hodges: The
    significance probability of the Smirnov two-sample test. Arkiv för Matematik 3 (1958), 469-486).
    """
    for h in range(1, r + 1):
        if h * 1.0 / r <= 0.1:
            continue
        p = 0.0
        for k in range(r // h, -1, -1):
            term = 1.0
            for j in range(h):
                term = (r - k * h - j) * term / (r + k * h + j + 1)
            p = term * (1.0 - p)
        if min(2.0 * p, 1.0) <= alpha:
            return h
    return r + 1


@numba.njit(cache=True)
def _clear(counts: Int64Array, words: Int64Array, tempered: Int64Array, seeded: Int64Array) -> None:
    counts[ALARMED], counts[SINCE] = 0, 0
    counts[_FILLED], counts[_NEXT], counts[_LARGEST] = 0, 0, 0
    words[:] = seeded[:_WORDS]
    counts[_AT] = seeded[_WORDS]
    _temper(words, tempered)


@numba.njit(cache=True)
def _twist(words: Int64Array) -> None:
    """The generator's next 624 words."""
    for i in range(_WORDS - 397):
        mixed = (words[i] & 0x80000000) | (words[i + 1] & 0x7FFFFFFF)
        words[i] = words[i + 397] ^ (mixed >> 1) ^ ((mixed & 1) * 0x9908B0DF)
    for i in range(_WORDS - 397, _WORDS - 1):
        mixed = (words[i] & 0x80000000) | (words[i + 1] & 0x7FFFFFFF)
        words[i] = words[i + 397 - _WORDS] ^ (mixed >> 1) ^ ((mixed & 1) * 0x9908B0DF)
    mixed = (words[_WORDS - 1] & 0x80000000) | (words[0] & 0x7FFFFFFF)
    words[_WORDS - 1] = words[396] ^ (mixed >> 1) ^ ((mixed & 1) * 0x9908B0DF)


@numba.njit(cache=True)
def _temper(words: Int64Array, tempered: Int64Array) -> None:
    """What the generator gives out of its words."""
    for i in range(_WORDS):
        word = words[i]
        word ^= word >> 11
        word ^= (word << 7) & 0x9D2C5680
        word ^= (word << 15) & 0xEFC60000
        tempered[i] = word ^ (word >> 18)


@numba.njit(cache=True)
def _below(counts: Int64Array, words: Int64Array, tempered: Int64Array, limit: int, bits: int) -> int:
    """A draw from 0 to limit - 1, as random.Random makes it: the top bits of a word, until they are below.

    `bits` is the length of the limit in binary."""
    while True:
        if counts[_AT] >= _WORDS:
            _twist(words)
            _temper(words, tempered)
            counts[_AT] = 0
        found: int = tempered[counts[_AT]] >> (32 - bits)
        counts[_AT] += 1
        if found < limit:
            return found


@numba.njit(cache=True)
def _wrapped(place: int, window: int) -> int:
    """A place of the ring; a remainder would take longer than all else here."""
    return place - window if place >= window else place


@numba.njit(cache=True)
def _draw(
    counts: Int64Array,
    words: Int64Array,
    tempered: Int64Array,
    sides: Int8Array,
    pool: Int64Array,
    oldest: int,
    r: int,
    pooled: bool,
) -> None:
    """Give each place of the ring its side: -1 the newest r values, 1 as many of the older, as random.sample chooses
    them by age (the oldest is 0), 0 the others."""
    window = len(sides)
    older = window - r
    sides[:] = 0
    for age in range(older, window):
        sides[_wrapped(oldest + age, window)] = -1
    bits = 0
    while older >> bits:
        bits += 1
    if not pooled:
        for _ in range(r):
            place = _wrapped(oldest + _below(counts, words, tempered, older, bits), window)
            while sides[place]:
                place = _wrapped(oldest + _below(counts, words, tempered, older, bits), window)
            sides[place] = 1
        return
    for age in range(older):
        pool[age] = age
    for left in range(older, older - r, -1):
        if not left >> (bits - 1):
            bits -= 1
        j = _below(counts, words, tempered, left, bits)
        sides[_wrapped(oldest + pool[j], window)] = 1
        pool[j] = pool[left - 1]


@numba.njit(cache=True)
def _place(ring: Float64Array, order: Int64Array, filled: int, value: float) -> int:
    """How many of the values, by rising value, are below this one."""
    low, high = 0, filled
    while low < high:
        middle = (low + high) >> 1
        if ring[order[middle]] < value:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
def _distance(ring: Float64Array, order: Int64Array, sides: Int8Array) -> int:
    """The largest difference of the counts of drawn and of newest values up to a value."""
    window = len(ring)
    largest, gap = 0, 0
    value = ring[order[0]]
    for k in range(window - 1):  # after the last, all of both are counted
        gap += sides[order[k]]
        following = ring[order[k + 1]]
        if following != value:
            largest = max(largest, abs(gap))
        value = following
    return largest


@numba.njit(cache=True)
def _feed(
    counts: Int64Array,
    ring: Float64Array,
    words: Int64Array,
    tempered: Int64Array,
    order: Int64Array,
    sides: Int8Array,
    pool: Int64Array,
    seeded: Int64Array,
    values: Float64Array,
    r: int,
    critical: int,
    pooled: bool,
) -> int:
    window = len(ring)
    for i in range(len(values)):
        value = values[i]
        if not np.isfinite(value):
            counts[IGNORED] += 1
            continue
        if counts[ALARMED]:
            _clear(counts, words, tempered, seeded)
        counts[SEEN] += 1
        at, filled = counts[_NEXT], counts[_FILLED]
        if filled == window:  # the oldest goes
            k = _place(ring, order, filled, ring[at])
            while order[k] != at:
                k += 1
            filled -= 1
            for j in range(k, filled):
                order[j] = order[j + 1]
        k = _place(ring, order, filled, value)
        for j in range(filled, k, -1):
            order[j] = order[j - 1]
        order[k] = at
        ring[at] = value
        counts[_NEXT] = _wrapped(at + 1, window)
        counts[_FILLED] = filled + 1
        if filled + 1 == window:
            _draw(counts, words, tempered, sides, pool, counts[_NEXT], r, pooled)
            counts[_LARGEST] = _distance(ring, order, sides)
            if counts[_LARGEST] >= critical:
                counts[ALARMED], counts[SINCE] = 1, r
                return i
    return -1
