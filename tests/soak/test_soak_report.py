"""What the soak says of its samples: a leak is found, a steady figure is under the limit, noise is neither."""

from __future__ import annotations

import json
import math
import threading
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.soak.__main__ import main, write
from tests.soak.machine import SPEEDS, Machine
from tests.soak.sampling import Sample, judged
from tests.soak.slopes import slope
from tests.soak.traffic import Traffic, identifier

SECONDS = [10.0 * i for i in range(300)]  # fifty minutes


def values(noise: float, percent: float, level: float = 500.0) -> list[float]:
    """A figure that rises by `percent` an hour, with noise of so many per cent that lasts for a minute."""
    draw = np.random.default_rng(5)
    lasting = np.repeat(draw.normal(0, noise / 100, 50), 6)
    return [level * (1 + percent / 100 * at / 3600 + wiggle) for at, wiggle in zip(SECONDS, lasting, strict=True)]


def test_a_leak_is_over_the_limit() -> None:
    found = slope("join.rss", "MiB", SECONDS, values(0.2, 5.0))
    assert found.verdict == "over"
    assert found.low < 5.0 < found.high


def test_a_steady_figure_is_under_the_limit() -> None:
    found = slope("join.rss", "MiB", SECONDS, values(0.2, 0.1))
    assert found.verdict == "under"
    assert found.low < 0.1 < found.high < 1.0


def test_what_noise_hides_is_called_neither() -> None:
    assert slope("join.commit", "ms", SECONDS, values(30.0, 0.0)).verdict == "cannot be told"


def test_what_batches_borrow_hides_no_leak_of_what_memory_comes_down_to() -> None:
    draw = np.random.default_rng(7)
    kept = values(0.2, 3.0)
    borrowed = np.where(np.arange(len(kept)) % 6, draw.uniform(20, 120, len(kept)), 0)
    seen = [float(base + more) for base, more in zip(kept, borrowed, strict=True)]
    assert slope("gauge.rss", "MiB", SECONDS, seen).verdict == "cannot be told"
    assert slope("gauge.rss_least", "MiB", SECONDS, seen).verdict == "over"


def slowing() -> np.ndarray:
    """A machine that wavers, and is slower by a quarter at the end."""
    wavering = np.repeat(np.random.default_rng(13).normal(0, 0.05, 50), 6)
    return np.exp(wavering + 0.25 * np.arange(300) / 300)


def test_a_machine_that_slows_down_is_not_taken_for_a_leak() -> None:
    machine = slowing()
    times = (np.array(values(0.1, 0.0, level=12.0)) * machine**1.3).tolist()
    speeds = [(3.0 * machine).tolist(), (0.2 * machine**0.5).tolist()]
    assert slope("join.commit", "ms", SECONDS, times).verdict == "over"
    found = slope("join.commit", "ms", SECONDS, times, speeds)
    assert found.verdict == "under" and found.measured > 10
    assert abs(found.percent) < 1.0


def test_a_leak_on_a_machine_that_slows_down_is_found() -> None:
    machine = slowing()
    times = (np.array(values(0.1, 6.0, level=12.0)) * machine).tolist()
    found = slope("join.commit", "ms", SECONDS, times, [(3.0 * machine).tolist()])
    assert found.verdict == "over"
    assert found.low < 6.0 * 1.15 and found.high > 6.0 * 0.85 and found.measured > 20


def test_a_leak_that_a_machine_slows_down_in_step_with_is_called_neither() -> None:
    steady = np.exp(0.25 * np.arange(300) / 300).tolist()
    found = slope("join.commit", "ms", SECONDS, values(0.2, 25.0), [steady])
    assert found.verdict == "cannot be told"


def test_a_sample_without_a_value_takes_its_speed_with_it() -> None:
    machine = slowing()
    times = (np.array(values(0.1, 0.0)) * machine).tolist()
    times[60:66] = [math.nan] * 6  # a whole minute
    found = slope("join.commit", "ms", SECONDS, times, [machine.tolist()])
    assert found.verdict == "under" and found.minutes == 49


