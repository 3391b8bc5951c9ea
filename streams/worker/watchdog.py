"""Ends a worker whose loop has not turned for a minute: a call that hangs holds its partitions from everyone."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time

from streams.worker.errors import Exit

LIMIT = 60.0
FIRST_LIMIT = 300.0
"""Until records have been committed once: kernels may have to be compiled first."""


class Watchdog:
    """`beat` is called by the loop; a thread looks every second. It prints where every thread stands, and exits."""

    def __init__(self) -> None:
        self._beaten = time.monotonic()
        self._limit = FIRST_LIMIT
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """The loop turns."""
        self._beaten = time.monotonic()

    def warmed_up(self) -> None:
        """Records have been committed: from now on a minute is long."""
        self._limit = LIMIT

    def close(self) -> None:
        """The loop has ended in order."""
        self._closed.set()

    def silent(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._beaten

    def alive(self) -> tuple[bool, str]:
        """What /livez says."""
        silent = self.silent()
        return (True, "alive") if silent < self._limit else (False, f"the loop has not turned for {silent:.0f} s")

    def _watch(self) -> None:
        while self.silent() < self._limit:
            if self._closed.wait(1.0):
                return
        sys.stderr.write(f"streamgauge: the loop has not turned for {self._limit:.0f} s; giving up\n")
        faulthandler.dump_traceback()
        os._exit(Exit.BUG)
