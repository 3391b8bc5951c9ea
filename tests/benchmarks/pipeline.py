"""`make bench`: the whole pipeline against the ceiling, on a real Kafka, in one run.

    1. start       `streamgauge run` is started with nothing to do, until it is ready: what a start costs
    2. ceiling     predictions and as many labels are written; a process consumes and decodes them, nothing else
    3. pipeline    `streamgauge run` takes the same messages until all of it is committed, by both stages; then the
                   ceiling once more: a machine's speed drifts, and what counts is the mean of both
    4. restore     it is started again, and restores what it holds from its journal
    5. latency     at a steady rate the models go bad; how long from the label that tipped it to the alert

CPU is that of all processes of streamgauge, threads and starts included, up to the last commit of phase 3.
The last line is JSON. Absolute numbers belong to the machine; the ratio is what travels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from streams.devkafka import dev_kafka
from tests.benchmarks.load import MODELS, fill
from tests.kafka_client import Kafka, input_ends
from tests.service import Service, role, wait_until

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
PHASE_TIMEOUT = 900.0


@dataclass(frozen=True, slots=True)
class Application:
    """An application id with its topics: the contract's defaults but for names and the horizon."""

    bootstrap: str
    application_id: str

    def topic(self, name: str) -> str:
        """The topic's name by its key in the configuration."""
        return f"{self.application_id}.{name}"

    @property
    def inputs(self) -> tuple[str, str]:
        """Predictions and labels."""
        return self.topic("predictions"), self.topic("labels")

    def settings(self) -> dict[str, Any]:
        """Its configuration."""
        names = ("predictions", "labels", "metrics", "alerts", "dead_letters", "control")
        return {
            "kafka": {"bootstrap_servers": self.bootstrap, "application_id": self.application_id},
            "topics": {name: self.topic(name) for name in names},
            "defaults": {"join": {"horizon": "60s"}},
        }


def throughput(kafka: Kafka, app: Application, records: int, say: Console) -> dict[str, Any]:
    """Phases 1 to 4."""
    kafka.create(dict.fromkeys(app.inputs, PARTITIONS))
    say.print("measuring a start with nothing to do …")
    with Service(app.settings()) as service:
        empty = time.perf_counter()
        service.wait_ready()
        startup, startup_wall = service.cpu_seconds(), time.perf_counter() - empty
        assert service.terminate() == 0, service.log()[-3000:]
    say.print(f"writing {records:,} predictions and as many labels …")
    sizes = fill(app.bootstrap, *app.inputs, records)
    say.print("measuring the ceiling …")
    ceilings = [child("tests.benchmarks.ceiling", app.bootstrap, *app.inputs, 2 * records)]
    say.print("measuring the pipeline …")
    with Service(app.settings()) as service:
        began = time.perf_counter()
        wait_committed(kafka, app)
        cpu, wall = service.cpu_seconds(), time.perf_counter() - began - startup_wall
        by_stage, resident = stage_cpu(service), service.resident_bytes()
        assert service.terminate() == 0, service.log()[-3000:]
    say.print("measuring the ceiling again …")
    ceilings.append(child("tests.benchmarks.ceiling", app.bootstrap, *app.inputs, 2 * records))
    ceiling = {name: sum(one[name] for one in ceilings) / len(ceilings) for name in ceilings[0]}
    say.print("measuring the restore …")
    with Service(app.settings()) as service:
        service.wait_ready()
        # what is held is said with the first turn
        wait_until(lambda: total(prometheus(service), "streamgauge_held_records", stage="join") > 0, 60, "held is said")
        samples = prometheus(service)
        service.terminate()
    seconds = total(samples, "streamgauge_restore_seconds_sum", stage="join", reduce=max)
    held = total(samples, "streamgauge_held_records", stage="join")
    messages = 2 * records
    return {
        "messages": messages,
        **sizes,
        "ceiling": {
            "per_cpu_second": ceiling["messages"] / ceiling["cpu_seconds"],
            "per_second": ceiling["messages"] / ceiling["wall_seconds"],
            "cpu_seconds": [one["cpu_seconds"] for one in ceilings],
        },
        "pipeline": {
            "per_cpu_second": messages / cpu,
            "per_second": messages / wall,
            "cpu_seconds": cpu,
            "cpu_seconds_by_stage": by_stage,
            "startup_cpu_seconds": startup,
            "resident_bytes": resident,
        },
        "ratio_to_ceiling": ceiling["cpu_seconds"] / cpu,
        "ratio_to_ceiling_without_the_start": ceiling["cpu_seconds"] / (cpu - startup),
        "restore": {"held_records": held, "seconds": seconds, "per_second": held / seconds if seconds else None},
    }


