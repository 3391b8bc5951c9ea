"""Both stages of the core together, on the survival test's traffic: what comes out is what scikit-learn says.

No Kafka, no worker, no crash: when this fails, look here before the survival test.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schemas import load_config
from streams.partitioner import partition_of
from streams.records import OutputRecord
from tests.integration import checkers, oracle
from tests.integration.application import PARTITIONS, SIZES, Topics, settings
from tests.integration.core import Core
from tests.integration.traffic import HOUR, Logged, Record, Traffic

START = 1_790_000_000_000 // HOUR * HOUR
TOPICS = Topics("core")


def placed(records: list[Record]) -> list[Logged]:
    """The records on the partitions that Java's partitioner gives their keys."""
    ends: dict[tuple[str, int], int] = {}
    found: list[Logged] = []
    for record in records:
        partition = partition_of(record.key, PARTITIONS)
        offset = ends.get((record.topic, partition), 0)
        found.append(Logged(record, partition, offset))
        ends[record.topic, partition] = offset + 1
    return found


def published(records: list[OutputRecord]) -> list[checkers.Published]:
    return [
        checkers.Published(0, i, each.key, each.value, {name: value.decode() for name, value in each.headers})
        for i, each in enumerate(records)
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_the_core_publishes_is_what_the_oracle_says(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "streamgauge.yaml"
    path.write_text(yaml.safe_dump(settings("localhost:1", TOPICS)))
    core = Core(load_config(path, {}), PARTITIONS, clock=START)
    traffic = Traffic(seed, 1_500, START)
    log = placed(traffic.records() + traffic.sentinels())
    everything_but_sentinels = log[: -len(traffic.sentinels())]
    core.feed(everything_but_sentinels, seed)
    core.idle(3)
    core.feed(log[len(everything_but_sentinels) :], seed)
    core.idle(10)

    expected = oracle.expect(log, SIZES)
    events, alerts, letters = (published(core.on(TOPICS[name])) for name in ("metrics", "alerts", "dead-letters"))
    assert checkers.no_id_twice(events) and checkers.no_id_twice(letters) and checkers.no_id_twice(alerts) >= 0
    metric = checkers.metric_events(events)
    assert checkers.no_revision_twice(metric) > 100
    problems, dead = checkers.dead_letters_differ(expected, letters, TOPICS.inputs)
    assert problems == [] and dead > 30
    problems, compared = checkers.differences(expected, metric)
    assert problems == []
    assert compared.windows > 150 and compared.values > 1_000
