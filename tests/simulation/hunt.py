"""Looks for the seed that catches each deliberate bug: `python -m tests.simulation.hunt [name …]`.

Each bug is tried on one seed after the other until a checker objects, the one that caught it last first, and the
history is shrunk; the clean tree must hold on what is left. The patch's head is rewritten with the seed, its parts and
the checker.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.simulation.additions import full_plan
from tests.simulation.mutants import BUGS, Bug, bugs, planted
from tests.simulation.play import parts_of, play, ranges, shrink


def main() -> int:
    """Exit code 1 where a bug is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.hunt", description="Catch the deliberate bugs.")
    parser.add_argument("names", nargs="*", help="of these bugs alone")
    parser.add_argument("--seeds", type=int, default=200, help="the most to try for each")
    parser.add_argument("--runs", type=int, default=40, help="the most to shrink with")
    parser.add_argument("--first", default="", help="seeds to try before the others, such as 3,28")
    options = parser.parse_args()
    order = [*parts_of(options.first), *range(1, options.seeds + 1)]
    chosen = [bug for bug in bugs() if not options.names or bug.name in options.names]
    missed = [bug.name for bug in chosen if not hunt(bug, list(dict.fromkeys([bug.seed, *order])), options.runs)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught" + (f"; missed: {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


def hunt(bug: Bug, seeds: Sequence[int], runs: int) -> bool:
    """Whether it was caught; its patch then says how."""
    for seed in seeds:
        plan = full_plan(seed)
        with planted(bug):
            played = play(plan)
            if played.checker is None:
                continue
            kept = shrink(plan, played.checker, runs=runs)
        clean = play(plan.keeping(kept))
        if clean.checker is not None:
            raise SystemExit(f"seed {seed} --keep {ranges(kept)}: the clean tree fails: {clean.text}")
        print(f"{bug.name}: seed {seed}, {played.text[:200]}; {len(kept)} of {plan.size} parts", flush=True)
        _record(bug, f"{seed} keep {ranges(kept)}", played.checker)
        return True
    print(f"{bug.name}: NOT caught within {len(seeds)} seeds", flush=True)
    return False


def _record(bug: Bug, seed: str, checker: str) -> None:
    path = BUGS / f"{bug.name}.patch"
    path.write_text(f"# {bug.what}\n# seed: {seed}\n# checker: {checker}\n{bug.diff}")


if __name__ == "__main__":
    sys.exit(main())