def child(module: str, *arguments: object) -> dict[str, Any]:
    """The JSON that a benchmark module says when run as a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def wait_committed(kafka: Kafka, app: Application) -> None:
    """Until both stages have committed everything: the inputs, and the outcomes that came of them."""
    ends = input_ends(kafka, *app.inputs)
    wait_until(
        lambda: kafka.consumed(f"{app.application_id}-join", ends), PHASE_TIMEOUT, "the join stage committed it all"
    )
    outcomes = input_ends(kafka, f"{app.application_id}-outcomes")
    wait_until(
        lambda: kafka.consumed(f"{app.application_id}-gauge", outcomes), PHASE_TIMEOUT, "the gauge stage did too"
    )


def stage_cpu(service: Service) -> dict[str, float]:
    """CPU seconds of each process since it started, by what it is."""
    found: dict[str, float] = {}
    for process in service.processes():
        times = process.cpu_times()
        found[role(process)] = found.get(role(process), 0.0) + times.user + times.system
    return found


def prometheus(service: Service) -> list[Any]:
    """All samples of /metrics."""
    text = service.get("/metrics")
    assert text is not None
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(samples: Sequence[Any], name: str, *, reduce: Any = sum, **labels: str) -> float:
    """The sum (or another reduction) of the samples of a name with these labels."""
    values = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
    return float(reduce(values)) if values else 0.0


# -- latency -------------------------------------------------------------------------------------------------------


class AlertReader(threading.Thread):
    """Notes when each alert becomes visible to a read_committed reader."""

    def __init__(self, app: Application) -> None:
        super().__init__(daemon=True)
        self.arrived: list[tuple[float, dict[str, Any]]] = []
        self.over = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": app.bootstrap,
                "group.id": f"{app.application_id}-alert-reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "topic.metadata.refresh.interval.ms": 1000,
            }
        )
        self._consumer.subscribe([app.topic("alerts")])

    def run(self) -> None:
        while not self.over.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.arrived.append((time.time() * 1000, json.loads(message.value())))
        self._consumer.close()


def latency(kafka: Kafka, app: Application, rate: int, seconds: float, say: Console) -> dict[str, Any]:
    """Phase 5."""
    say.print(f"measuring latency at {rate:,} messages/s for {seconds:.0f} s …")
    kafka.create(dict.fromkeys(app.inputs, PARTITIONS))
    with Service(app.settings()) as service:
        service.wait_ready()
        reader = AlertReader(app)
        reader.start()
        steady = child("tests.benchmarks.steady", app.bootstrap, *app.inputs, rate, seconds)
        ends = input_ends(kafka, *app.inputs)
        wait_until(lambda: kafka.consumed(f"{app.application_id}-join", ends), 120, "the steady traffic is committed")
        wait_committed(kafka, app)
        wait_until(lambda: time.time() * 1000 - last_arrival(reader) > 2_000, 30, "no alert has come for two seconds")
        reader.over.set()
        reader.join()
        commits = commit_figures(service)
        service.terminate()
    firing = [(at, alert) for at, alert in reader.arrived if alert["status"] == "firing" and alert["cause"]]
    by_label = [(at, alert) for at, alert in firing if alert["cause"]["topic"] == app.topic("labels")]
    produced = timestamps(app.bootstrap, [alert["cause"] for _, alert in by_label])
    took = [at - then for (at, _), then in zip(by_label, produced, strict=True)]
    return {
        "rate": steady["rate"],
        "alerts": len(took),
        "models_alerted": len({alert["model"] for _, alert in by_label}),
        "models": len(MODELS),
        "p50_ms": float(np.percentile(took, 50)) if took else None,
        "p99_ms": float(np.percentile(took, 99)) if took else None,
        "commits": commits,
    }


def commit_figures(service: Service) -> dict[str, dict[str, float]]:
    """Of each stage: how many transactions there were, and how long one took on average."""
    samples = prometheus(service)
    found = {}
    for stage in ("join", "gauge"):
        found[stage] = {"count": total(samples, "streamgauge_commit_seconds_count", stage=stage)}
        for phase in ("apply", "commit", "upkeep"):
            seconds = total(samples, f"streamgauge_{phase}_seconds_sum", stage=stage)
            count = total(samples, f"streamgauge_{phase}_seconds_count", stage=stage)
            found[stage][f"{phase}_mean_ms"] = 1000 * seconds / count if count else 0.0
    return found


def last_arrival(reader: AlertReader) -> float:
    """When the newest alert came, epoch ms; 0 before the first."""
    return reader.arrived[-1][0] if reader.arrived else 0.0


def timestamps(bootstrap: str, causes: Sequence[Mapping[str, Any]]) -> list[float]:
    """When the producer sent each of these records (its Kafka timestamp, epoch ms)."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "causes", "enable.auto.commit": False})
    found: list[float] = []
    for cause in causes:
        consumer.assign([TopicPartition(cause["topic"], cause["partition"], cause["offset"])])
        message = consumer.poll(15)
        assert message is not None and message.error() is None, f"cannot read the cause {dict(cause)}"
        found.append(float(message.timestamp()[1]))
    consumer.close()
    return found


