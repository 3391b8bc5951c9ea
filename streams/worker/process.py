"""One stage in this process: its clients, its loop, its HTTP, its signals.

The stages' cores are imported only where they run: they bring numba, scipy and pyarrow, which a `config check` or the
other stage need not wait for. A supervisor imports both, once, before it forks.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import signal
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Literal

import numpy as np
import structlog

from schemas import Config, JoinConfig
from streams.log import Log
from streams.records import Moment, RecordBatch, TopicPartition
from streams.worker.clock import SystemClock
from streams.worker.gauge_stage import GaugeStage, GaugeTopics
from streams.worker.http import Answers, HttpServer
from streams.worker.interpreter import give_back_memory, keep_what_is_there, load_numba_without_blas
from streams.worker.join_stage import JoinStage, JoinTopics
from streams.worker.journal import Terms
from streams.worker.loop import Worker
from streams.worker.settings import WorkerSettings
from streams.worker.stage import JoinCore, Stage
from streams.worker.telemetry import Telemetry
from streams.worker.topics import Layout
from streams.worker.watchdog import Watchdog

StageName = Literal["join", "gauge"]
_log = structlog.get_logger("streamgauge.process")


def preload() -> None:
    """Import what the stages run on, so that processes forked from this one need not."""
    load_numba_without_blas()
    importlib.import_module("streams.join")
    importlib.import_module("streams.gauge")


def warm_up(name: StageName) -> None:
    """Have the compiled kernels of the join loaded, on a record that nobody sees: a third of a second that a child has
    while its parent asks Kafka, and that a restore would have to wait for."""
    if name != "join":
        return
    from streams.join import JoinSettings, JoinTask

    settings = JoinSettings.from_config(Config())
    predictions, labels = TopicPartition(settings.predictions, 0), TopicPartition(settings.labels, 0)
    values = (
        (predictions, b'{"prediction_id":"warm","model":"warm","timestamp":0,"prediction":0}'),
        (labels, b'{"prediction_id":"warm","label":0,"timestamp":0}'),
        (labels, b'{"prediction_id":"early","label":0,"timestamp":0}'),
    )
    task, journal = JoinTask(settings, 0, 2), []
    for offset, (source, value) in enumerate(values):
        batch = RecordBatch(source, np.array([offset]), np.zeros(1, np.int64), [value])
        journal += task.apply([batch], Moment(0, frozenset())).journal
    JoinTask(settings, 0, 2).restore(journal, {})


def join_stage(config: Config, layout: Layout, start: str, *, new_terms: bool = False) -> JoinStage:
    """The join stage of an application whose inputs have `layout.partitions` partitions. `new_terms`: a horizon other
    than the one before is to hold from now on."""
    from streams.join import ControlTask, JoinSettings, JoinTask
    from streams.worker.spill import Spill

    settings = JoinSettings.from_config(config)
    tasks = layout.partitions + 1
    spill = Spill(config.state.memory, config.state.directory)

    def make(task: int) -> JoinCore:
        control = task == layout.partitions
        return ControlTask(settings, task, tasks) if control else JoinTask(settings, task, tasks, spill.room())

    topics = JoinTopics(
        config.topics.predictions, config.topics.labels, config.topics.control,
        config.journal_topic, config.snapshots_topic,
        partitions=layout.partitions, births=config.outcomes_partitions, start=start,
        terms=_terms(config), new_terms=new_terms,
    )  # fmt: skip
    return JoinStage(topics, config.join_group, make)


def _terms(config: Config) -> Terms:
    def told(join: JoinConfig) -> str:
        return join.model_dump_json(include={"horizon", "grace", "on_expiry"})

    default = config.defaults.join
    others = {name: told(config.model(name).join) for name in sorted(config.models)}
    said = [told(default), {name: text for name, text in others.items() if text != told(default)}]
    digest = hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()
    return Terms(default.horizon, default.grace, digest)


def gauge_stage(config: Config) -> GaugeStage:
    """The gauge stage of an application."""
    from streams.gauge import GaugeSettings, GaugeTask

    settings = GaugeSettings.from_config(config)
    topics = GaugeTopics(config.outcomes_topic, config.snapshots_topic, config.outcomes_partitions)
    return GaugeStage(topics, config.gauge_group, lambda partition: GaugeTask(settings, partition))


def make_worker(
    name: StageName,
    config: Config,
    log: Log,
    layout: Layout,
    *,
    instance: str | None,
    start: str,
    new_terms: bool = False,
    beat: Callable[[], None] = lambda: None,
    warmed_up: Callable[[], None] = lambda: None,
) -> Worker:
    """A worker of the stage, not started. `start` is where inputs without committed offsets begin;
    `new_terms` as in join_stage."""
    stage: Stage = join_stage(config, layout, start, new_terms=new_terms) if name == "join" else gauge_stage(config)
    settings = WorkerSettings(
        config.kafka.application_id, instance, uuid.uuid4().hex,
        commit_interval=config.commit_interval / 1000, max_skew=config.max_skew,
    )  # fmt: skip
    telemetry = Telemetry(name, config.topics.dead_letters, config.topics.alerts)
    return Worker(
        stage, log, settings, SystemClock(), telemetry, beat=beat, warmed_up=warmed_up, give_back=give_back_memory
    )


def run_stage(
    name: StageName,
    config: Config,
    log: Log,
    layout: Layout,
    *,
    instance: str | None,
    from_now: bool,
    http: tuple[str, int],
    on_listening: Callable[[int, Worker], None] = lambda _port, _worker: None,
) -> None:
    """Run a stage until SIGTERM or SIGINT. Raises what ends a worker. `on_listening` gets the port that was bound."""
    start = "latest" if from_now else config.kafka.start
    load_numba_without_blas()
    watchdog = Watchdog()
    worker = make_worker(
        name, config, log, layout, instance=instance, start=start, new_terms=from_now, beat=watchdog.beat,
        warmed_up=watchdog.warmed_up,
    )  # fmt: skip
    telemetry = worker.telemetry

    def ready() -> tuple[bool, str]:
        status = telemetry.status
        return status.ready, f"{name}: {'ready' if status.ready else 'not ready: state is being restored'}"

    answers = Answers(watchdog.alive, ready, telemetry.exposition)
    server = HttpServer(*http, answers)
    try:
        with stopping_on_signals(worker.stop):
            on_listening(server.port, worker)
            keep_what_is_there()
            _log.info("stage_starts", stage=name, instance=instance, http_port=server.port)
            worker.run()
            _log.info("stage_stopped", stage=name)
    finally:
        watchdog.close()
        server.close()


class stopping_on_signals:  # noqa: N801 (used as a context manager)
    """SIGTERM and SIGINT call `stop`, once around the body."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._stop()
