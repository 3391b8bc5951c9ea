"""A hook for tests that kill: STREAMGAUGE_TEST_STOP_AT="<step>:<nth>" blocks the process at the nth time it reaches
that step of a transaction that carries input records, and says so on stderr; "<stage>.<step>:<nth>" blocks that stage
alone. SIGCONT lets it go on. "@<file>" has the file say it, again whenever what it says changes ("#" and what follows
tell two equal orders apart). Without the variable it does nothing."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

VARIABLE = "STREAMGAUGE_TEST_STOP_AT"
STEPS = ("begin", "produced", "offsets_sent", "before_commit", "after_commit")
_LOOK_EVERY = 0.05
"""Seconds. A signal that comes between the look and a pause without end would be waited for again."""


class StopAt:
    """Counts the steps; blocks at the one it was told."""

    def __init__(self, told: str | None = None, stage: str = "") -> None:
        told = (os.environ.get(VARIABLE) or "") if told is None else told
        self._stage = stage
        self._file = Path(told[1:]) if told.startswith("@") else None
        self._said = ""
        self._step, self._left = _parse("" if self._file else told, stage)

    def reached(self, step: str) -> None:
        """Called by the committer at each named step."""
        if self._file is not None:
            self._read(self._file)
        if step != self._step or self._left == 0:
            return
        self._left -= 1
        if self._left == 0:
            _stand(step)

    def _read(self, file: Path) -> None:
        said = file.read_text() if file.exists() else ""
        if said != self._said:
            self._said = said
            self._step, self._left = _parse(said.partition("#")[0], self._stage)


def _parse(told: str, stage: str) -> tuple[str, int]:
    """The step, and how many times to reach it; 0 where the order is not for this stage."""
    only, dot, rest = told.partition(".")
    if dot:
        told = rest if only == stage else ""
    step, _, nth = told.partition(":")
    if told and (step not in STEPS or not nth.isdigit()):
        raise ValueError(f"{VARIABLE} must be <step>:<nth> with a step of {', '.join(STEPS)}; it is {told!r}")
    return step, int(nth) if told else 0


def _stand(step: str) -> None:
    told: list[int] = []
    signal.signal(signal.SIGCONT, lambda number, _: told.append(number))
    sys.stderr.write(f"streamgauge-stopped-at {step}\n")
    sys.stderr.flush()
    while not told:
        signal.sigtimedwait((), _LOOK_EVERY)
