"""A hook for tests that kill: STREAMGAUGE_TEST_STOP_AT="<step>:<nth>" blocks the process at the nth time it reaches
that step of a transaction that carries input records, and says so on stderr; "<stage>.<step>:<nth>" blocks that stage
alone. SIGCONT lets it go on. Without the variable it does nothing."""

from __future__ import annotations

import os
import signal
import sys

VARIABLE = "STREAMGAUGE_TEST_STOP_AT"
STEPS = ("begin", "produced", "offsets_sent", "before_commit", "after_commit")
_LOOK_EVERY = 0.05
"""Seconds. A signal that comes between the look and a pause without end would be waited for again."""


class StopAt:
    """Counts the steps; blocks at the one it was told."""

    def __init__(self, told: str | None = None, stage: str = "") -> None:
        told = os.environ.get(VARIABLE) if told is None else told
        only, dot, rest = (told or "").partition(".")
        if dot:
            told = rest if only == stage else None
        self._step, _, nth = (told or "").partition(":")
        if told and (self._step not in STEPS or not nth.isdigit()):
            raise ValueError(f"{VARIABLE} must be <step>:<nth> with a step of {', '.join(STEPS)}; it is {told!r}")
        self._left = int(nth) if told else 0

    def reached(self, step: str) -> None:
        """Called by the committer at each named step."""
        if step != self._step or self._left == 0:
            return
        self._left -= 1
        if self._left == 0:
            told = []
            signal.signal(signal.SIGCONT, lambda *_: told.append(True))
            sys.stderr.write(f"streamgauge-stopped-at {step}\n")
            sys.stderr.flush()
            while not told:
                signal.sigtimedwait((), _LOOK_EVERY)
