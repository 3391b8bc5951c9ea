"""One target in a process of its own, which a crash may end: `python -m tests.fuzz.drive TARGET FOLDER N SEED [bulk]`.

Guided, the inputs are atheris's, which keeps in `pool/` those that reach new code. In bulk they are drawn from that
pool, in larger families and without the cost of coverage. In the folder: `tally-…`, what was counted; `found/`;
`now-…`, the family under judgement, for whoever looks at what ended the process; `stopped-…`, where libFuzzer ended it.
"""

from __future__ import annotations

import mmap
import random
import signal
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.corpus import findings, interesting
from tests.fuzz.finding import Findings
from tests.fuzz.tally import ACCEPTED, INPUTS, RSS_FIRST, RSS_LAST, SLOWEST, Tally, rss
from tests.fuzz.target import framed

if TYPE_CHECKING:
    from tests.fuzz.target import Target

SECONDS = 20
"""Seconds of processor time that a family may take before it is a hang."""
_WARM_SECONDS, _WALL_SECONDS = 300, 900
"""The same while kernels are compiled, and by the wall's clock, which is all that libFuzzer looks at."""
MEMORY = 3072
"""MiB that it may hold, before it is a growth."""
_WARM = 4_000
"""Inputs after which what is loaded and compiled is loaded and compiled."""
_NOW = 1 << 24
_LOOK = 500
"""Families after which the pool is looked at again."""
_IN_BULK = 48
"""Children of an input in bulk, where each does not cost much more than the batch."""


class Drive:
    """Counts, judges, and keeps what is found."""

    def __init__(self, target: Target, folder: Path, wanted: int, guided: bool) -> None:
        self._target, self._wanted, self._guided = target, wanted, guided
        way = "guided" if guided else "bulk"
        self._tally = Tally(folder / f"tally-{way}")
        self._findings = Findings(folder / "found")
        self._judged = 0
        self._tally[RSS_FIRST] = 0
        (folder / f"now-{way}").write_bytes(b"")
        with (folder / f"now-{way}").open("r+b") as file:
            file.truncate(_NOW)
            self._now = mmap.mmap(file.fileno(), _NOW)

    @property
    def warm(self) -> bool:
        """Whether what is loaded and compiled is there by now."""
        return self._judged > _WARM

    def one(self, data: bytes) -> None:
        """Judge an input and its children."""
        family = self._target.family(data)
        self._tell(family)
        began = time.process_time()
        accepted = self._findings.judge(self._target, family)
        spent = int(1e6 * (time.process_time() - began))
        tally = self._tally
        self._judged += len(family)
        if self.warm:
            tally[SLOWEST] = max(tally[SLOWEST], spent)
        tally[INPUTS] += len(family)
        tally[ACCEPTED] += accepted
        if self.warm and not self._judged // len(family) % 64:
            tally[RSS_LAST] = rss()
            if not tally[RSS_FIRST]:
                tally[RSS_FIRST] = tally[RSS_LAST]
        if tally[INPUTS] >= self._wanted:
            raise SystemExit(0)

    def _tell(self, family: list[bytes]) -> None:
        told = framed(family)
        self._now.seek(0)
        self._now.write(len(told).to_bytes(8, "big") + told[: _NOW - 8])


def _in_bulk(drive: Drive, target: Target, pool: Path, seed: str) -> None:
    """Inputs of the pool, which may grow meanwhile, each in a family of its own; every family is another one."""
    chance = random.Random(seed)
    inputs: list[bytes] = []
    for turn in count():
        if turn % _LOOK == 0:
            inputs = [path.read_bytes() for path in sorted(pool.iterdir())]
        # Of processor time, for others may be at work; not caught: a kernel that hangs would never see it.
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS if drive.warm else _WARM_SECONDS)
        drive.one(target.changed(chance.choice(inputs), chance)[: target.largest])


def _guided(drive: Drive, target: Target, folder: Path, seed: str) -> None:
    import atheris

    def mutated(data: bytes, size: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.2:
            changed: bytes = atheris.Mutate(data, size)
            return changed
        return target.changed(data, chance)[:size]

    options = [
        sys.argv[0], f"-seed={seed}", f"-timeout={_WALL_SECONDS}", f"-rss_limit_mb={MEMORY}",
        f"-max_len={target.largest}",
        "-len_control=0", f"-artifact_prefix={folder}/stopped-", str(folder / "pool"),
    ]  # fmt: skip
    atheris.Setup(options, drive.one, custom_mutator=mutated)
    atheris.Fuzz()


def main() -> None:
    """Ends when the tally says N."""
    name, folder, wanted, seed, bulk = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:]
    if bulk:
        target = _target(name)
        _give(target, folder / "pool")
        target.children = max(target.children, min(_IN_BULK, 8 * target.children))
        _in_bulk(Drive(target, folder, wanted, guided=False), target, folder / "pool", seed)
        return
    from tests.fuzz import instrumented

    with instrumented.imports():
        target = _target(name)
        _give(target, folder / "pool")
        target.judge(target.seeds())  # whatever is imported late
    instrumented.the_rest()
    _guided(Drive(target, folder, wanted, guided=True), target, folder, seed)


def _give(target: Target, pool: Path) -> None:
    """What a run starts from."""
    for i, data in enumerate([*target.seeds(), *interesting(target.name), *findings(target.name).values()]):
        (pool / f"given-{i}").write_bytes(data)


def _target(name: str) -> Target:
    from tests.fuzz.targets import TARGETS

    made: Any = TARGETS[name]()
    return made  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
