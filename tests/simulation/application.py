"""The application under simulation: its configuration, its workers, and their clocks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from schemas import Config, ModelConfig
from streams.alerts import AlertSettings, QuietSettings
from streams.gauge import GaugeSettings, GaugeTask
from streams.log import MemoryLog
from streams.worker import GaugeStage, GaugeTopics, Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import join_stage
from streams.worker.stop_at import StopAt
from tests.integration.application import RULE, Topics, settings
from tests.integration.quiet_checks import Patience
from tests.integration.traffic import HOUR
from tests.simulation.plan import Member, Plan

TOPICS = Topics("sim")
SIZES = (HOUR,)
ROLLING = 20
_TOO_LITTLE = "1kB"
"""For all that a worker of the join holds: everything else lies on disk, from the first record on."""
PATIENCE = {"predictions": Patience(4_000, 5, 3_000), "labels": Patience(4_000, 3, 4_000)}
"""With streams that say nothing: weeks and hours as seconds."""
PAGE_HINKLEY: dict[str, Any] = {"min_instances": 4, "threshold": 1.0}


def configuration(plan: Plan) -> Config:
    """The application of a plan: small windows, quick emissions, thresholds and detectors that do fire."""
    options: dict[str, Any] = settings("localhost:1", TOPICS)
    options["outcomes_partitions"] = plan.outcomes_partitions
    options["max_skew"] = f"{plan.max_skew}ms"
    for model in options["models"].values():
        model.pop("detectors", None)
    defaults = options["defaults"]
    defaults["join"] |= {"grace": f"{plan.grace}ms", "idle_after": f"{plan.idle_after}ms"}
    defaults["windows"] = {"tumbling": [f"{size}ms" for size in SIZES], "rolling": [ROLLING], "emit_every": "2s"}
    defaults["reference"] = {"warm_up": 30}
    defaults["rules"] = [RULE | {"window": f"{SIZES[0]}ms", "min_count": 3}]
    defaults["detectors"] = [
        {"on": "error", "use": "page_hinkley", "severity": "critical", **PAGE_HINKLEY},
        {"on": "score", "use": "page_hinkley", "severity": "warning", **PAGE_HINKLEY},
    ]
    if plan.spills:
        options["state"] = {"memory": _TOO_LITTLE, "directory": tempfile.gettempdir()}
    return Config.model_validate(options)


@contextmanager
def impatient() -> Iterator[None]:
    """Streams are missed as soon as `PATIENCE` says: that cannot be configured."""
    predictions, labels = PATIENCE["predictions"], PATIENCE["labels"]
    assert predictions.history == labels.history
    quiet = QuietSettings(predictions.history, predictions.fewest, labels.fewest, predictions.floor, labels.floor)
    shipped = AlertSettings.from_config

    def quick(config: ModelConfig, config_hash: str = "") -> AlertSettings:
        return replace(shipped(config, config_hash), quiet=quiet)

    with mock.patch.object(AlertSettings, "from_config", quick):
        yield


@dataclass(frozen=True, slots=True)
class MemberClock:
    """A worker's own time: off by its skew, at its own rate; waiting (`wait_for`, ms) gives way to others."""

    log: MemoryLog
    origin: int
    member: Member
    wait_for: Callable[[int], None]

    def now(self) -> int:
        """Epoch milliseconds, as this worker has them."""
        return int(self.log.clock + self.member.skew + (self.log.clock - self.origin) * (self.member.rate - 1))

    def steady(self) -> float:
        """Seconds that never go back."""
        return self.log.clock / 1000 * self.member.rate

    def wait(self, seconds: float) -> None:
        """Let time pass, rather more than was asked for."""
        self.wait_for(max(1, int(seconds * 1000 * self.member.slow)))


class Application:
    """Makes workers on a log whose input topics are there; creates the other topics."""

    def __init__(self, plan: Plan, log: MemoryLog) -> None:
        self._plan, self._log = plan, log
        self.config = configuration(plan)
        self._layout = prepare(self.config, log.admin())

    def worker(self, member: Member, life: int, clock: MemberClock) -> Worker:
        """A worker, not started; a dynamic member is another one in each of its lives."""
        stage = join_stage(self.config, self._layout, "earliest") if member.stage == "join" else self._gauge()
        settings = WorkerSettings(
            self.config.kafka.application_id,
            member.instance,
            f"{member.name}-{life}",
            commit_interval=self._plan.commit_interval / 1000,
            max_skew=self._plan.max_skew,
        )
        telemetry = Telemetry(stage.name, TOPICS["dead-letters"], TOPICS["alerts"])
        return Worker(stage, self._log, settings, clock, telemetry, stop_at=StopAt(""))

    def _gauge(self) -> GaugeStage:
        settings = replace(GaugeSettings.from_config(self.config), snapshot_every=self._plan.snapshot_every)
        topics = GaugeTopics(self.config.outcomes_topic, self.config.snapshots_topic, self._plan.outcomes_partitions)
        return GaugeStage(topics, self.config.gauge_group, lambda partition: GaugeTask(settings, partition))