# -- report --------------------------------------------------------------------------------------------------------


def table(found: Mapping[str, Any]) -> Table:
    """The report for people."""
    shown = Table(title=f"{found['messages']:,} input messages, both stages, exactly once")
    shown.add_column("measure")
    shown.add_column("value", justify="right")
    ceiling, pipeline, restore = found["ceiling"], found["pipeline"], found["restore"]
    rows = [
        ("ceiling: consume + typed decode alone, per CPU-second", f"{ceiling['per_cpu_second']:,.0f}"),
        ("pipeline: messages per CPU-second of the application", f"{pipeline['per_cpu_second']:,.0f}"),
        ("ratio to the ceiling", f"{found['ratio_to_ceiling']:.3f}"),
        ("the same without the CPU of a start", f"{found['ratio_to_ceiling_without_the_start']:.3f}"),
        ("pipeline: messages per second, wall", f"{pipeline['per_second']:,.0f}"),
        ("CPU seconds: " + ", ".join(pipeline["cpu_seconds_by_stage"]), _seconds(pipeline["cpu_seconds_by_stage"])),
        ("CPU seconds of a start with nothing to do, counted above", f"{pipeline['startup_cpu_seconds']:.1f}"),
        ("resident memory of all processes, MiB", f"{pipeline['resident_bytes'] / 2**20:,.0f}"),
        ("restore from the journal: held records per second", f"{restore['per_second'] or 0:,.0f}"),
    ]
    if "latency" in found and found["latency"]["alerts"]:
        late = found["latency"]
        rows.append((f"label to alert at {late['rate']:,.0f} messages/s, p50 ms", f"{late['p50_ms']:,.0f}"))
        rows.append((f"label to alert, p99 ms ({late['alerts']} alerts)", f"{late['p99_ms']:,.0f}"))
    if "held" in found:
        held = found["held"]
        rows.append(("bytes for a held prediction, with its 36-byte key", f"{held['bytes_a_prediction']:,.0f}"))
        rows.append(("bytes for a held prediction, without", f"{held['bytes_a_prediction_without_its_key']:,.0f}"))
    for row in rows:
        shown.add_row(*row)
    return shown


def _seconds(by_stage: Mapping[str, float]) -> str:
    return ", ".join(f"{seconds:.1f}" for seconds in by_stage.values())


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the phases and print the report; the JSON that was printed last."""
    parser = argparse.ArgumentParser(description="streamgauge's benchmark on a real Kafka")
    parser.add_argument("--records", type=int, default=500_000, help="predictions, and as many labels")
    parser.add_argument("--rate", type=int, default=10_000, help="messages a second of the latency phase")
    parser.add_argument("--latency-seconds", type=float, default=60.0, help="0 leaves the phase out")
    options = parser.parse_args(arguments)
    say = Console(stderr=True)
    with dev_kafka() as cluster:
        say.print(f"on {cluster.description}, {os.cpu_count()} cores")
        kafka = Kafka(cluster.bootstrap_servers)
        prefix = f"bench-{uuid.uuid4().hex[:8]}"
        try:
            found = throughput(kafka, Application(cluster.bootstrap_servers, f"{prefix}-a"), options.records, say)
            if options.latency_seconds > 0:
                app = Application(cluster.bootstrap_servers, f"{prefix}-b")
                found["latency"] = latency(kafka, app, options.rate, options.latency_seconds, say)
        finally:
            kafka.delete(prefix)
            kafka.close()
    say.print("measuring the memory of held predictions …")
    found["held"] = child("tests.benchmarks.memory_held", "--held", 2 * options.records)
    say.print(table(found))
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main()
