"""What is looked at every ten seconds: the processes from outside, and what they say at /metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.benchmarks.pipeline import prometheus, total
from tests.service import Service, role

STAGES = ("join", "gauge")
PROCESSES = ("parent", *STAGES)
Sample = dict[str, float]

UNITS: Mapping[str, str] = {
    "rss": "MiB",
    "files": "open",
    "threads": "",
    "lag": "records",
    "commit": "ms",
    "held": "records",
}
"""The figures whose slope is judged, by the last part of their name."""


def judged() -> list[str]:
    """The names of the figures whose slope is judged."""
    processes = [f"{process}.{figure}" for figure in ("rss", "files", "threads") for process in PROCESSES]
    return [*processes, *(f"{stage}.{figure}" for figure in ("lag", "commit") for stage in STAGES), "join.held"]


@dataclass(slots=True)
class Sampler:
    """Looks at a running service. A commit's time is the mean over the transactions since the sample before."""

    service: Service
    _commits: dict[str, tuple[float, float]] = field(default_factory=dict)

    def sample(self, seconds: float) -> Sample:
        """Everything, `seconds` after the start."""
        found: Sample = {"seconds": round(seconds, 2)}
        found |= {name: round(value, 3) for name, value in (self._processes() | self._said()).items()}
        return found

    def _processes(self) -> Sample:
        """Memory in MiB, open files, threads, CPU seconds of each process."""
        found: dict[str, float] = defaultdict(float)
        for process in self.service.processes():
            name = role(process)
            with process.oneshot():
                found[f"{name}.rss"] += process.memory_info().rss / 2**20
                found[f"{name}.files"] += process.num_fds()
                found[f"{name}.threads"] += process.num_threads()
                found[f"{name}.cpu"] += sum(process.cpu_times()[:2])
        return dict(found)

    def _said(self) -> Sample:
        """Lag, commits, what is held and what has been read, by stage."""
        samples = prometheus(self.service)
        found: Sample = {}
        for stage in STAGES:
            count = total(samples, "streamgauge_commit_seconds_count", stage=stage)
            seconds = total(samples, "streamgauge_commit_seconds_sum", stage=stage)
            before, spent = self._commits.get(stage, (count, seconds))
            self._commits[stage] = (count, seconds)
            found[f"{stage}.commit"] = 1000 * (seconds - spent) / (count - before) if count > before else math.nan
            found[f"{stage}.commits"] = count
            found[f"{stage}.lag"] = total(samples, "streamgauge_lag_records", stage=stage)
            found[f"{stage}.read"] = total(samples, "streamgauge_input_records_total", stage=stage)
            found[f"{stage}.aborted"] = total(samples, "streamgauge_transactions_total", stage=stage, outcome="aborted")
        found["join.held"] = total(samples, "streamgauge_held_records", stage="join")
        return found
