"""What is looked at: the processes from outside, and what they say at /metrics.

Memory and lag go up and down with every batch and every commit, so they are read every second, and a sample has the
mean of its seconds, of memory also the least: what it comes down to between batches is what is kept, and a leak raises
that. Everything else is read when the sample is taken.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

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
    "commit": "ms",
    "held": "records",
}
"""The figures whose slope is judged, by the last part of their name."""


def judged() -> list[str]:
    """The names of the figures whose slope is judged."""
    processes = [f"{process}.{figure}" for figure in ("rss_least", "files", "threads") for process in PROCESSES]
    return [*processes, *(f"{stage}.{figure}" for figure in ("lag", "commit") for stage in STAGES), "join.held"]


@dataclass(slots=True)
class Sampler:
    """Looks at a running service. A commit's time is the mean over the transactions since the sample before."""

    service: Service
    _commits: dict[str, tuple[float, float]] = field(default_factory=dict)
    _looks: list[Sample] = field(default_factory=list)

    def look(self) -> None:
        """Memory in MiB and lag in records as they are now."""
        found: dict[str, float] = defaultdict(float)
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
        figures = seen | least | self._processes() | self._said()
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

    def _said(self) -> Sample:
        """Commits, what is held and what has been read, by stage."""
        samples = prometheus(self.service)
        found: Sample = {}
        for stage in STAGES:
            count = total(samples, "streamgauge_commit_seconds_count", stage=stage)
            seconds = total(samples, "streamgauge_commit_seconds_sum", stage=stage)
            before, spent = self._commits.get(stage, (count, seconds))
            self._commits[stage] = (count, seconds)
            found[f"{stage}.commit"] = 1000 * (seconds - spent) / (count - before) if count > before else math.nan
            found[f"{stage}.commits"] = count
            found[f"{stage}.read"] = total(samples, "streamgauge_input_records_total", stage=stage)
            found[f"{stage}.aborted"] = total(samples, "streamgauge_transactions_total", stage=stage, outcome="aborted")
        found["join.held"] = total(samples, "streamgauge_held_records", stage="join")
        return found
