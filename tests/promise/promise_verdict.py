"""What became of the promise: a seed run, and its figures against what was promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import log
from statistics import median
from typing import Any

import numpy as np

from tests.promise.promise_traffic import DAY, Change, Model
from tests.promise.promise_world import (
    CHANGED,
    CHANGES,
    CONFIG,
    DAYS,
    HEALTHY,
    MODELS,
    REFERENCE,
    Alarm,
    Told,
    World,
)

LOG_RUN_LENGTH = log(30 * DAY * 26)
"""Of one of 26 series that share one false alarm in 30 days."""
GAP = 60
"""Minutes without an alarm that part two incidents."""


@dataclass(frozen=True)
class Case:
    """A planted change, and how long it took to be found (minutes, None where it was not)."""

    model: int
    change: Change
    subject: str
    delay: int | None
    shortest: float
    """ln(ARL) / KL: no detector of that run length is faster on average."""


@dataclass(frozen=True)
class Verdict:
    """Of one seed."""

    seed: int
    series: int
    armed: int
    incidents: tuple[int, ...]
    """False ones, of each model."""
    cases: tuple[Case, ...]
    alarms: Counter[str]
    """False ones, by rule."""
    states: Counter[str]
    """Detectors, by their own name and state."""

    def found(self, change: Change) -> float:
        """Share of its cases that were found."""
        cases = [case for case in self.cases if case.change == change]
        return sum(case.delay is not None for case in cases) / len(cases)

    def delays(self, change: Change) -> list[float]:
        """Of those found, as multiples of the shortest."""
        return [case.delay / case.shortest for case in self.cases if case.change == change and case.delay is not None]

    def delay(self, change: Change) -> float:
        """The median of the multiples."""
        return median(self.delays(change) or [float("inf")])


def judge(seed: int, *, joined: bool, configured: dict[str, Any] = CONFIG) -> Verdict:
    """Run a seed, and compare what was told with what was planted."""
    roots = np.random.SeedSequence(seed).spawn(2 * MODELS)
    models = [Model(root) for root in roots[:MODELS]]
    plans = [_plan(np.random.default_rng(root)) for root in roots[MODELS:]]
    told = World(models, DAYS, plans, joined=joined, configured=configured).run()
    subjects = {(model, subject) for model, subject, _ in told.states}
    armed = {(model, subject) for (model, subject, _), state in told.states.items() if state == "armed"}
    return Verdict(
        seed,
        len(subjects),
        len(armed),
        tuple(_incidents(told, number) for number in range(MODELS)),
        tuple(
            _case(told, number, model, change, plan[change])
            for number, (model, plan) in enumerate(zip(models, plans, strict=True))
            for change in CHANGES
        ),
        Counter(alarm.rule for alarm in told.alarms if _is_false(alarm)),
        Counter(f"{detector} {state}" for (_, _, detector), state in told.states.items()),
    )


def _plan(rng: np.random.Generator) -> dict[Change, int]:
    """When each change sets in: some time in the first half day after the healthy month."""
    return {change: (REFERENCE + HEALTHY) * DAY + int(rng.integers(DAY // 2)) for change in CHANGES}


def _incidents(told: Told, model: int) -> int:
    """False incidents of a model in the healthy month: groups of alerts, or by event time, whichever is more. (The
    clock of the ticks moves in half days here, so what is apart by event time may be one group.)"""
    false = [alarm for alarm in told.alarms if alarm.model == model and _is_false(alarm)]
    minutes = sorted(alarm.minute for alarm in false)
    apart = sum(later - earlier > GAP for earlier, later in pairwise(minutes)) + bool(minutes)
    return max(apart, len({alarm.group for alarm in false}))


def _is_false(alarm: Alarm) -> bool:
    """Whether it was raised before anything had changed."""
    return alarm.minute < (REFERENCE + HEALTHY) * DAY


def _case(told: Told, number: int, model: Model, change: Change, at: int) -> Case:
    subject = model.subject(change)

    def finds(alarm: Alarm) -> bool:
        return alarm.model == number and alarm.subject == subject and at <= alarm.minute < at + CHANGED * DAY

    delay = min((alarm.minute - at + 1 for alarm in told.alarms if finds(alarm)), default=None)
    return Case(number, change, subject, delay, LOG_RUN_LENGTH / model.kl(change))
