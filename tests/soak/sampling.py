"""What is looked at: the processes from outside, and what they say at /metrics.

Memory and lag go up and down with every batch and every commit, so they are read every second, and a sample has the
mean of its seconds, of memory also the least: what it comes down to between batches is what is kept, and a leak raises
that. Everything else is read when the sample is taken. A delay is the time from a record's timestamp to its commit, the
mean over all records since the sample before: the lag by Little's law, with nothing between two looks missed.

What the machine does meanwhile is looked at too: the share of its time that other guests took ("steal"), and how long
a transaction of one record takes that has nothing to do with streamgauge, each second.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

import psutil
from confluent_kafka import Producer

from tests.benchmarks.pipeline import prometheus, total
from tests.service import Service, role

LOOK_EVERY = 1.0  # seconds
STAGES = ("join", "gauge")
PROCESSES = ("parent", *STAGES)
Sample = dict[str, float]

UNITS: Mapping[str, str] = {
    "rss_least": "MiB",
    "files": "open",
    "threads": "",
    "lag": "records",
    "delay": "ms",
    "commit": "ms",
    "relative": "",
    "held": "records",
}
"""The figures whose slope is judged, by the last part of their name."""


def judged() -> list[str]:
    """The names of the figures whose slope is judged."""
    processes = [f"{process}.{figure}" for figure in ("rss_least", "files", "threads") for process in PROCESSES]
    times = [f"{stage}.{figure}" for figure in ("lag", "delay", "commit", "relative") for stage in STAGES]
    return [*processes, *times, "control.commit", "join.held"]


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


@dataclass(slots=True)
class Sampler:
    """Looks at a running service. A commit's time is the mean over the transactions since the sample before; relative
    to the control's, what the machine and the broker do to both is gone from it."""

    service: Service
    control: Control
    _before: dict[str, float] = field(default_factory=dict)
    _looks: list[Sample] = field(default_factory=list)

    def look(self) -> None:
        """Memory in MiB, lag in records and a control's milliseconds as they are now."""
        found: dict[str, float] = defaultdict(float)
        found["control.commit"] = self.control.commit()
        for process in self.service.processes():
            found[f"{role(process)}.rss"] += process.memory_info().rss / 2**20
        samples = prometheus(self.service)
        for stage in STAGES:
            found[f"{stage}.lag"] = total(samples, "streamgauge_lag_records", stage=stage)
        self._looks.append(dict(found))

    def sample(self, seconds: float) -> Sample:
        """Everything, `seconds` after the start; the mean of the looks since the sample before."""
        self.look()
        seen = {name: fmean(look[name] for look in self._looks) for name in self._looks[-1]}
        least = {f"{name}_least": min(look[name] for look in self._looks) for name in seen if name.endswith(".rss")}
        self._looks.clear()
        found: Sample = {"seconds": round(seconds, 2)}
        figures = seen | least | self._processes() | self._said(seen["control.commit"]) | self._machine()
        return found | {name: round(value, 3) for name, value in figures.items()}

    def _processes(self) -> Sample:
        """Open files, threads, CPU seconds of each process."""
        found: dict[str, float] = defaultdict(float)
        for process in self.service.processes():
            name = role(process)
            with process.oneshot():
                found[f"{name}.files"] += process.num_fds()
                found[f"{name}.threads"] += process.num_threads()
                found[f"{name}.cpu"] += sum(process.cpu_times()[:2])
        return dict(found)

    def _since(self, name: str, total: float) -> float:
        """How much a total has grown since the sample before; nothing at the first."""
        before = self._before.get(name, total)
        self._before[name] = total
        return total - before

    def _machine(self) -> Sample:
        """Per cent of the machine's time since the sample before that other guests took."""
        times = psutil.cpu_times()
        taken, all_of_it = self._since("steal", getattr(times, "steal", 0.0)), self._since("time", sum(times))
        return {"machine.steal": 100 * taken / all_of_it if all_of_it else 0.0}

    def _said(self, control: float) -> Sample:
        """Commits and delays, what is held and what has been read, by stage."""
        samples = prometheus(self.service)
        found: Sample = {}
        for stage in STAGES:
            commits = total(samples, "streamgauge_commit_seconds_count", stage=stage)
            read = total(samples, "streamgauge_input_records_total", stage=stage)
            sums = {
                "commit": ("streamgauge_commit_seconds_sum", self._since(f"{stage}.commits", commits)),
                "delay": ("streamgauge_input_delay_seconds_total", self._since(f"{stage}.read", read)),
            }
            for figure, (name, count) in sums.items():
                spent = self._since(f"{stage}.{figure}", total(samples, name, stage=stage))
                found[f"{stage}.{figure}"] = 1000 * spent / count if count else math.nan
            found[f"{stage}.relative"] = found[f"{stage}.commit"] / control
            found[f"{stage}.commits"] = commits
            found[f"{stage}.read"] = read
            found[f"{stage}.aborted"] = total(samples, "streamgauge_transactions_total", stage=stage, outcome="aborted")
        found["join.held"] = total(samples, "streamgauge_held_records", stage="join")
        return found
