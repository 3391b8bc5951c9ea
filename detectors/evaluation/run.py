"""The evaluation itself: each detector on each family of series, in three settings.

Every number depends on the seed alone: each stream has a random generator of its own, and all detectors see the same
streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Literal
from zlib import crc32

import numpy as np

from detectors.calibration import Uncalibrated
from detectors.catalogue import build
from detectors.detector import Detector, Float64Array, ParameterError
from detectors.evaluation.contenders import Contender, entrants, with_calibration, with_defaults, with_knob
from detectors.evaluation.made import SYNTHETIC
from detectors.evaluation.measure import Delays, Rate, Trial, turn_for
from detectors.evaluation.real import REAL, real
from detectors.evaluation.series import Change, Family

Setting = Literal["defaults", "calibrated", "equal"]
"""As it comes; from a budget; turned by simulation to the same false alarms for all."""

_REFERENCE, _TUNING, _FRESH, _CHANGE = range(4)  # what a stream is for
_LEAD = 2_000  # healthy values before a change
_FEWEST = 8  # changes with each reference, for slow detectors
_CAP = 0.02  # false alarms per value from which on they are not counted


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is simulated. `references`: references for each detector and family. `values`: healthy values with
    each, to tune on and again, fresh ones, to measure. `trials`: changes with each. `every`: one false alarm in so many
    values is the budget. `families`: which, by name; None for all."""

    references: int
    values: int
    trials: int
    every: int
    families: frozenset[str] | None = None


