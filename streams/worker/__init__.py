"""The worker: the one loop, in which a stage meets the log; its processes, its HTTP, its topics."""

from streams.worker.clock import SystemClock
from streams.worker.errors import Exit, KafkaRefuses, Misfit, StateLost, WorkerError, exit_code, sentence
from streams.worker.gauge_stage import GaugeStage, GaugeTopics
from streams.worker.join_stage import JoinStage, JoinTopics
from streams.worker.logs import set_up_logs
from streams.worker.loop import Worker
from streams.worker.process import StageName, make_worker, preload, run_stage, warm_up
from streams.worker.settings import WorkerSettings
from streams.worker.supervisor import Children, Link
from streams.worker.telemetry import Telemetry
from streams.worker.topics import Layout, Problem, create_missing, describe, missing, prepare, problems, wanted

__all__ = [
    "Children",
    "Exit",
    "GaugeStage",
    "GaugeTopics",
    "JoinStage",
    "JoinTopics",
    "KafkaRefuses",
    "Layout",
    "Link",
    "Misfit",
    "Problem",
    "StageName",
    "StateLost",
    "SystemClock",
    "Telemetry",
    "Worker",
    "WorkerError",
    "WorkerSettings",
    "create_missing",
    "describe",
    "exit_code",
    "make_worker",
    "missing",
    "preload",
    "prepare",
    "problems",
    "run_stage",
    "sentence",
    "set_up_logs",
    "wanted",
    "warm_up",
]
