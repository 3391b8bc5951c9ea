"""It survives: killed six times in the middle of its commit protocol, it loses nothing and says nothing twice.

A black box over a real Kafka: records in, records out, `streamgauge run` in between as a process group that dies by
SIGKILL. What must come out is computed from what went in (oracle.py) and compared by checkers outside the code under
test (checkers.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.integration import checkers, oracle
from tests.integration.application import PARTITIONS, SIZES, Topics, settings
from tests.integration.traffic import HOUR, Logged, Record, Traffic
from tests.kafka_client import Kafka, input_ends
from tests.service import Service, wait_until

SEED = 20261122
REQUESTS = 4_000
DAY = 24 * HOUR
STOPPED = "streamgauge-stopped-at"


@dataclass(frozen=True, slots=True)
class Death:
    """Where the service is killed: at the nth time a stage reaches a step of the commit protocol."""

    stage: str
    step: str
    nth: int
    instance: str | None

    @property
    def in_flight(self) -> bool:
        """Whether records of an open transaction are sure to be on the broker by then."""
        return self.step in {"produced", "offsets_sent", "before_commit"} and self.stage == "join"


# The static member comes back at once; the dynamic one's successor waits for its session and transaction to end.
DEATHS = (
    Death("join", "produced", 2, "one"),
    Death("gauge", "before_commit", 2, "one"),
    Death("join", "offsets_sent", 1, "one"),
    Death("join", "before_commit", 2, "one"),
    Death("gauge", "after_commit", 2, "one"),
    Death("join", "before_commit", 1, None),
)


def send(bootstrap: str, topics: Topics, records: Sequence[Record]) -> list[Logged]:
    """Produce the records in order, as a Python service would; where each of them landed."""
    landed: list[tuple[int, int] | None] = [None] * len(records)
    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True, "linger.ms": 5}
    )

    def note(number: int) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            landed[number] = (message.partition(), message.offset())

        return delivered

    for number, record in enumerate(records):
        producer.produce(
            topics[record.topic], record.value, record.key, timestamp=record.timestamp, on_delivery=note(number)
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    return [Logged(record, *place) for record, place in zip(records, landed, strict=True) if place is not None]


def published(kafka: Kafka, topic: str) -> list[checkers.Published]:
    return [
        checkers.Published(
            message.partition(),
            message.offset(),
            message.key(),
            message.value(),
            {name: value.decode() for name, value in message.headers() or []},
        )
        for message in kafka.read(topic)
    ]


def parts(records: Sequence[Record], count: int) -> list[Sequence[Record]]:
    """The records in `count` parts, so that there are several commits to count up to."""
    return [records[len(records) * i // count : len(records) * (i + 1) // count] for i in range(count)]


def wait_for_commit(cluster: Kafka, topics: Topics, service: Service) -> None:
    """Wait until the join stage has committed what was sent, or the service stands where it is to be killed."""
    ends = input_ends(cluster, *topics.inputs.values())

    def done() -> bool:
        assert service.ended is None, f"streamgauge ended with code {service.ended}:\n{service.log()[-3000:]}"
        return STOPPED in service.log() or cluster.consumed(f"{topics.application_id}-join", ends)

    wait_until(done, 120, "what was sent is committed")


def die(service: Service, death: Death, kafka: Kafka, topics: Topics) -> None:
    """Wait until it stands at its step, look whether a transaction is open, kill all of it."""
    service.wait_for_log(f"{STOPPED} {death.step}", timeout=120)
    if death.in_flight:
        assert kafka.open_transactions(topics.outputs) > 0, f"nothing in flight at {death.step}"
    service.kill()


@pytest.mark.kafka
@pytest.mark.xdist_group("survival")
def test_six_deaths_in_the_middle_of_commits_lose_nothing_and_repeat_nothing(
    kafka: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    topics = Topics(unique("survival"))
    with closing(Kafka(kafka)) as cluster:
        _survive(cluster, topics, capsys)


def _survive(cluster: Kafka, topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    kafka = cluster.bootstrap
    cluster.create(dict.fromkeys(topics.inputs.values(), PARTITIONS))
    traffic = Traffic(SEED, REQUESTS, start=int(time.time() * 1000) // HOUR * HOUR - 3 * DAY)
    records, options = traffic.records(), settings(kafka, topics)
    log: list[Logged] = []
    share = len(records) // (len(DEATHS) + 1)

    for number, death in enumerate(DEATHS):
        told = {"STREAMGAUGE_TEST_STOP_AT": f"{death.stage}.{death.step}:{death.nth}"}
        arguments = [] if death.instance is None else ["--instance", death.instance]
        with Service(options, arguments=arguments, environment=told) as service:
            left = parts(records[number * share : (number + 1) * share], 8)
            while left and STOPPED not in service.log():
                log += send(kafka, topics, left.pop(0))
                wait_for_commit(cluster, topics, service)
            die(service, death, cluster, topics)
        for part in left:
            log += send(kafka, topics, part)

    with Service(options) as service:
        log += send(kafka, topics, records[len(DEATHS) * share :])
        ends = input_ends(cluster, *topics.inputs.values())
        wait_until(lambda: cluster.consumed(f"{topics.application_id}-join", ends), 120, "all input committed")
        log += send(kafka, topics, traffic.sentinels())
        expected = oracle.expect(log, SIZES)
        compared = _wait_for_truth(cluster, topics, expected)
        assert service.terminate() == 0

    events = published(cluster, topics["metrics"])
    alerts = published(cluster, topics["alerts"])
    letters = published(cluster, topics["dead-letters"])
    once = checkers.no_id_twice(events), checkers.no_id_twice(alerts), checkers.no_id_twice(letters)
    revisions = checkers.no_revision_twice(checkers.metric_events(events))
    problems, dead = checkers.dead_letters_differ(expected, letters, topics.inputs)
    assert problems == []

    with capsys.disabled():
        print(
            f"\nsurvived {len(DEATHS)} kills over {len(log):,} records: {compared.windows} windows, "
            f"{compared.values:,} values and {compared.counts:,} counts equal; {dead} dead letters; "
            f"{sum(once):,} ids and {revisions:,} revisions, none twice"
        )
    assert compared.windows > 150 and compared.values > 1_000 and compared.counts > 1_000
    assert dead > 100 and revisions > 500


def _wait_for_truth(cluster: Kafka, topics: Topics, expected: oracle.Expected) -> checkers.Compared:
    """Wait until every window that is expected is final, then compare: what differs now differs for good."""
    deadline = time.monotonic() + 120
    while True:
        events = checkers.metric_events(published(cluster, topics["metrics"]))
        problems, compared = checkers.differences(expected, events)
        if not problems:
            return compared
        assert time.monotonic() < deadline, f"{len(problems)} differences, such as\n" + "\n".join(problems[:20])
