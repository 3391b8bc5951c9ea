"""The in-memory log's own: faults on demand, crashes at named steps, time, and the range assignor's arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_cluster import PATIENCE, TRANSACTION_MS, Member, MemoryCluster, at

from streams.log import (
    Abortable,
    Fenced,
    LogError,
    MembershipLost,
    MemoryLog,
    Producer,
    ProducerFatal,
    Retriable,
    UnknownOutcome,
)
from streams.log.memory.group import range_assignment
from streams.records import OutputRecord, TopicPartition

SOURCE = TopicPartition("t", 0)


class Crash(BaseException):
    """A process that dies."""


def joined(cluster: MemoryCluster, partitions: int = 1) -> Member:
    """A member that owns a fresh topic."""
    cluster.topic("t", partitions)
    member = cluster.member("g", ["t"])
    cluster.until(lambda: bool(member.owns()), member)
    return member


def transaction(producer: Producer, member: Member, commit: int) -> None:
    """One commit: a record and the offset, with its number in the metadata."""
    producer.begin()
    producer.produce(OutputRecord("t", None, b"%d" % commit, 0))
    producer.send_offsets({SOURCE: at(commit, str(commit))}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)


@pytest.mark.parametrize("applied", [True, False])
def test_an_unknown_commit_is_settled_by_a_new_producer_and_the_committed_metadata(applied: bool) -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    cluster.log.fail_next("commit", UnknownOutcome, applied=applied)
    with pytest.raises(UnknownOutcome):
        transaction(producer, member, 1)
    with pytest.raises(ProducerFatal):
        producer.abort(PATIENCE)
    cluster.producer("x")
    committed = member.consumer.committed([SOURCE], PATIENCE)[SOURCE]
    assert committed == (at(1, "1") if applied else None)
    assert cluster.read(SOURCE) == ([b"1"] if applied else [])


@pytest.mark.parametrize("step", ["begin", "produce", "send_offsets", "commit"])
@pytest.mark.parametrize("applied", [True, False])
def test_a_process_that_dies_at_any_step_leaves_all_or_nothing(step: str, applied: bool) -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    cluster.log.fail_next(step, Crash, applied=applied)
    with pytest.raises(Crash):
        transaction(producer, member, 1)
    cluster.log.advance(TRANSACTION_MS)
    visible = cluster.read(SOURCE)
    committed = member.consumer.committed([SOURCE], PATIENCE)[SOURCE]
    whole = step == "commit" and applied
    assert (visible, committed) == (([b"1"], at(1, "1")) if whole else ([], None))
    transaction(cluster.producer("x"), member, 2)
    assert cluster.read(SOURCE) == [*visible, b"2"]


@pytest.mark.parametrize(
    ("error", "next_step"),
    [(Retriable, "commit"), (Abortable, "abort"), (MembershipLost, "abort"), (ProducerFatal, None), (Fenced, None)],
)
def test_after_an_error_only_the_right_next_call_is_allowed(error: type[LogError], next_step: str | None) -> None:
    cluster = MemoryCluster()
    joined(cluster)
    producer = cluster.producer("x")
    producer.begin()
    producer.produce(OutputRecord("t", None, b"a", 0))
    cluster.log.fail_next("produce", error)
    with pytest.raises(error):
        producer.produce(OutputRecord("t", None, b"b", 0))
    calls: dict[str, Callable[[], None]] = {
        "commit": lambda: producer.commit(PATIENCE),
        "abort": lambda: producer.abort(PATIENCE),
    }
    if next_step != "commit":
        with pytest.raises(LogError):
            calls["commit"]()
    if next_step is None:
        with pytest.raises(ProducerFatal):
            calls["abort"]()
    else:
        calls[next_step]()
        producer.begin()


def test_faults_wait_for_their_turn_and_happen_once() -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    cluster.log.fail_next("commit", Abortable, skip=1)
    transaction(producer, member, 1)
    with pytest.raises(Abortable, match="planned fault at commit"):
        transaction(producer, member, 2)
    assert cluster.log.faults.pending() == 0
    producer.abort(PATIENCE)
    transaction(producer, member, 2)
    assert cluster.read(SOURCE) == [b"1", b"2"]
    with pytest.raises(ValueError, match="no such step"):
        cluster.log.fail_next("nowhere", Abortable)


def test_a_hook_sees_every_step_before_and_after_it_takes_effect() -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    seen: list[str] = []
    cluster.log.faults.hook = lambda step, when: seen.append(f"{when} {step}")
    transaction(producer, member, 1)
    assert seen.pop(-2) == "before marker"  # between that of the partition and that of the group
    steps = ["begin", "produce", "send_offsets", "commit"]
    assert seen == [f"{when} {step}" for step in steps for when in ("before", "after")]


@pytest.mark.parametrize("step", ["poll", "committed", "read", "admin"])
def test_reading_fails_on_demand_too(step: str) -> None:
    cluster = MemoryCluster()
    member = joined(cluster)
    cluster.append("t", b"a")
    calls: dict[str, Callable[[], object]] = {
        "poll": lambda: member.consumer.poll(10, 1.0),
        "committed": lambda: member.consumer.committed([SOURCE], PATIENCE),
        "read": lambda: cluster.read(SOURCE),
        "admin": lambda: cluster.log.admin().describe(["t"], PATIENCE),
    }
    cluster.log.fail_next(step, Retriable)
    with pytest.raises(Retriable):
        calls[step]()
    calls[step]()
    cluster.until(lambda: len(member.values()) == 1 or step == "poll", member)


def test_a_killed_member_keeps_its_group_waiting_until_its_session_ends() -> None:
    cluster = MemoryCluster()
    dead = joined(cluster)
    heir = cluster.member("g", ["t"])
    dead.consumer.suspend()
    for _ in range(5):
        heir.poll()
    assert heir.owns() == []
    cluster.log.advance(10_000)
    heir.poll()
    assert heir.owns() == [SOURCE]


def test_records_can_be_expired_by_retention_and_offsets_by_their_group_being_empty() -> None:
    cluster = MemoryCluster()
    member, producer = joined(cluster), cluster.producer("x")
    transaction(producer, member, 1)
    cluster.append("t", b"late")
    cluster.log.expire_before(SOURCE, 2)
    assert cluster.log.reader().bounds(SOURCE, PATIENCE) == (2, 3)
    assert [entry.value for entry in cluster.log.records("t")] == [b"late"]
    cluster.log.expire_offsets("g")
    assert member.consumer.committed([SOURCE], PATIENCE) == {SOURCE: None}


def test_headers_are_kept_for_whoever_checks_the_outputs() -> None:
    log = MemoryLog()
    log.create_topic("t", 1)
    producer = log.producer("x")
    producer.init_transactions(PATIENCE)
    producer.begin()
    producer.produce(OutputRecord("t", b"k", b"v", 0, (("ce_id", b"1"),)))
    producer.commit(PATIENCE)
    (entry,) = log.records("t")
    assert (entry.key, entry.value, entry.headers, entry.offset) == (b"k", b"v", (("ce_id", b"1"),), 0)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(members=st.integers(1, 7), partitions=st.integers(1, 20))
def test_range_gives_every_partition_to_one_member_in_runs_that_differ_by_at_most_one(
    members: int, partitions: int
) -> None:
    names = {f"m{i}": ("a", "b") for i in range(members)}
    found = range_assignment(names, lambda _: partitions)
    for topic in ("a", "b"):
        runs = [[p.partition for p in found[name] if p.topic == topic] for name in sorted(names)]
        assert [number for run in runs for number in run] == list(range(partitions))
        assert max(map(len, runs)) - min(map(len, runs)) <= 1


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["commit", "abort", "die"]), st.integers(1, 3)), max_size=12)
)
def test_after_any_sequence_of_transactions_exactly_the_committed_ones_are_visible(
    plan: list[tuple[int, str, int]],
) -> None:
    """Three producers whose transactions follow each other in any way; the dead ones time out."""
    cluster = MemoryCluster()
    cluster.topic("t")
    expected: list[bytes] = []
    for number, (who, end, records) in enumerate(plan):
        producer = cluster.producer(f"producer-{who}")
        producer.begin()
        values = [b"%d-%d" % (number, i) for i in range(records)]
        for value in values:
            producer.produce(OutputRecord("t", None, value, 0))
        if end == "commit":
            producer.commit(PATIENCE)
            expected += values
        elif end == "abort":
            producer.abort(PATIENCE)
    cluster.log.advance(TRANSACTION_MS)
    assert cluster.read(SOURCE) == expected


def test_a_producer_whose_first_initialisation_failed_can_be_closed() -> None:
    log = MemoryLog()
    log.fail_next("init_transactions", Abortable)
    producer = log.producer("x")
    with pytest.raises(Abortable):
        producer.init_transactions(1.0)
    producer.close()


def test_every_error_of_a_step_is_told_planned_or_not() -> None:
    log = MemoryLog()
    told: list[tuple[str, str | None]] = []
    log.faults.told = lambda step, problem: told.append((step, problem.code))
    old, new = log.producer("x"), log.producer("x")
    old.init_transactions(1.0)
    new.init_transactions(1.0)
    old.begin()
    with pytest.raises(Fenced):
        old.commit(1.0)
    log.fail_next("begin", Retriable("later", "LATER"))
    with pytest.raises(Retriable):
        new.begin()
    assert told == [("commit", "_FENCED"), ("begin", "LATER")]
