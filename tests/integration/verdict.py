"""The verdict over a whole run: everything that was published, against everything that was sent.

Whoever breaks things sends traffic, notes where each record landed, and asks here at the end. What must
come out is computed from what went in (oracle.py) and compared by checkers outside the code under test (checkers.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Producer

from schemas import Config, load_config
from streams.records import TopicPartition
from tests.integration import checkers, oracle
from tests.integration.again import Message, outcomes_of, pass_again, said, was_said
from tests.integration.alarm_checks import alarms_are_rivers
from tests.integration.application import PAGE_HINKLEY, PARTITIONS, ROLLING, RULE, SIZES, Topics
from tests.integration.control_checks import control_copied_once, silences_mute
from tests.integration.quiet_checks import streams_are_missed
from tests.integration.row_checks import RowChecks, rolling_equals_one_pass, rows_are_as_sent
from tests.integration.rows import read_message
from tests.integration.state_checks import state_agrees
from tests.integration.traffic import BROKEN, Logged, Record
from tests.kafka_client import Kafka


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much was compared, all of it equal."""

    compared: checkers.Compared
    dead_letters: int
    ids: int
    revisions: int
    firings: Counter[str]
    alert_events: int
    metric_events: int
    rows: Counter[str]

    def text(self) -> str:
        """In a few lines."""
        compared = self.compared
        totals = ", ".join(f"{count:,} {name}" for name, count in sorted(compared.totals.items()))
        return (
            f"{compared.windows} windows, {compared.values:,} values and {compared.counts:,} counts equal; "
            f"{self.dead_letters} dead letters; {self.ids:,} ids and {self.revisions:,} revisions, none twice; "
            f"{dict(self.firings)} alerts fired, {self.alert_events} alert events and {self.metric_events:,} metric "
            f"events the same in one pass; rows of the outcomes by checker {dict(sorted(self.rows.items()))}\n"
            f"of them counted: {totals}"
        )


class Sending:
    """Produces records in order, as a Python service would, and knows where each of them landed."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self._topics = topics
        self._landed: list[tuple[Record, list[int]]] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 2,
            }
        )

    def send(self, records: Sequence[Record]) -> None:
        """Hand them to the producer."""
        for record in records:
            place: list[int] = []
            self._landed.append((record, place))
            self._producer.produce(
                self._topics[record.topic],
                record.value,
                record.key,
                timestamp=record.timestamp,
                on_delivery=_note(place),
            )
            self._producer.poll(0)

    def poll(self) -> None:
        """Hear of deliveries."""
        self._producer.poll(0)

    def landed(self, timeout: float = 30) -> list[Logged]:
        """Wait for all of them; where each landed."""
        assert self._producer.flush(timeout) == 0
        return [Logged(record, *place) for record, place in self._landed]


def _note(place: list[int]) -> Callable[[Any, Any], None]:
    def delivered(error: Any, message: Any) -> None:
        assert error is None, f"a record of the traffic was not delivered: {error.name()}: {error.str()}"
        place.extend((message.partition(), message.offset()))

    return delivered


def published(kafka: Kafka, topic: str) -> list[checkers.Published]:
    """Everything committed on an output topic."""
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


def judge(
    cluster: Kafka,
    topics: Topics,
    options: Mapping[str, Any],
    log: Sequence[Logged],
    folder: Path,
    *,
    patience: float = 120,
) -> Verdict:
    """Wait until every window is final, then compare it all with what was sent. AssertionError says what is wrong."""
    expected = oracle.expect(log, SIZES)
    compared = _wait_for_truth(cluster, topics, expected, patience)
    events = published(cluster, topics["metrics"])
    alerts = published(cluster, topics["alerts"])
    letters = published(cluster, topics["dead-letters"])
    once = checkers.no_id_twice(events), checkers.no_id_twice(alerts), checkers.no_id_twice(letters)
    windows = checkers.metric_events(events)
    revisions = checkers.no_revision_twice(windows)
    problems, dead = checkers.dead_letters_differ(expected, letters, topics.sources)
    assert problems == []
    firings = _check_alerts(expected, alerts)

    # The contract: what the gauge says equals a single pass over the outcomes topic in its order.
    config = _config(options, folder)
    outcomes = outcomes_of(cluster, config.outcomes_topic)
    rows = _check_rows(outcomes, log, windows, alerts, topics)
    made = pass_again(outcomes, config)
    for topic, records in ((topics["metrics"], events), (topics["alerts"], alerts)):
        assert said(made, topic) - was_said(records) == Counter(), f"{topic}: one pass says more"
        assert was_said(records) - said(made, topic) == Counter(), f"{topic}: one pass says less"
    return Verdict(compared, dead, sum(once), revisions, firings, len(alerts), len(events), rows)


def judge_state(cluster: Kafka, topics: Topics, options: Mapping[str, Any], folder: Path) -> int:
    """Once the application has been stopped: what its last commits left in the group's offsets, the journal and the
    snapshots. Returns how much was compared. AssertionError says what is wrong."""
    compared = state_agrees(cluster, _config(options, folder), *topics.sources.values())
    assert compared >= PARTITIONS * len(topics.inputs), f"only {compared} offsets were there to be compared"
    return compared


def _check_rows(
    outcomes: Mapping[TopicPartition, Sequence[Message]],
    log: Sequence[Logged],
    windows: Sequence[dict[str, Any]],
    alerts: Sequence[checkers.Published],
    topics: Topics,
) -> Counter[str]:
    """What the simulation asks of the outcomes topic, of this one."""
    watch = RowChecks()
    for place, messages in outcomes.items():
        for _, _, value in sorted(messages):
            watch.take(place, read_message(value))
    done = Counter(watch.checks)
    done["rows_are_as_sent"] = rows_are_as_sent(watch.rows, log)
    done["rolling_equals_one_pass"] = rolling_equals_one_pass(watch.rows, ROLLING, windows)
    done["nothing_after_final"] = checkers.nothing_after_final(windows)
    done["detectors_alarm_where_river_does"] = alarms_are_rivers(watch.rows, alerts, topics, PAGE_HINKLEY)
    assert all(done.values()), done
    # Whether there are control records, and alerts while one is in force, is the traffic's affair; a stream is missed
    # only once it was heard for a week.
    done["streams_are_missed"] = streams_are_missed(watch.rows, alerts).total()
    done["control_copied_once"] = control_copied_once(watch.copied, log, outcomes)
    done["silences_mute"] = silences_mute(watch.copied, alerts)
    return done


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
    path.write_text(yaml.safe_dump(dict(options)))
    return load_config(path, {})


def _wait_for_truth(cluster: Kafka, topics: Topics, expected: oracle.Expected, patience: float) -> checkers.Compared:
    """Wait until every window that is expected is final, then compare: what differs now differs for good."""
    deadline = time.monotonic() + patience
    while True:
        events = checkers.metric_events(published(cluster, topics["metrics"]))
        problems, compared = checkers.differences(expected, events)
        if not problems:
            return compared
        assert time.monotonic() < deadline, f"{len(problems)} differences, such as\n" + "\n".join(problems[:20])
