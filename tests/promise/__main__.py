"""The promise over five seeds, as a table; exit code 1 where it is not kept.

python -m tests.promise [--seeds 1 2 3 4 5] [--joined] [--defaults]
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from tests.promise.promise_verdict import Verdict, judge
from tests.promise.promise_world import CHANGES, CONFIG, default_detectors

ALL, WORST = 117, 4
"""False incidents in five seeds (the 95 % bound of a Poisson variable of mean 100), and of a model in a month."""


def broken(verdicts: list[Verdict]) -> list[str]:
    """What was promised and not kept."""
    found = []
    armed = sum(each.armed for each in verdicts) / sum(each.series for each in verdicts)
    if armed < 0.95:
        found.append(f"{armed:.1%} of the series are armed, not 95 %")
    incidents, most = sum(sum(each.incidents) for each in verdicts), ALL * len(verdicts) / 5
    if incidents > most:
        found.append(f"{incidents} false incidents, not at most {most:.0f}")
    worst = max(max(each.incidents) for each in verdicts)
    if worst > WORST:
        found.append(f"a model with {worst} false incidents, not at most {WORST}")
    for change in CHANGES:
        share = sum(each.found(change) for each in verdicts) / len(verdicts)
        delay = median([one for each in verdicts for one in each.delays(change)] or [float("inf")])
        if share < 0.95:
            found.append(f"{share:.0%} of the changes of kind {change} are found, not 95 %")
        if delay > 3.0:
            found.append(f"{change} is found after {delay:.2f} times the shortest delay, not 3")
    return found


def row(verdict: Verdict) -> str:
    """A line of the table."""
    changes = "".join(f"{verdict.found(change):>6.0%} ×{verdict.delay(change):<5.2f}" for change in CHANGES)
    armed = f"{verdict.armed}/{verdict.series}"
    return f"{verdict.seed:>4} {armed:>9} {sum(verdict.incidents):>6} {max(verdict.incidents):>6} {changes}"


def detail(verdict: Verdict) -> str:
    """What is armed, and what raised the false alarms."""
    parts = {"detectors": verdict.states, "false alarms": verdict.alarms}
    told = [
        f"     {name}: {', '.join(f'{key} {n}' for key, n in sorted(part.items()))}" for name, part in parts.items()
    ]
    return "\n".join(told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--joined", action="store_true", help="write outcomes in the join stage's place: half the time")
    parser.add_argument(
        "--defaults",
        action="store_true",
        help="with the detectors of a configuration that names none; what is armed, and what raised false alarms",
    )
    args = parser.parse_args()
    print("Twenty models, 30 healthy days; then each change: share found, × median delay in units of ln(ARL)/KL")
    print(f"seed     armed  false  worst {''.join(f'{change:>12}' for change in CHANGES)}")
    verdicts = []
    for seed in args.seeds:
        verdicts.append(judge(seed, joined=args.joined, configured=default_detectors() if args.defaults else CONFIG))
        print(row(verdicts[-1]), flush=True)
        if args.defaults:
            print(detail(verdicts[-1]), flush=True)
    problems = broken(verdicts)
    print("\n".join(problems) if problems else "The promise is kept.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
