"""The worker's own time: the only place where it enters, so that tests can drive it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for ticks, steady time for durations, and a wait."""

    def now(self) -> int:
        """The wall clock, epoch milliseconds."""
        ...

    def steady(self) -> float:
        """Seconds that never go back."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> int:
        """The wall clock, epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def steady(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)
