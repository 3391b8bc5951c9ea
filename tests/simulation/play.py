"""Runs plans: one, many, or ever shorter ones that fail in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.integration.rows import Violation
from tests.simulation.additions import full_plan
from tests.simulation.application import impatient
from tests.simulation.judge import judge
from tests.simulation.occurred import happened
from tests.simulation.plan import Plan
from tests.simulation.watch import Watch
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a history: what was checked how often, how many commits, what happened (occurred.py); and the
    checker that objects, with why."""

    seed: int
    checks: Counter[str]
    commits: int
    checker: str | None = None
    text: str = ""
    seen: Counter[str] = field(default_factory=Counter)


def play(plan: Plan) -> Played:
    """Run a history and judge it. An error of the simulation itself is raised."""
    watch = Watch()
    world = World(plan, watch)
    try:
        with impatient():
            world.run()
            checks = judge(world, watch)
    except Violation as problem:
        return Played(plan.seed, watch.checks, len(world.steps), problem.checker, str(problem))
    return Played(plan.seed, checks, len(world.steps), seen=happened(world, watch))


def play_seed(seed: int) -> Played:
    """The whole history of a seed."""
    return play(full_plan(seed))


def shrink(plan: Plan, checker: str, *, runs: int, played: Callable[[Plan], Played] = play) -> list[int]:
    """Parts of the plan that are enough for the checker to object (delta debugging: Zeller and Hildebrandt, 2002), in
    at most so many runs."""
    kept = list(range(plan.size))
    pieces = 2
    while len(kept) > 1 and runs > 0:
        for left in _without_a_piece(kept, pieces):
            runs -= 1
            if played(plan.keeping(left)).checker == checker:
                kept, pieces = left, max(pieces - 1, 2)
                break
            if runs <= 0:
                break
        else:
            if pieces >= len(kept):
                break
            pieces = min(2 * pieces, len(kept))
    return kept


def _without_a_piece(parts: Sequence[int], pieces: int) -> Iterable[list[int]]:
    cuts = [len(parts) * i // pieces for i in range(pieces + 1)]
    for start, stop in pairwise(cuts):
        yield [*parts[:start], *parts[stop:]]


def ranges(parts: Iterable[int]) -> str:
    """`0-3,7` for 0, 1, 2, 3 and 7."""
    found: list[list[int]] = []
    for part in sorted(parts):
        if found and found[-1][1] == part - 1:
            found[-1][1] = part
        else:
            found.append([part, part])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in found)


def parts_of(text: str) -> list[int]:
    """The inverse of `ranges`; nothing for the empty text."""
    bounds = [each.partition("-") for each in text.split(",") if each]
    return [part for first, _, last in bounds for part in range(int(first), int(last or first) + 1)]
