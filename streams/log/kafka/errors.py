"""The one place where the client's errors become ours: by code first, then by flags (KIP-447, KIP-890).

What an error means depends on the step it came from: a time-out of `commit` leaves the outcome unknown, one of `abort`
leaves a producer that cannot be trusted (librdkafka#5423), one of any other call may be tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from confluent_kafka import KafkaError, KafkaException

from streams.log.base import (
    Abortable,
    Fenced,
    LogError,
    MembershipLost,
    OffsetOutOfRange,
    ProducerFatal,
    ProducerFenced,
    Refused,
    Retriable,
    TopicMissing,
    UnknownOutcome,
)

Step = Literal["init_transactions", "begin", "produce", "send_offsets", "commit", "abort", "consume", "request"]
_TRANSACTION: frozenset[Step] = frozenset({"init_transactions", "begin", "produce", "send_offsets", "commit", "abort"})

_BY_CODE: dict[int, type[LogError]] = {
    KafkaError._FENCED: ProducerFenced,
    KafkaError.FENCED_INSTANCE_ID: Fenced,
    KafkaError.INVALID_PRODUCER_EPOCH: ProducerFenced,
    KafkaError.UNKNOWN_MEMBER_ID: MembershipLost,
    KafkaError.ILLEGAL_GENERATION: MembershipLost,
    KafkaError._ASSIGNMENT_LOST: MembershipLost,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Refused,
    KafkaError.GROUP_AUTHORIZATION_FAILED: Refused,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Refused,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Refused,
    KafkaError.SASL_AUTHENTICATION_FAILED: Refused,
    KafkaError._AUTHENTICATION: Refused,
    # What asking again does not change.
    KafkaError.INVALID_TRANSACTION_TIMEOUT: Refused,
    KafkaError.INVALID_REPLICATION_FACTOR: Refused,
    KafkaError.INVALID_CONFIG: Refused,
    KafkaError.POLICY_VIOLATION: Refused,
    KafkaError.TOPIC_EXCEPTION: Refused,
    KafkaError.UNKNOWN_TOPIC_OR_PART: TopicMissing,
    KafkaError._UNKNOWN_TOPIC: TopicMissing,
    KafkaError._UNKNOWN_PARTITION: TopicMissing,
    KafkaError._AUTO_OFFSET_RESET: OffsetOutOfRange,
    KafkaError.OFFSET_OUT_OF_RANGE: OffsetOutOfRange,
}

_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
}

TRANSIENT = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,  # the client forgot the broker that it had asked: its address has changed
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        # A leader that has just been elected, and does not know yet what it holds (KIP-207, KIP-320).
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_CONTROLLER,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError._MAX_POLL_EXCEEDED,  # the listener's on_lost says it; the next poll joins again
    }
)


def translate(error: KafkaError, step: Step, named: Mapping[int, str] | None = None) -> LogError:
    """Our error for the client's. `named` says for the codes of a denial which topic, group or transactional id the
    call was about: the client's own text does not."""
    kind = _BY_CODE.get(error.code())
    if error.code() == KafkaError._FATAL and step == "consume" and "fenced" in error.str().lower():
        kind = Fenced  # a replaced static member: the real code is in the text alone
    if kind is None:
        kind = _by_flags(error)
        if kind is None:
            # Kafka's rule for producers: an error with none of the flags is fatal.
            kind = ProducerFatal if step in _TRANSACTION else LogError
        if error.code() in TRANSIENT and step not in _TRANSACTION:
            kind = Retriable
    if step == "commit" and kind in {Retriable, ProducerFatal}:
        kind = UnknownOutcome
    if step == "abort" and not issubclass(kind, Fenced):
        kind = ProducerFatal
    return kind(_text(error, step, named or {}), error.name())


def _text(error: KafkaError, step: Step, named: Mapping[int, str]) -> str:
    what, name = _DENIED.get(error.code()), named.get(error.code())
    if what is not None and name is not None:
        return f"Kafka does not let us use the {what} {name}"
    return f"{error.str()} ({step})"


def _by_flags(error: KafkaError) -> type[LogError] | None:
    if error.fatal():
        return ProducerFatal
    if error.txn_requires_abort():
        return Abortable
    if error.retriable():
        return Retriable
    return None


def error_in(exception: BaseException) -> KafkaError | None:
    """The client's error inside an exception. A fatal one that strikes while a delivery is reported comes as a
    SystemError with the real one as its cause."""
    seen: BaseException | None = exception
    while seen is not None:
        if isinstance(seen, KafkaError):
            return seen
        if isinstance(seen, KafkaException) and seen.args and isinstance(seen.args[0], KafkaError):
            return seen.args[0]
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def translated(step: Step, named: Mapping[int, str] | None = None) -> Iterator[None]:
    """Run the body; the client's errors leave it as ours."""
    try:
        yield
    except (KafkaException, KafkaError, SystemError) as exception:
        error = error_in(exception)
        if error is None:
            raise
        raise translate(error, step, named) from exception
