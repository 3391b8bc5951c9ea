"""A broker that is away for a while, both stages over it: afterwards one alert says so."""

from __future__ import annotations

import json
from typing import Any

from worker_rig import LogClock

from schemas import AlertEvent, Config
from streams.log import MemoryLog, Retriable
from streams.worker import StageName, Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import gauge_stage, join_stage

NOW = 1_795_300_000_000
CONFIG = Config.model_validate({"defaults": {"join": {"horizon": "1h", "idle_after": "5s"}}})


class Outage:
    """A worker of each stage, traffic, and a broker that can be away."""

    def __init__(self) -> None:
        self.log = MemoryLog(clock=NOW)
        for topic in (CONFIG.topics.predictions, CONFIG.topics.labels):
            self.log.create_topic(topic, 1)
        self._layout = prepare(CONFIG, self.log.admin())
        self._sent = 0
        self.workers: dict[StageName, Worker] = {}
        self.start("join")
        self.start("gauge")

    def start(self, stage: StageName) -> None:
        """A worker of the stage."""
        made = join_stage(CONFIG, self._layout, "earliest") if stage == "join" else gauge_stage(CONFIG)
        telemetry = Telemetry(stage, CONFIG.topics.dead_letters, CONFIG.topics.alerts)
        settings = WorkerSettings(CONFIG.kafka.application_id, None, stage)
        self.workers[stage] = Worker(made, self.log, settings, LogClock(self.log), telemetry)
        self.workers[stage].start()

    def run(self, seconds: float) -> None:
        """Both stages, with a prediction at each turn, and two turns a second."""
        until = self.log.clock + int(1000 * seconds)
        while self.log.clock < until:
            event: dict[str, Any] = {"prediction_id": f"id-{self._sent}", "model": "m", "prediction": 1}
            value = json.dumps({**event, "timestamp": self.log.clock}).encode()
            self.log.append(CONFIG.topics.predictions, value, partition=0, timestamp=self.log.clock)
            self._sent += 1
            for worker in self.workers.values():
                worker.turn()
            self.log.advance(500)

    def away(self, seconds: float) -> None:
        """From now on no commit is answered for so long."""
        back = self.log.clock + int(1000 * seconds)

        def hook(step: str, when: str) -> None:
            if step == "commit" and when == "before" and self.log.clock < back:
                raise Retriable("the broker is away")

        self.log.faults.hook = hook

    def told(self) -> list[AlertEvent]:
        """The alerts about the pipeline that a reader of committed records sees."""
        records = self.log.records(CONFIG.topics.alerts)
        events = [AlertEvent.model_validate_json(each.value) for each in records if each.value is not None]
        return [event for event in events if event.kind == "pipeline"]


def test_an_outage_is_one_alert_that_says_how_long_it_was() -> None:
    world = Outage()
    world.run(10)
    world.away(60)
    world.run(75)
    (fired,) = world.told()
    assert (fired.status, fired.rule, fired.model) == ("firing", "kafka/commits", "__unknown__")
    assert fired.statistic is not None and 55_000 <= fired.statistic <= 75_000
