"""The client's errors become ours by code first, then by flags, and by the step they came from."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.log import (
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
from streams.log.kafka.errors import Step, error_in, translate, translated


def error(code: int, *, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaError:
    """A client's error with these flags."""
    return KafkaError(code, None, fatal, retriable, abort)


@pytest.mark.parametrize(
    ("given", "step", "expected"),
    [
        # by code, whatever the flags say
        (error(KafkaError._FENCED, fatal=True), "commit", ProducerFenced),
        (error(KafkaError.FENCED_INSTANCE_ID, abort=True), "send_offsets", Fenced),
        (error(KafkaError.UNKNOWN_MEMBER_ID, abort=True), "send_offsets", MembershipLost),
        (error(KafkaError.ILLEGAL_GENERATION, abort=True), "send_offsets", MembershipLost),
        (error(KafkaError.TOPIC_AUTHORIZATION_FAILED, abort=True), "commit", Refused),
        (error(KafkaError.GROUP_AUTHORIZATION_FAILED), "consume", Refused),
        (error(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True), "init_transactions", Refused),
        (error(KafkaError.UNKNOWN_TOPIC_OR_PART), "consume", TopicMissing),
        (error(KafkaError._AUTO_OFFSET_RESET), "consume", OffsetOutOfRange),
        # then by flag
        (error(KafkaError._TIMED_OUT, retriable=True), "send_offsets", Retriable),
        (error(KafkaError.COORDINATOR_NOT_AVAILABLE, abort=True), "send_offsets", Abortable),
        (error(KafkaError.INVALID_TXN_STATE, fatal=True), "send_offsets", ProducerFatal),
        (error(KafkaError._STATE), "begin", ProducerFatal),
        # a commit that may have happened is not guessed about
        (error(KafkaError._TIMED_OUT, retriable=True), "commit", UnknownOutcome),
        (error(KafkaError.INVALID_TXN_STATE, fatal=True), "commit", UnknownOutcome),
        (error(KafkaError._INCONSISTENT, abort=True), "commit", Abortable),
        # an abort that failed leaves nothing to rely on
        (error(KafkaError._TIMED_OUT, retriable=True), "abort", ProducerFatal),
        (error(KafkaError.INVALID_TXN_STATE, fatal=True), "abort", ProducerFatal),
        (error(KafkaError._FENCED, fatal=True), "abort", ProducerFenced),
        # outside transactions
        (error(KafkaError._TIMED_OUT), "request", Retriable),
        (error(KafkaError._TRANSPORT), "request", Retriable),
        (error(KafkaError._DESTROY_BROKER), "request", Retriable),
        (error(KafkaError.OFFSET_NOT_AVAILABLE), "request", Retriable),
        (error(KafkaError.KAFKA_STORAGE_ERROR), "request", Retriable),
        (error(KafkaError.REPLICA_NOT_AVAILABLE), "request", Retriable),
        (error(KafkaError.UNKNOWN_LEADER_EPOCH), "consume", Retriable),
        (error(KafkaError.FENCED_LEADER_EPOCH), "consume", Retriable),
        (error(KafkaError.INVALID_CONFIG), "request", Refused),
        (error(KafkaError.INVALID_REPLICATION_FACTOR), "request", Refused),
        (error(KafkaError.INVALID_TRANSACTION_TIMEOUT), "init_transactions", Refused),
        (error(KafkaError.INVALID_REQUEST), "request", LogError),
    ],
)
def test_an_error_is_translated(given: KafkaError, step: Step, expected: type[LogError]) -> None:
    found = translate(given, step)
    assert type(found) is expected
    assert found.code == given.name()


def test_a_fatal_error_inside_a_system_error_is_found() -> None:
    real = KafkaException(error(KafkaError._FENCED, fatal=True))
    with pytest.raises(ProducerFenced), translated("produce"):
        try:
            raise real
        except KafkaException as cause:
            raise SystemError("returned a result with an exception set") from cause


def test_what_is_not_the_clients_stays_as_it_is() -> None:
    assert error_in(SystemError("something else")) is None
    with pytest.raises(SystemError, match="something else"), translated("produce"):
        raise SystemError("something else")
    with pytest.raises(ZeroDivisionError), translated("produce"):
        raise ZeroDivisionError
