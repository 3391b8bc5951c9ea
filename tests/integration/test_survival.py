"""It survives: killed six times in its commit protocol, five of them with a transaction open on the broker, it loses
nothing and says nothing twice.

A black box over a real Kafka: records in, records out, `streamgauge run` in between as a process group that dies by
SIGKILL. What must come out is computed from what went in (verdict.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration import oracle
from tests.integration.application import PARTITIONS, Topics, settings
from tests.integration.traffic import HOUR, Record, Traffic
from tests.integration.transactions import transactions
from tests.integration.verdict import Sending, judge, judge_state
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
    log = Sending(kafka, topics)
    open_records: list[int] = []
    share = len(records) // (len(DEATHS) + 1)

    for number, death in enumerate(DEATHS):
        told = {"STREAMGAUGE_TEST_STOP_AT": f"{death.stage}.{death.step}:{death.nth}"}
        arguments = [] if death.instance is None else ["--instance", death.instance]
        with Service(options, arguments=arguments, environment=told) as service:
            left = parts(records[number * share : (number + 1) * share], 8)
            while left and STOPPED not in service.log():
                log.send(left.pop(0))
                log.landed()
                wait_for_commit(cluster, topics, service)
            open_records.append(die(service, death, cluster, topics))
        for part in left:
            log.send(part)

    with Service(options) as service:
        log.send(records[len(DEATHS) * share :])
        log.landed()
        ends = input_ends(cluster, *topics.inputs.values())
        wait_until(lambda: cluster.consumed(f"{topics.application_id}-join", ends), 120, "all input committed")
        log.send(traffic.sentinels())
        verdict = judge(cluster, topics, options, log.landed(), folder)
        assert service.terminate() == 0
        agreeing = judge_state(cluster, topics, options, folder)

    with capsys.disabled():
        print(
            f"\nsurvived {len(DEATHS)} kills over {len(log.landed()):,} records, with {open_records} records of open "
            f"transactions on the broker: {verdict.text()}; {agreeing} offsets agree with journal and snapshots"
        )
    compared = verdict.compared
    assert compared.windows > 150 and compared.values > 1_000 and compared.counts > 1_000
    assert verdict.dead_letters > 100 and verdict.revisions > 500
    assert all(compared.totals[name] >= 20 for name in oracle.COUNTS), compared.totals
    assert all(found > 0 for death, found in zip(DEATHS, open_records, strict=True) if death.open_records)
