"""What the machine and the broker do meanwhile, which is nothing of ours but moves every time that is measured.

A virtual machine's cores are not equally fast from minute to minute: their other half, their caches and their clock are
shared. So fixed work is done ten times a second by a thread that does nothing else, and its CPU time is taken (waiting
for a core is not in it): `compute` is the interpreter's, `memory` reads where no cache has it. (System calls were
looked at too, and told nothing that these two had not.) What other guests took altogether ("steal") is there as well,
and how long a transaction of one record takes that has nothing to do with streamgauge.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from statistics import fmean
from types import TracebackType
from typing import Self

import numpy as np
import psutil
from confluent_kafka import Producer

EVERY = 0.1  # seconds
TABLE = 2**23  # of 8 bytes: twice what the caches of a usual machine hold
SPEEDS = ("machine.compute", "machine.memory")
"""The names of the speeds, milliseconds of CPU time each: more is a slower machine."""


class Control:
    """Transactions of one record on a topic of their own: what broker and machine make of the least there is."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "transactional.id": topic, "linger.ms": 0, "log_level": 2}
        self._producer = Producer(settings)
        self._producer.init_transactions(60)
        self._topic = topic

    def commit(self) -> float:
        """Milliseconds that one took."""
        began = time.perf_counter()
        self._producer.begin_transaction()
        self._producer.produce(self._topic, b"control")
        self._producer.commit_transaction(60)
        return 1000 * (time.perf_counter() - began)


class Machine:
    """How fast it is and what of it was taken, since asked before. A context: its thread ends with it."""

    def __init__(self) -> None:
        draw = np.random.default_rng(11)
        table = np.arange(TABLE)
        where = draw.integers(0, TABLE, size=(64, 2_000))

        def compute() -> None:
            sum(number * number % 7 for number in range(5_000))

        def memory() -> None:
            table[where[draw.integers(64)]].sum()

        self._work: Mapping[str, Callable[[], None]] = dict(zip(SPEEDS, (compute, memory), strict=True))
        self._spent: dict[str, list[float]] = {name: [] for name in SPEEDS}
        self._taken = _taken()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def since(self) -> dict[str, float]:
        """The mean of each speed, and the per cent of the machine's time that other guests took."""
        before, self._taken = self._taken, _taken()
        stolen, passed = (now - then for now, then in zip(self._taken, before, strict=True))
        with self._lock:
            found = {name: fmean(spent) for name, spent in self._spent.items() if spent}
            for spent in self._spent.values():
                del spent[:-1]  # the newest stays: a sample taken at once has one too
        return {**found, "machine.steal": 100 * stolen / passed if passed else 0.0}

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            self._look()

    def _look(self) -> None:
        for name, work in self._work.items():
            began = time.thread_time_ns()
            work()
            spent = (time.thread_time_ns() - began) / 1e6
            with self._lock:
                self._spent[name].append(spent)


def _taken() -> tuple[float, float]:
    """Seconds that other guests took so far, and all there were."""
    times = psutil.cpu_times()
    return getattr(times, "steal", 0.0), sum(times)
