"""It survives: killed six times in its commit protocol, five of them with a transaction open on the broker, it loses
nothing and says nothing twice.

A black box over a real Kafka: records in, records out, `streamgauge run` in between as a process group that dies by
SIGKILL. What must come out is computed from what went in (oracle.py) and compared by checkers outside the code under
test (checkers.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer

from schemas import Config, load_config
from tests.integration import checkers, oracle
from tests.integration.again import outcomes_of, pass_again, said, was_said
from tests.integration.application import PARTITIONS, RULE, SIZES, Topics, settings
from tests.integration.traffic import BROKEN, HOUR, Logged, Record, Traffic
from tests.integration.transactions import transactions
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
        """Whether the transaction is open then; after the commit it has ended."""
        return self.step != "after_commit"

    @property
    def open_records(self) -> bool:
        """Whether records of it are sure to be on the broker: a transaction of the gauge may hold offsets alone."""
        return self.in_flight and self.stage == "join"


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


def die(service: Service, death: Death, kafka: Kafka, topics: Topics) -> int:
    """Wait until it stands at its step, look at its transaction on the broker, kill all of it. Returns the number of
    records that were open."""
    service.wait_for_log(f"{STOPPED} {death.step}", timeout=120)

    def standing() -> str | None:
        """The state of the stage's transaction; of a dynamic member's ids, of which there are older ones, any open."""
        prefix = f"{topics.application_id}-{death.stage}-{death.instance or ''}"
        states = [state for name, state in transactions(kafka.brokers()).items() if name.startswith(prefix)]
        return "Ongoing" if "Ongoing" in states else next(iter(states), None)

    wanted = "Ongoing" if death.in_flight else "CompleteCommit"
    wait_until(lambda: standing() == wanted, 20, f"the transaction is {wanted} at {death.stage}.{death.step}")
    found = kafka.open_transactions(topics.outputs)
    assert standing() == wanted, f"the transaction was {wanted} at {death.stage}.{death.step}, and is {standing()}"
    service.kill()
    return found


@pytest.mark.kafka
@pytest.mark.xdist_group("survival")
def test_six_deaths_in_the_middle_of_commits_lose_nothing_and_repeat_nothing(
    kafka: str, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    topics = Topics(unique("survival"))
    with closing(Kafka(kafka)) as cluster:
        _survive(cluster, topics, capsys, tmp_path)


def _survive(cluster: Kafka, topics: Topics, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    kafka = cluster.bootstrap
    assert sum(death.in_flight for death in DEATHS) == 5
    cluster.create(dict.fromkeys(topics.inputs.values(), PARTITIONS))
    traffic = Traffic(SEED, REQUESTS, start=int(time.time() * 1000) // HOUR * HOUR - 3 * DAY)
    records, options = traffic.records(), settings(kafka, topics)
    log: list[Logged] = []
    open_records: list[int] = []
    share = len(records) // (len(DEATHS) + 1)

    for number, death in enumerate(DEATHS):
        told = {"STREAMGAUGE_TEST_STOP_AT": f"{death.stage}.{death.step}:{death.nth}"}
        arguments = [] if death.instance is None else ["--instance", death.instance]
        with Service(options, arguments=arguments, environment=told) as service:
            left = parts(records[number * share : (number + 1) * share], 8)
            while left and STOPPED not in service.log():
                log += send(kafka, topics, left.pop(0))
                wait_for_commit(cluster, topics, service)
            open_records.append(die(service, death, cluster, topics))
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
    firings = _check_alerts(expected, alerts)

    # The contract: what the gauge says equals a single pass over the outcomes topic in its order.
    config = _config(options, folder)
    made = pass_again(outcomes_of(cluster, config.outcomes_topic), config)
    for topic, records in ((topics["metrics"], events), (topics["alerts"], alerts)):
        assert said(made, topic) - was_said(records) == Counter(), f"{topic}: one pass says more"
        assert was_said(records) - said(made, topic) == Counter(), f"{topic}: one pass says less"

    totals = ", ".join(f"{count:,} {name}" for name, count in sorted(compared.totals.items()))
    with capsys.disabled():
        print(
            f"\nsurvived {len(DEATHS)} kills over {len(log):,} records, with {open_records} records of open "
            f"transactions on the broker: {compared.windows} windows, {compared.values:,} values and "
            f"{compared.counts:,} counts equal; {dead} dead letters; {sum(once):,} ids and {revisions:,} revisions, "
            f"none twice; {dict(firings)} alerts fired, {len(alerts)} alert events and {len(events):,} metric events "
            f"the same in one pass\nof them counted: {totals}"
        )
    assert compared.windows > 150 and compared.values > 1_000 and compared.counts > 1_000
    assert dead > 100 and revisions > 500
    assert all(compared.totals[name] >= 20 for name in oracle.COUNTS), totals
    assert all(found > 0 for death, found in zip(DEATHS, open_records, strict=True) if death.open_records)


def _check_alerts(expected: oracle.Expected, records: Sequence[checkers.Published]) -> Counter[str]:
    """There are alerts, each goes its legal way, and those that fire at the end are about the model that broke."""
    events = [record.event() for record in sorted(records, key=lambda each: (each.partition, each.offset))]
    firings = checkers.alerts_legal(events)
    assert firings["drift"] >= 2 and firings["threshold"] >= 2, f"what fired: {dict(firings)}"
    drifted = {(event["model"], event["subject"]) for event in events if event["kind"] == "drift"}
    assert drifted == {(BROKEN, "error")}, f"drift alerts about {drifted}"
    wanted = oracle.below(expected, RULE["metric"], RULE["below"], SIZES[0], RULE["min_count"])
    found = checkers.firing(events, RULE["name"])
    assert wanted and found == wanted, f"{RULE['name']} fires about {found}, and must about {wanted}"
    return firings


def _config(options: Mapping[str, Any], folder: Path) -> Config:
    path = folder / "streamgauge.yaml"
    path.write_text(yaml.safe_dump(options))
    return load_config(path, {})


def _wait_for_truth(cluster: Kafka, topics: Topics, expected: oracle.Expected) -> checkers.Compared:
    """Wait until every window that is expected is final, then compare: what differs now differs for good."""
    deadline = time.monotonic() + 120
    while True:
        events = checkers.metric_events(published(cluster, topics["metrics"]))
        problems, compared = checkers.differences(expected, events)
        if not problems:
            return compared
        assert time.monotonic() < deadline, f"{len(problems)} differences, such as\n" + "\n".join(problems[:20])