FULL = Scale(references=8, values=120_000, trials=20, every=20_000)
QUICK = Scale(
    references=2, values=4_000, trials=2, every=1_000,
    families=frozenset(("normal", "errors 0.1", "scores", "five categories", "digits: errors of a classifier")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """A detector on a family in a setting. `refused`: from so many of the references no promise could be made, `reason`
    why. Without a rate where that is all of them, or there is no method of calibration."""

    family: str
    detector: str
    setting: Setting
    rate: Rate | None = None
    delays: dict[str, Delays] = field(default_factory=dict)
    references: int = 1
    refused: int = 0
    reason: str | None = None


Found = dict[tuple[str, str, Setting], Outcome]
"""Outcomes by family, detector and setting."""


@dataclass(frozen=True, slots=True)
class Job:
    """One detector on one family."""

    family: str
    detector: str
    seed: int
    scale: Scale


def families(scale: Scale) -> list[Family]:
    """Those of this scale, made-up ones first."""
    made = [family for family in SYNTHETIC if scale.families is None or family.name in scale.families]
    return made + [real(name) for name in REAL if scale.families is None or name in scale.families]


def evaluate(seed: int, scale: Scale, workers: int, say: Callable[[str], None]) -> Found:
    """All outcomes, in the order of families and contenders. `say` is told how far it is."""
    jobs = [Job(family.name, c.label, seed, scale) for family in families(scale) for c in entrants(family)]
    outcomes: Found = {}
    for done, (job, found) in enumerate(zip(jobs, _each(jobs, workers), strict=True), 1):
        outcomes |= {(o.family, o.detector, o.setting): o for o in found}
        if done == len(jobs) or jobs[done].family != job.family:
            say(f"{done} of {len(jobs)} done: {job.family}")
    return outcomes


def _each(jobs: list[Job], workers: int) -> Iterator[list[Outcome]]:
    if workers <= 1:
        yield from map(run, jobs)
    else:
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(run, jobs)


def run(job: Job) -> list[Outcome]:
    """The outcomes of a job, a setting each."""
    family = next(f for f in families(job.scale) if f.name == job.family)
    contender = next(c for c in entrants(family) if c.label == job.detector)
    bench = Bench(family, contender, job.seed, job.scale)
    found = [bench.by_defaults(), bench.by_calibration()]
    return [*found, bench.at_equal_rate()] if family.changes else found


class Bench:
    """Streams of a family, and a contender to try on them."""

    def __init__(self, family: Family, contender: Contender, seed: int, scale: Scale) -> None:
        self._family, self._contender, self._seed, self._scale = family, contender, seed, scale
        self._values = max(scale.values // contender.weight, 1_000)
        self._trials = max(scale.trials // contender.weight, min(scale.trials, _FEWEST))
        self._references = [self._sample(_REFERENCE, k, family.reference, 0) for k in range(scale.references)]
        self._streams: dict[int, list[Float64Array]] = {}
        self._fitted: dict[int, Detector] = {}

    def _random(self, purpose: int, k: int, more: int = 0) -> np.random.Generator:
        return np.random.default_rng([self._seed, crc32(self._family.name.encode()), purpose, k, more])

    def _sample(self, purpose: int, k: int, size: int, first: int) -> Float64Array:
        return np.ascontiguousarray(self._family.sample(self._random(purpose, k), first, size), np.float64)

    def _healthy(self, purpose: int) -> list[Float64Array]:
        if purpose not in self._streams:
            sizes, first = range(self._scale.references), self._family.reference
            self._streams[purpose] = [self._sample(purpose, k, self._values, first) for k in sizes]
        return self._streams[purpose]

    def fresh(self, k: int) -> Float64Array:
        """The k-th healthy stream that rates are measured on."""
        return self._healthy(_FRESH)[k]

    def by_defaults(self) -> Outcome:
        trials = [with_defaults(self._contender, self._family, reference) for reference in self._references]
        return self._outcome("defaults", dict(enumerate(trials)))

    def by_calibration(self) -> Outcome:
        trials: dict[int, Trial] = {}
        reason = None
        for k, reference in enumerate(self._references):
            try:
                trials[k] = with_calibration(self._contender, self._family, reference, self._scale.every)
            except Uncalibrated as problem:
                reason = str(problem)
            except ParameterError as problem:
                if not str(problem).startswith("there is no calibration"):
                    raise
                return Outcome(self._family.name, self._contender.label, "calibrated")
        return self._outcome("calibrated", trials, reason)

    def at_equal_rate(self) -> Outcome:
        def rate(turn: float, share: float) -> Rate:
            size = int(share * self._values)
            total, limit = Rate(0, 0), 10 * size // self._scale.every + 20
            for k, values in enumerate(self._healthy(_TUNING)):
                total += _measured(self._turned(k, turn), values[:size], self._family.reference, limit)
            return total

        turn = turn_for(rate, 1.0 / self._scale.every)
        trials = {k: self._turned(k, turn) for k in range(self._scale.references)}
        return self._outcome("equal", trials)

    def _turned(self, k: int, turn: float) -> Trial:
        if self._contender.fitted and k not in self._fitted:
            self._fitted[k] = build(self._contender.name, reference=self._references[k])
        return with_knob(self._contender, self._family, self._references[k], turn, self._fitted.get(k))

    def _outcome(self, setting: Setting, trials: dict[int, Trial], reason: str | None = None) -> Outcome:
        name, who = self._family.name, self._contender.label
        references = self._scale.references
        refused = references - len(trials)
        if not trials:
            return Outcome(name, who, setting, None, {}, references, refused, reason)
        rate, limit = Rate(0, 0), int(_CAP * self._values)
        for k, trial in trials.items():
            rate += _measured(trial, self.fresh(k), self._family.reference, limit)
        delays = {
            change.name: Delays.of(
                [self._delay(trial, change, k, i) for k, trial in trials.items() for i in range(self._trials)],
                self._family.horizon,
            )
            for change in self._family.changes
        }
        return Outcome(name, who, setting, rate, delays, references, refused, reason)

    def _delay(self, trial: Trial, change: Change, k: int, i: int) -> int | None:
        random = self._random(_CHANGE + crc32(change.name.encode()), k, i)
        first = self._family.reference + int(random.integers(10_000))
        healthy = self._family.sample(random, first, _LEAD)
        return trial.delay(healthy, change.sample(random, first + _LEAD, self._family.horizon), first)


def _measured(trial: Trial, values: Float64Array, first: int, limit: int) -> Rate:
    found = trial.alarms(values, first, limit)
    return Rate(found, len(values), found >= limit)
