"""Traffic that flows all the while: a thread that sends the survival test's records, and never all of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

from tests.integration.application import Topics
from tests.integration.traffic import Logged, Record
from tests.integration.verdict import Sending

_PACE = 0.05


class Flow:
    """Sends from a thread, `per_second` at first, until it is told to finish; what went wrong there is raised here."""

    def __init__(self, bootstrap: str, topics: Topics, records: Sequence[Record], per_second: float) -> None:
        self._sending = Sending(bootstrap, topics)
        self._records = records
        self._rate = per_second
        self._sent = 0
        self._told = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()

    @property
    def sent(self) -> int:
        """How many records so far."""
        return self._sent

    def check(self) -> None:
        """Raise what went wrong."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop sending."""
        self._told.set()
        self._thread.join()

    def finish(self) -> None:
        """Stop; send what is left, all at once."""
        self.check()
        self.stop()
        self._sending.send(self._records[self._sent :])
        self._sent = len(self._records)
        self._sending.landed(60)

    def after(self, more: Sequence[Record]) -> list[Logged]:
        """Send these as well; where everything landed."""
        self._sending.send(more)
        return self._sending.landed(60)

    def _run(self) -> None:
        began = time.monotonic()
        count = len(self._records)
        try:
            while not self._told.wait(_PACE):
                # The rate falls with what is left, so that there is traffic however long it takes.
                due = int(-math.expm1(-self._rate * (time.monotonic() - began) / count) * count)
                self._sending.send(self._records[self._sent : due])
                self._sent = due
                self._sending.poll()
        except BaseException as problem:  # noqa: BLE001
            self._failure = problem
