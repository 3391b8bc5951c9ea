"""The worker: the one loop, in which a stage meets the log."""

from streams.worker.errors import Exit, KafkaRefuses, Misfit, StateLost, WorkerError, exit_code, sentence
from streams.worker.gauge_stage import GaugeStage, GaugeTopics
from streams.worker.join_stage import JoinStage, JoinTopics
from streams.worker.loop import Worker, WorkerSettings
from streams.worker.telemetry import Telemetry

__all__ = [
    "Exit",
    "GaugeStage",
    "GaugeTopics",
    "JoinStage",
    "JoinTopics",
    "KafkaRefuses",
    "Misfit",
    "StateLost",
    "Telemetry",
    "Worker",
    "WorkerError",
    "WorkerSettings",
    "exit_code",
    "sentence",
]
