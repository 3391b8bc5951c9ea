"""`make soak MINUTES=60`: the whole pipeline on a real Kafka for an hour, at half of what it can do. What rises?

    1. capacity   a minute of more than it can take: what both stages commit in a second (left out with --rate)
    2. soak       a fresh start at half of that rate; memory and lag each second, files, threads, commit time every ten
    3. the end    all of it is committed, every prediction is counted once, SIGTERM ends it with 0
    4. report     slopes after the first ten minutes against 1 % an hour, of times at one speed of the machine; table,
                  JSON, picture. A minute of which the machine's other guests took more than 1 % is left out

Ten models, labels 1 to 30 s late, some never, some corrected; a horizon so short that what is held is steady within two
minutes; the topics keep so little that the broker's disk is bounded too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from streams.devkafka import dev_kafka
from tests.benchmarks.pipeline import Application, prometheus, total
from tests.kafka_client import Kafka, input_ends
from tests.service import Service, wait_until
from tests.soak.machine import SPEEDS, Control, Machine
from tests.soak.picture import draw
from tests.soak.sampling import LOOK_EVERY, TIMES, UNITS, Sample, Sampler, judged
from tests.soak.slopes import LIMIT, Slope, by_minute, slope

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
OUTCOMES_PARTITIONS = 8
RETENTION = {"retention.bytes": str(256 * 2**20), "segment.bytes": str(64 * 2**20), "retention.ms": "600000"}
OFFERED = 80_000  # messages a second of the capacity phase
CAPACITY_SECONDS = 60.0
END_TIMEOUT = 300.0
STOLEN = 1.0  # per cent of the machine's time


class SoakApplication(Application):
    """The benchmark's, with terms that make an hour long: everything is let go within minutes."""

    def settings(self) -> dict[str, Any]:
        return {
            **super().settings(),
            "defaults": {
                "join": {"horizon": "60s", "grace": "10s", "disorder": "5s"},
                "windows": {"tumbling": ["1m", "5m"]},
            },
        }

    def create(self, kafka: Kafka) -> None:
        """The topics that grow with the traffic, bounded."""
        kafka.create(dict.fromkeys(self.inputs, PARTITIONS), RETENTION)
        kafka.create({f"{self.application_id}-outcomes": OUTCOMES_PARTITIONS}, RETENTION)


