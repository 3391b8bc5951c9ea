"""Thresholds by simulation: the detector runs over streams of worlds that the reference may come from.

The detector is the one that will run: its parameters, and the sample that it holds, are the reference's. What the
values are really drawn from is not known; it is drawn itself, from its posterior under the Bayesian bootstrap (Rubin:
The Bayesian bootstrap. Ann. Statist. 9, 1981, 130-134): each value of the reference, and the room beyond either end of
it, gets an exponential weight. Alarms are counted over many such worlds, so their mean holds what the reference does
not know: its own mean, its spread, its rare values, its dependence. Dependent values are drawn in blocks of random
length, worlds from the reference and streams from worlds, so that neighbours stay neighbours (Politis, Romano: The
stationary bootstrap. JASA 89, 1994, 1303-1313).

Alarms are counted at two levels, as rare as is wanted where so few can be counted. Further out they become rarer by a
constant factor for each step of the level to some power, but for a factor that is known no better than the variance:
that is drawn on to the level that is wanted, with the slope one standard error flatter than found. What is wanted is
two fifths less than what is allowed, for what simulation misses. The draws are seeded from the reference itself: the
same arguments give the same threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, e, exp, log, sqrt
from typing import Any
from zlib import crc32

import numba
import numpy as np

from detectors.calibration.dependence import LEAST_FREEDOM, certain
from detectors.calibration.request import Request
from detectors.calibration.result import Promise, Uncalibrated
from detectors.catalogue import build
from detectors.detector import Detector, Float64Array, Int64Array

LENGTH = 1 << 18
"""Values of all simulated streams together, about."""
WORLDS = 32
"""Simulated worlds, a stream each; fewer for detectors that look back further."""
FEW, STEP = 30.0, 8.0
"""Alarms on them at the higher level, at least, and how many times more at the lower one, about."""
SPARED = 0.4
"""Of the budget, for what simulation misses: its own noise, and tails that are not straight."""
CLOSE = 0.25
"""How close to that, in logarithms of alarms."""
_STEPS = 14
JOINS = 0.1
"""Blocks are 20 times the inflation long, and joined twice: so much of the exponent is lost at the joins."""


@dataclass(frozen=True, slots=True, eq=False)
class Knob:
    """A detector whose alarms one level decides: `params` of the level; `power` of the level in the exponent of the
    tail; `first`: a level to begin the search at; `held`: the reference that it takes, if it does; `finds`: (shift,
    within) at a level; `start`: values that its window begins with; `gate`: parameters that hold back alarms that do
    not matter, left out of the simulation; `freedom`: that of a factor on the exponent in which the worlds do not
    vary; `size`: values of a stream, at least."""

    params: Callable[[float], dict[str, Any]]
    power: float
    first: float
    held: Float64Array | None
    finds: Callable[[float], tuple[float, int]]
    start: Float64Array = field(default_factory=lambda: np.zeros(0))
    gate: dict[str, Any] = field(default_factory=dict)
    freedom: float = float("inf")
    size: int = 0


def by_simulation(request: Request, knob: Knob, inflation: float, freedom: float) -> Promise:
    """The level at which the worlds raise as many alarms as they may, on average. Raises Uncalibrated."""
    known = min(freedom, knob.freedom)
    if known < LEAST_FREEDOM:
        raise Uncalibrated(
            "the reference is too short to tell how far its values depend on each other",
            ceil(len(request.values) * LEAST_FREEDOM / known),
        )
    length = 1.0 if inflation == 1.0 else max(20.0, 20.0 * inflation)
    if length * LEAST_FREEDOM > len(request.values):
        raise Uncalibrated("the reference is too short for a bootstrap of blocks", ceil(length * LEAST_FREEDOM))
    streams = worlds(request, knob, length)
    total = streams.size

    def alarms(level: float) -> Int64Array:
        held = {} if knob.held is None else {"reference": knob.held}
        return counted(build(request.name, **knob.params(level), **held), request.values, knob.start, streams)

    free = total / max(len(knob.start), 1)
    target = (1.0 - SPARED) * request.share / request.looks * total
    tried: dict[float, Int64Array] = {}
    high = _level(alarms, knob, free, min(max(target, FEW), free / STEP), tried)
    if not high:
        raise Uncalibrated("no threshold gives an alarm on a stream like the reference")
    seldom = tried[high]
    few = int(seldom.sum())
    low = _level(alarms, knob, free, STEP * few, tried)
    many = int(tried[low].sum())
    if not (high > low and many > few + 1):  # of which one is added below, for the one that was about to come
        raise Uncalibrated("the alarms on streams like the reference do not become rarer with the threshold")
    asked = certain(log(max(free / target, e)), knob.freedom) * (1.0 + request.parameters)
    asked *= 1.0 if inflation == 1.0 else 1.0 + JOINS
    tail = _Tail(low**knob.power, high**knob.power, log(free / many), log(free / (few + 1)), freedom)
    level = tail.level(asked, sqrt(1.0 / many + 1.0 / few)) ** (1.0 / knob.power)
    unlike = max(float(seldom.var()) / few * len(seldom) - 1.0, 0.0) / few * len(seldom)
    shift, within = knob.finds(level)
    return Promise(
        params=knob.params(level) | knob.gate,
        method="simulation" if inflation == 1.0 else "block bootstrap",
        expected_per_30d=request.share,
        at_most_per_30d=min(request.share * exp(1.645 * sqrt(unlike + 1.0 / few)), request.looks),
        assumes=(
            "independent values like the reference's"
            if inflation == 1.0
            else f"values like the reference's, in blocks of {length:.0f}"
        )
        + f"; {len(streams)} worlds that it may come from, {total} values in all, their tail drawn on by a factor of "
        f"{max(few / target, 1.0):.3g}",
        shift=shift,
        within=within,
        inflation=inflation,
        reference=knob.held,
    )


@dataclass(frozen=True, slots=True)
class _Tail:
    """Exponents (logarithms of how rare alarms are) at two levels, to their power. Over worlds whose exponents vary as
    a variance does that is known with this freedom, they grow more slowly than in any one: `certain` undoes it."""

    low: float
    high: float
    at_low: float
    at_high: float
    freedom: float

    def level(self, asked: float, error: float) -> float:
        """Where the exponent is the one asked for; further out, the slope is one standard error flatter."""
        begin, end = self._straight(self.at_low), self._straight(self.at_high)
        slope = (end - begin) / (self.high - self.low)
        if asked > self.at_high:
            slope *= max(1.0 - error / (self.at_high - self.at_low), 0.5)
        return max(self.low + (self._straight(asked) - begin) / slope, self.low)

    def _straight(self, exponent: float) -> float:
        return certain(max(exponent, 0.0), self.freedom)


def worlds(request: Request, knob: Knob, length: float) -> Float64Array:
    """A stream from each of some worlds, (worlds, values), out of blocks of this mean length; seeded by the sample."""
    values, memory = request.values, max(len(knob.start), 1)
    size = max(LENGTH // WORLDS, 16 * memory, knob.size)
    rng = np.random.default_rng([len(values), crc32(np.ascontiguousarray(values).tobytes())])
    ends = _Ends(request, knob.held is None)
    streams = np.empty((max(LENGTH // size, WORLDS // 2 if knob.size else WORLDS // 4), size))
    for stream in streams:
        stream[:] = resampled(resampled(values, length, len(values), rng), length, size, rng) if length > 1.0 else (
            ends.with_weights(rng, size)
        )  # fmt: skip
    return streams


class _Ends:
    """Independent values of worlds that the reference may come from: its own with random weights, and one more beyond
    either end, where a new value falls with as much probability as in any other gap between two values (Hill: Posterior
    distribution of percentiles. JASA 63, 1968, 677-691). How far beyond: as far as the outermost values lie apart, on a
    logarithmic scale (Hill: A simple general approach to inference about the tail of a distribution. Ann. Statist. 3,
    1975, 1163-1174). Where many values are the same at an end there is nothing beyond; of categories, there is a new
    one where some were seen once."""

    def __init__(self, request: Request, limited: bool) -> None:
        self._values = np.sort(request.values)
        self._limits = request.limits if limited else (-np.inf, np.inf)
        self._kind = request.kind
        self._middle = float(np.median(self._values))

    def with_weights(self, rng: np.random.Generator, size: int) -> Float64Array:
        """Values of a new world."""
        if self._kind == "numeric":
            beyond = [side * self._beyond(side * (self._values - self._middle)[::side], rng) for side in (1, -1)]
            more = np.clip(self._middle + np.array([each for each in beyond if each]), *self._limits)
        elif self._kind == "categories" and (np.unique(self._values, return_counts=True)[1] == 1).any():
            more = self._values[-1:] + 1.0
        else:
            more = np.zeros(0)
        pool = np.concatenate((self._values, more))
        upto = np.cumsum(rng.exponential(size=len(pool)))
        found: Float64Array = pool[np.minimum(np.searchsorted(upto, rng.random(size) * upto[-1]), len(pool) - 1)]
        return found

    def _beyond(self, ordered: Float64Array, rng: np.random.Generator) -> float:
        """A value beyond the last of these in ascending order; 0 where there is none."""
        last = ordered[-ceil(sqrt(len(ordered))) :]
        if not (ordered[-1] > ordered[-2] and last[0] > 0.0):
            return 0.0
        return float(last[-1] * exp(min(float(np.log(last / last[0]).mean()) * rng.exponential(), 10.0)))


def resampled(values: Float64Array, length: float, size: int, rng: np.random.Generator) -> Float64Array:
    """So many values out of blocks of the sample, of this mean length, geometric."""
    places = rng.integers(len(values), size=size)
    if length > 1.0:
        _join(places, rng.random(size) >= 1.0 / length, len(values))
    found: Float64Array = values[places]
    return found


@numba.njit(cache=True)
def _join(places: Int64Array, joined: np.ndarray, size: int) -> None:
    """Where a place is joined it follows the one before it, around the end."""
    for i in range(1, len(places)):
        if joined[i]:
            places[i] = (places[i - 1] + 1) % size


def counted(detector: Detector, reference: Float64Array, start: Float64Array, streams: Float64Array) -> Int64Array:
    """Alarms on each stream, where the detector begins at each, and after each alarm, primed with the reference."""
    detector.prime(reference)
    if len(start) and detector.feed(start) >= 0:
        detector.prime(reference)
    begin = {name: array.copy() for name, array in detector.state().items()}
    found = np.zeros(len(streams), np.int64)
    for i, stream in enumerate(streams):
        detector.load(begin)
        at = 0
        while (place := detector.feed(stream[at:])) >= 0:
            found[i] += 1
            at += place + 1
            detector.load(begin)
    return found


def _level(
    alarms: Callable[[float], Int64Array], knob: Knob, free: float, wanted: float, tried: dict[float, Int64Array]
) -> float:
    """A level with about so many alarms, added to those that have been tried; 0 where there are none at any. `free`:
    alarms where the level is nothing."""
    for _ in range(_STEPS):
        found = {level: float(each.sum()) for level, each in tried.items()}
        best = min(
            (level for level in found if found[level]), key=lambda each: abs(log(found[each] / wanted)), default=0.0
        )
        low = max((level for level in found if found[level] > wanted), default=0.0)
        high = min((level for level in found if level > low), default=float("inf"))
        if (best and abs(log(found[best] / wanted)) < CLOSE) or high - low < 1e-4 * high:
            break
        guess = knob.first
        if found:
            rare = log(max(free, 2.0 * found[low]) / found[low]) if low else 0.0
            begin = low**knob.power
            if high == float("inf"):
                guess = 1.5 ** (1.0 / knob.power) * low
            else:
                share = (log(max(free, 2.0 * wanted) / wanted) - rare) / (
                    log(max(free, 2.0 * wanted) / max(found[high], 0.5)) - rare
                )
                guess = (begin + min(max(share, 0.1), 0.9) * (high**knob.power - begin)) ** (1.0 / knob.power)
        tried[guess] = alarms(guess)
    return best
