"""The fuzzer: `python -m tests.fuzz --inputs 5000000`, or some of its targets.

Each target runs in a process of its own: first guided by coverage (atheris), then in bulk from what that has found.
Kernels are compiled with bounds checks, so that what would read foreign memory raises. A process that ends before its
time has found something: the family it was at is kept, and another goes on.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.tally import ACCEPTED, INPUTS, RSS_FIRST, RSS_LAST, SLOWEST, Tally
from tests.fuzz.targets import TARGETS

SHARES = {
    "predictions": 0.27, "labels": 0.20, "predictions-mapped": 0.12, "labels-mapped": 0.13, "control": 0.10,
    "detectors": 0.08, "outcomes": 0.05, "journal": 0.03, "snapshots": 0.01, "configuration": 0.01,
}  # fmt: skip
_MOST_STOPS = 30
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass
class Ran:
    """What came of a target: tallies of the guided inputs, and of those in bulk."""

    tallies: tuple[Tally, Tally]
    coverage: str = "-"
    stops: int = 0

    def total(self, place: int) -> int:
        """Of both."""
        return sum(each[place] for each in self.tallies)


def main() -> int:
    """Exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Bad bytes, by the million.")
    parser.add_argument("--inputs", type=int, default=5_000_000, help="in all")
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="pools, findings, compiled kernels")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--guided", type=float, default=0.04, help="of the inputs, in families that coverage guides")
    parser.add_argument("--unchecked", action="store_true", help="kernels as they are shipped, without bounds checks")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is drawn")
    options = parser.parse_args()
    if not options.unchecked:
        os.environ |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str((options.folder / "kernels").absolute())}
    total = sum(SHARES[name] for name in options.targets)
    with ThreadPoolExecutor(options.workers) as pool:
        started = {
            name: pool.submit(
                run, name, int(options.inputs * SHARES[name] / total), options.guided, options.folder, options.seed
            )
            for name in options.targets
        }
        ran = {name: each.result() for name, each in started.items()}
    return report(ran, options.folder)


def run(name: str, inputs: int, guided: float, folder: Path, seed: int) -> Ran:
    """One target: guided, then in bulk. Goes on where an earlier run of the folder ended."""
    own = folder / name
    (own / "pool").mkdir(parents=True, exist_ok=True)
    ran = Ran((Tally(own / "tally-guided"), Tally(own / "tally-bulk")))
    began, before = time.monotonic(), ran.total(INPUTS)
    for tally, share in zip(ran.tallies, (guided, 1 - guided), strict=True):
        wanted = tally[INPUTS] + int(share * inputs)
        while tally[INPUTS] < wanted and ran.stops < _MOST_STOPS:
            seed += 1
            _go_on(name, own, wanted, seed, ran, bulk=tally is ran.tallies[1])
    print(f"{name}: {ran.total(INPUTS) - before:,} inputs, {time.monotonic() - began:.0f} s", flush=True)
    return ran


def _go_on(name: str, own: Path, wanted: int, seed: int, ran: Ran, *, bulk: bool) -> None:
    command = [sys.executable, "-m", "tests.fuzz.drive", name, str(own), str(wanted), str(seed), *["bulk"] * bulk]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    way = "bulk" if bulk else "guided"
    with (own / f"log-{way}").open("ab") as log:
        code = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False).returncode
    if not bulk:
        found = _COVERAGE.findall((own / "log-guided").read_text(errors="replace")[-100_000:])
        ran.coverage = " / ".join(found[-1]) if found else "-"
    if ran.tallies[bulk][INPUTS] < wanted:
        ran.stops += 1
        now = (own / f"now-{way}").read_bytes()
        (own / f"stopped-{seed}-{code}.frames").write_bytes(now[8 : 8 + int.from_bytes(now[:8], "big")])


def report(ran: dict[str, Ran], folder: Path) -> int:
    """Prints the table; whether anything was found."""
    print(f"{'target':<20}{'inputs':>12}{'guided':>10}{'accepted':>10}{'edges / features':>18}{'slowest':>10}"
          f"{'growth':>10}{'stops':>7}{'found':>7}")  # fmt: skip
    found = 0
    for name, each in ran.items():
        raised = len(list((folder / name / "found").glob("*.txt")))
        found += raised + each.stops
        inputs, slowest = each.total(INPUTS), max(tally[SLOWEST] for tally in each.tallies)
        growth = max(tally[RSS_LAST] - tally[RSS_FIRST] for tally in each.tallies) / 1024
        print(f"{name:<20}{inputs:>12,}{each.tallies[0][INPUTS]:>10,}{each.total(ACCEPTED) / max(1, inputs):>10.1%}"
              f"{each.coverage:>18}{slowest / 1000:>7.0f} ms{growth:>6.0f} MiB{each.stops:>7}{raised:>7}")  # fmt: skip
    print(f"{sum(each.total(INPUTS) for each in ran.values()):,} inputs, {found} findings in {folder}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
