"""python -m detectors.evaluation [--seed N] [--quick] [--out docs/detectors] [--workers N]"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from os import cpu_count
from pathlib import Path

from detectors.evaluation import FILES, FULL, QUICK, evaluate, write


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the evaluation and write its pages."""
    parser = ArgumentParser("python -m detectors.evaluation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (1)")
    parser.add_argument("--quick", action="store_true", help="a few series and few values, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("docs/detectors"), help="folder to write to (docs/detectors)")
    parser.add_argument("--workers", type=int, default=cpu_count() or 1, help="processes (one for each processor)")
    chosen = parser.parse_args(arguments)
    scale = QUICK if chosen.quick else FULL
    write(evaluate(chosen.seed, scale, chosen.workers, print_now), chosen.seed, scale, chosen.out)
    print_now(f"{chosen.out}: {', '.join(FILES)}")


def print_now(line: str) -> None:
    """A line of progress, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