@contextmanager
def traffic(app: Application, rate: float, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The producer's process."""
    command = [sys.executable, "-m", "tests.soak.traffic", app.bootstrap, *app.inputs, str(rate), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def capacity(kafka: Kafka, app: SoakApplication, say: Console) -> dict[str, float]:
    """Input messages a second that the join stage commits while more than it can take is offered."""
    say.print(f"measuring what it can do: {OFFERED:,} messages/s offered for {CAPACITY_SECONDS:.0f} s …")
    app.create(kafka)
    with Service(app.settings()) as service:
        service.wait_ready()
        with traffic(app, OFFERED, CAPACITY_SECONDS) as producer:
            marks = []
            for share in (0.4, 0.95):  # the first seconds are warm-up: references are learned, detectors armed
                pause(producer, share * CAPACITY_SECONDS - (marks[0][0] if marks else 0.0))
                read = total(prometheus(service), "streamgauge_input_records_total", stage="join")
                marks.append((share * CAPACITY_SECONDS, read))
            sent = json.loads(producer.communicate()[0].splitlines()[-1])
        service.terminate()
    (began, before), (ended, after) = marks
    assert after > before, "nothing was read: are the kernels compiled?"
    return {"offered": sent["messages"] / sent["seconds"], "committed": (after - before) / (ended - began)}


def pause(producer: subprocess.Popen[str], seconds: float) -> None:
    """Wait, and notice a producer that ends before its time."""
    threading.Event().wait(seconds)
    assert producer.poll() is None, "the producer has ended"


def soak(kafka: Kafka, app: SoakApplication, rate: float, options: argparse.Namespace, say: Console) -> dict[str, Any]:
    """Phases 2 and 3."""
    seconds = 60.0 * options.minutes
    say.print(f"soaking: {rate:,.0f} messages/s for {options.minutes:g} min …")
    app.create(kafka)
    control = app.topic("soak")
    kafka.create({control: 1}, RETENTION)
    samples: list[Sample] = []
    with Service(app.settings()) as service, Machine() as machine:
        service.wait_ready()
        pids = {process.pid for process in service.processes()}
        sampler = Sampler(service, Control(kafka.bootstrap, control), machine)
        with traffic(app, rate, seconds) as producer:
            began = time.monotonic()
            while (spent := time.monotonic() - began) < seconds - options.every:
                samples.append(sampler.sample(spent))
                write(samples, options.out / "samples.csv")
                if len(samples) % max(1, round(60 / options.every)) == 0:
                    say.print(line(samples[-1]))
                for _ in range(round(options.every / LOOK_EVERY) - 1):
                    pause(producer, LOOK_EVERY - (time.monotonic() - began) % LOOK_EVERY)
                    sampler.look()
                pause(producer, options.every - (time.monotonic() - began) % options.every)
            sent = json.loads(producer.communicate()[0].splitlines()[-1])
        say.print("the traffic has ended; waiting until all of it is counted …")
        wait_committed(kafka, app)
        counted = count_all(kafka, app, sent)
        assert {process.pid for process in service.processes()} == pids, "a process was started anew"
        code = service.terminate()
        assert code == 0, service.log()[-3000:]
    return {"sent": sent, "counted": counted, "samples": samples, "exit": code}


def wait_committed(kafka: Kafka, app: Application) -> None:
    """Until both stages have committed everything."""
    for group, topics in (("join", app.inputs), ("gauge", (f"{app.application_id}-outcomes",))):
        ends = input_ends(kafka, *topics)
        wait_until(
            lambda: kafka.consumed(f"{app.application_id}-{group}", ends),  # noqa: B023  # asked at once
            END_TIMEOUT,
            f"the {group} stage committed it all",
        )


def count_all(kafka: Kafka, app: Application, sent: Mapping[str, int]) -> dict[str, int]:
    """The counts of all models' cumulative windows; waits until they are what was sent, each record once."""
    found: dict[str, int] = {}
    outcomes = sent["predictions"] - sent["unlabelled"]
    expected = {"predictions": sent["predictions"], "outcomes": outcomes, "corrected_labels": sent["corrections"]}

    def complete() -> bool:
        newest: dict[str, tuple[int, dict[str, int]]] = {}
        for message in kafka.read(app.topic("metrics"), timeout=120):
            event = json.loads(message.value())
            if event.get("window", {}).get("kind") == "cumulative" and event["segment"] == {}:
                newest[event["model"]] = max(
                    newest.get(event["model"], (0, {})), (event["revision"], event["counts"]), key=lambda each: each[0]
                )
        found.clear()
        for _, counts in newest.values():
            for name, count in counts.items():
                found[name] = found.get(name, 0) + count
        return {name: found.get(name, 0) for name in expected} == expected

    wait_until(complete, END_TIMEOUT, f"{expected} are counted")
    return dict(found)


def line(sample: Sample) -> str:
    """A sign of life a minute."""
    figures = (f"{name} {sample[name]:,.0f}" for name in ("join.rss", "gauge.rss", "join.lag", "join.held"))
    names = ("join.delay", "gauge.delay", "join.commit", "gauge.commit", "control.commit")
    times = (f"{name} {sample[name]:.0f} ms" for name in names)
    return f"{sample['seconds'] / 60:5.1f} min: " + ", ".join((*figures, *times))


def write(samples: Sequence[Sample], path: Path) -> None:
    """All samples so far, so that a run that is broken off has them too."""
    with path.open("a" if len(samples) > 1 else "w", newline="") as out:
        writer = csv.DictWriter(out, list(samples[0]))
        if len(samples) == 1:
            writer.writeheader()
        writer.writerow(samples[-1])


# -- report --------------------------------------------------------------------------------------------------------


def disturbed(samples: Sequence[Sample]) -> set[int]:
    """The minutes of which the machine's other guests took more than `STOLEN` per cent."""
    seconds, steal = (np.array([sample[name] for sample in samples]) for name in ("seconds", "machine.steal"))
    at, taken = by_minute(seconds, steal, np.mean)
    return set((at[taken > STOLEN] // 60).tolist())


def judge(kept: Sequence[Sample]) -> list[Slope]:
    """The slope of every figure; that of a time at one speed of the machine."""
    seconds = [sample["seconds"] for sample in kept]
    speeds = [[sample[name] for sample in kept] for name in SPEEDS]
    slopes = []
    for name in judged():
        kind = name.rpartition(".")[2]
        values = [sample[name] for sample in kept]
        slopes.append(slope(name, UNITS[kind], seconds, values, speeds if kind in TIMES else ()))
    return slopes


def table(found: Mapping[str, Any], slopes: Sequence[Slope]) -> Table:
    """The report for people."""
    shown = Table(title=f"{found['read']:,.0f} messages in {found['minutes']:.0f} min, {found['rate']:,.0f}/s")
    for column in (
        "figure",
        "level",
        "first",
        "last",
        "measured",
        "% an hour",
        "95 % interval",
        f"against {LIMIT:g} %",
    ):
        shown.add_column(column, justify="left" if column == "figure" else "right")
    for each in slopes:
        shown.add_row(
            f"{each.name} {each.unit}".strip(),
            *(f"{value:,.1f}" for value in (each.level, each.first, each.last)),
            f"{each.measured:+.2f}",
            f"{each.percent:+.2f}",
            f"{each.low:+.2f} … {each.high:+.2f}",
            each.verdict,
        )
    return shown


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="streamgauge for an hour on a real Kafka")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    parser.add_argument("--rate", type=float, help="messages a second; default: half of the capacity, measured before")
    parser.add_argument("--every", type=float, default=10.0, help="seconds from sample to sample")
    parser.add_argument(
        "--settle", type=float, help="minutes before the slopes begin; default 10, of a short run a third"
    )
    parser.add_argument("--samples", type=Path, help="judge these samples, of a run that was broken off; runs nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "endurance", help="folder of what is written")
    return parser


def main(given: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the phases, or read what was sampled, and print the report; the JSON that was printed last."""
    options = arguments().parse_args(given)
    options.out.mkdir(parents=True, exist_ok=True)
    found = run(options, Console(stderr=True, width=160)) if options.samples is None else recorded(options.samples)
    samples = found.pop("samples")
    settle = 60 * (min(10.0, found["minutes"] / 3) if options.settle is None else options.settle)
    settled = [sample for sample in samples if sample["seconds"] >= settle]
    left_out = disturbed(settled)
    found["minutes_left_out"] = len(left_out)
    slopes = judge([sample for sample in settled if sample["seconds"] // 60 not in left_out])
    found["slopes"] = [{**asdict(each), "verdict": each.verdict} for each in slopes]
    title = f"{found['rate']:,.0f} messages/s for {found['minutes']:.0f} min; slopes from the dotted line on"
    if found["minutes_left_out"]:
        title += f", without {found['minutes_left_out']} min"
    draw(samples, slopes, settle, title, options.out / "soak.svg")
    (options.out / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    Console(stderr=True, width=120).print(table(found, slopes))
    print(json.dumps(found))
    return found


def recorded(path: Path) -> dict[str, Any]:
    """What the samples alone say; the rate is what the join stage read."""
    with path.open() as lines:
        samples = [{name: float(text or "nan") for name, text in row.items()} for row in csv.DictReader(lines)]
    first, last = samples[len(samples) // 10], samples[-1]
    rate = (last["join.read"] - first["join.read"]) / (last["seconds"] - first["seconds"])
    return {"minutes": last["seconds"] / 60, "rate": rate, "read": last["join.read"], "samples": samples}


def run(options: argparse.Namespace, say: Console) -> dict[str, Any]:
    """Phases 1 to 3."""
    found: dict[str, Any] = {"minutes": options.minutes, "cores": os.cpu_count()}
    with dev_kafka() as cluster:
        say.print(f"on {cluster.description}, {os.cpu_count()} cores")
        kafka = Kafka(cluster.bootstrap_servers)
        prefix = f"soak-{uuid.uuid4().hex[:8]}"
        try:
            if options.rate is None:
                found["capacity"] = capacity(kafka, SoakApplication(kafka.bootstrap, f"{prefix}-a"), say)
            found["rate"] = options.rate or found["capacity"]["committed"] / 2
            found |= soak(kafka, SoakApplication(kafka.bootstrap, f"{prefix}-b"), found["rate"], options, say)
        finally:
            kafka.delete(prefix)
            kafka.close()
    return {**found, "read": found["sent"]["messages"]}


if __name__ == "__main__":
    main()
