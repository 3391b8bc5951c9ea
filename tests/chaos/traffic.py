"""Traffic that flows all the while: a thread that sends the survival test's records, and never all of them, and now and
then a control record, as somebody on duty would."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Sequence

from tests.integration.application import Topics
from tests.integration.orders import MUTING, order
from tests.integration.traffic import Logged, Order, Record
from tests.integration.verdict import Sending

_PACE = 0.05
_ORDER_EVERY = 4.0
_DELETED = 0.2
_PARTS = 12


class Flow:
    """Sends from a thread, `per_second` at first, until it is told to finish; what went wrong there is raised here."""

    def __init__(self, bootstrap: str, topics: Topics, records: Sequence[Record], per_second: float) -> None:
        self._sending = Sending(bootstrap, topics)
        self._records = records
        self._rate = per_second
        self._sent = 0
        self._draw = random.Random(f"orders {len(records)}")
        self._ordered = time.monotonic()
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

    def finish(self, settle: Callable[[], None]) -> None:
        """Stop; send what is left, a part at a time and `settle` after each: sent at once, one partition's would all be
        read before another's, and models would learn what is normal from both sides of the change."""
        self.check()
        self.stop()
        step = -(-(len(self._records) - self._sent) // _PARTS) or 1
        for begin in range(self._sent, len(self._records), step):
            self._sending.send(self._records[begin : begin + step])
            self._sending.landed(60)
            settle()
        self._sent = len(self._records)

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
                if time.monotonic() - self._ordered >= _ORDER_EVERY:
                    self._ordered = time.monotonic()
                    self._sending.send([self._order()])
                self._sending.poll()
        except BaseException as problem:  # noqa: BLE001
            self._failure = problem

    def _order(self) -> Record:
        """A silence or an announced event about now, or the end of one."""
        now = int(time.time() * 1000)
        key, body = order(self._draw, now, now, MUTING)
        said = None if self._draw.random() < _DELETED else body
        return Record(
            "control", key.encode(), None if said is None else json.dumps(said).encode(), now, Order(key, said)
        )