def test_of_a_few_minutes_the_speeds_explain_nothing() -> None:
    machine = slowing()[:30].tolist()
    found = slope("join.commit", "ms", SECONDS[:30], machine, [machine])
    assert found.percent == found.measured > 1.0


def test_the_machine_is_looked_at_while_others_work_and_its_thread_ends() -> None:
    with Machine() as machine:
        first = machine.since()
        again = machine.since()  # at once: the newest is said again
    assert first.keys() == again.keys() == {*SPEEDS, "machine.steal"}
    assert all(again[name] > 0 for name in SPEEDS)
    assert "machine" not in {thread.name for thread in threading.enumerate()}


def test_a_single_outlier_and_a_sample_without_a_value_change_nothing() -> None:
    spoilt = values(0.2, 0.1)
    before = slope("join.rss", "MiB", SECONDS, spoilt)
    spoilt[100], spoilt[200] = 1e9, math.nan
    after = slope("join.rss", "MiB", SECONDS, spoilt)
    assert after.verdict == "under"
    assert abs(after.percent - before.percent) < 0.05


def test_a_run_that_was_broken_off_is_judged_by_its_samples(tmp_path: Path) -> None:
    samples: list[Sample] = []
    for i, at in enumerate(SECONDS):
        disturbed = i // 6 == 20  # a minute in which the machine had other guests, and everything took its time
        sample = {"seconds": at, "join.read": 1000.0 * at, "machine.steal": 40.0 * disturbed}
        sample |= {name: 1.0 + math.sin(i // 6) / 9 for name in SPEEDS}
        samples.append(sample | {name: 10.0 + 500.0 * disturbed + i * (name == "gauge.rss_least") for name in judged()})
        write(samples, tmp_path / "samples.csv")
    found = main(["--samples", str(tmp_path / "samples.csv"), "--out", str(tmp_path)])
    verdicts = {each["name"]: each["verdict"] for each in found["slopes"]}
    assert {name for name, verdict in verdicts.items() if verdict != "under"} == {"gauge.rss_least"}
    assert found["minutes_left_out"] == 1 and {each["minutes"] for each in found["slopes"]} == {39}
    assert found["rate"] == 1000.0
    assert json.loads((tmp_path / "soak.json").read_text()) == found
    assert ET.parse(tmp_path / "soak.svg").getroot().tag.endswith("svg")


class Sent:
    """In the place of a producer: what was sent, by topic."""

    def __init__(self) -> None:
        self.records: dict[str, list[tuple[str, str]]] = {"predictions": [], "labels": []}

    def produce(self, topic: str, value: str, key: str) -> None:
        self.records[topic].append((key, value))


def test_every_prediction_but_one_in_fifty_gets_its_label_and_one_in_a_hundred_a_correction() -> None:
    producer = Sent()
    traffic = Traffic(producer, "predictions", "labels")  # type: ignore[arg-type]
    start = 1_790_000_000.0
    for step in range(500):
        traffic.serve(2 * step, 2 * step + 2, start + step / 10)
        traffic.label(start + step / 10)
    traffic.finish(start + 50)
    keys = [key for key, _ in producer.records["predictions"]]
    assert keys == [identifier(number) for number in range(1000)]
    labelled = [key for key, _ in producer.records["labels"]]
    assert set(keys) - set(labelled) == {identifier(number) for number in range(0, 1000, 50)}
    again = [key for key, after in pairwise(sorted(labelled)) if key == after]
    assert again == sorted(identifier(number) for number in range(1, 1000, 100))
    sent = traffic.sent
    assert (sent.predictions, sent.labels, sent.corrections, sent.unlabelled) == (1000, 990, 10, 20)
    event = json.loads(producer.records["predictions"][7][1])
    assert event["model"] == "model-7" and event["timestamp"].endswith("Z") and set(event["segments"]) == {"region"}
