"""What is looked at: the processes from outside, and what they say at /metrics.

Memory and lag go up and down with every batch and every commit, so they are read every second, and a sample has the
mean of its seconds, of memory also the least: what it comes down to between batches is what is kept, and a leak raises
that. Everything else is read when the sample is taken. A delay is the time from a record's timestamp to its commit, the
mean over all records since the sample before: the lag by Little's law, with nothing between two looks missed.
A commit's time is the mean over the transactions since then, `work` the CPU time that a stage spent for each record.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from tests.benchmarks.pipeline import prometheus, total
from tests.service import Service, role
from tests.soak.machine import Control, Machine

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
    "work": "µs",
    "held": "records",
}
"""The figures whose slope is judged, by the last part of their name."""

TIMES = ("lag", "delay", "commit", "work")
"""Those of them that a slower machine makes longer."""


def judged() -> list[str]:
    """The names of the figures whose slope is judged."""
    processes = [f"{process}.{figure}" for figure in ("rss_least", "files", "threads") for process in PROCESSES]
    times = [f"{stage}.{figure}" for figure in TIMES for stage in STAGES]
    return [*processes, *times, "control.commit", "join.held"]


@dataclass(slots=True)
class Sampler:
    """Looks at a running service."""

    service: Service
    control: Control
    machine: Machine
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
        processes = self._processes()
        figures = seen | least | processes | self._said(processes) | self.machine.since()
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

    def _said(self, processes: Sample) -> Sample:
        """Commits, delays and work, what is held and what has been read, by stage."""
        samples = prometheus(self.service)
        found: Sample = {}
        for stage in STAGES:
            commits = total(samples, "streamgauge_commit_seconds_count", stage=stage)
            read = total(samples, "streamgauge_input_records_total", stage=stage)
            committed, records = self._since(f"{stage}.commits", commits), self._since(f"{stage}.read", read)
            delay = total(samples, "streamgauge_input_delay_seconds_total", stage=stage)
            sums = {
                "commit": (1e3, total(samples, "streamgauge_commit_seconds_sum", stage=stage), committed),
                "delay": (1e3, delay, records),
                "work": (1e6, processes[f"{stage}.cpu"], records),
            }
            for figure, (scale, seconds, count) in sums.items():
                spent = self._since(f"{stage}.{figure}", seconds)
                found[f"{stage}.{figure}"] = scale * spent / count if count else math.nan
            found[f"{stage}.commits"] = commits
            found[f"{stage}.read"] = read
            found[f"{stage}.aborted"] = total(samples, "streamgauge_transactions_total", stage=stage, outcome="aborted")
        found["join.held"] = total(samples, "streamgauge_held_records", stage="join")
        return found
