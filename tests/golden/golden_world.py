"""Both stages of an application over the in-memory log, on the log's clock: the same inputs give the same bytes."""

from __future__ import annotations

from schemas import Config
from streams.log import MemoryLog
from streams.worker import Layout, StageName, Telemetry, Worker, WorkerSettings, prepare
from streams.worker.process import gauge_stage, join_stage

NOW = 1_795_300_000_000
STAGES: tuple[StageName, ...] = ("join", "gauge")


class LogClock:
    """The log's time is the workers'."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def now(self) -> int:
        return self._log.clock

    def steady(self) -> float:
        return self._log.clock / 1000

    def wait(self, seconds: float) -> None:
        self._log.advance(max(1, int(seconds * 1000)))


class World:
    """An application on a log, from its first start or from what the log already holds."""

    def __init__(self, config: Config, log: MemoryLog) -> None:
        self.config, self.log = config, log
        for topic in (config.topics.predictions, config.topics.labels):
            log.create_topic(topic, 1)
        self._layout: Layout = prepare(config, log.admin())
        self._clock = LogClock(log)
        self._workers = 0

    def run(self, turns: int, *, from_now: bool = False) -> None:
        """A worker of each stage for so many turns, then stopped in order. Raises what ends a worker."""
        workers = [self.worker(name, from_now=from_now) for name in STAGES]
        try:
            for worker in workers:
                worker.start()
            for _ in range(turns):
                for worker in workers:
                    worker.turn()
            for worker in workers:
                worker.last_turn()
        finally:
            for worker in workers:
                worker.close()

    def worker(self, name: StageName, *, from_now: bool = False) -> Worker:
        """A worker of a stage, not started."""
        if name == "join":
            stage = join_stage(self.config, self._layout, "earliest", new_terms=from_now)
        else:
            stage = gauge_stage(self.config)
        self._workers += 1
        telemetry = Telemetry(name, self.config.topics.dead_letters, self.config.topics.alerts)
        settings = WorkerSettings(self.config.kafka.application_id, None, f"{name}-{self._workers}")
        return Worker(stage, self.log, settings, self._clock, telemetry)

    def values(self, topic: str) -> list[bytes]:
        """All values of a topic, a partition after the other."""
        partitions = self.log._topics[topic]
        return [entry.value for partition in partitions for entry in partition.entries if entry.value is not None]
