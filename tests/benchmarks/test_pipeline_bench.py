"""The benchmark runs small in the tests, so that it never rots; what it measures here is not looked at."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.benchmarks import ceiling, load, pipeline
from tests.kafka_client import Kafka


def test_the_benchmarks_messages_have_the_sizes_they_claim() -> None:
    pairs = [load.Generator(1).pair(number, 1_790_000_000_000, 1_790_000_005_000) for number in range(50)]
    assert 220 <= sum(len(pair.prediction) for pair in pairs) / 50 <= 260
    assert 90 <= sum(len(pair.label) for pair in pairs) / 50 <= 110


def test_every_run_measures_the_same_bytes() -> None:
    assert load.Generator(1).pair(7, 1_000, 2_000) == load.Generator(1).pair(7, 1_000, 2_000)


@pytest.mark.kafka
def test_the_ceiling_sees_every_message_once(kafka: str, unique: object) -> None:
    topics = (unique("predictions"), unique("labels"))  # type: ignore[operator]
    with closing(Kafka(kafka)) as cluster:
        cluster.create(dict.fromkeys(topics, 2))
    load.fill(kafka, *topics, 500)
    assert ceiling.measure(kafka, *topics, 1_000)["messages"] == 1_000


@pytest.mark.kafka
@pytest.mark.xdist_group("bench")
def test_the_benchmark_runs_from_end_to_end(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    found = pipeline.main(["--records", "20000", "--rate", "2000", "--latency-seconds", "0"])
    assert found["messages"] == 40_000
    assert found["ratio_to_ceiling"] > 0 and found["pipeline"]["cpu_seconds"] > 0
    assert found["restore"]["held_records"] >= 20_000
