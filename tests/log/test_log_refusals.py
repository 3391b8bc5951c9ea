"""A real broker that refuses, and a commit whose reply is lost: what no error of a single call tells.

One broker of our own with four listeners: plain, through a proxy that loses commits, with passwords, with TLS.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from log_cluster import PATIENCE, KafkaCluster, Member, at
from log_proxy import CommitLosingProxy

from streams.devkafka import local_kafka
from streams.log import KafkaLog, LogError, ProducerFatal, Refused, UnknownOutcome, Unreachable
from streams.records import OutputRecord, TopicPartition

pytestmark = pytest.mark.kafka
Unique = Callable[[str], str]

_USER = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "app"}
_KNOWN = {**_USER, "sasl.password": "right"}


@dataclass(frozen=True)
class Guarded:
    """The broker's addresses."""

    plain: str
    proxied: str
    password: str
    tls: str
    proxy: CommitLosingProxy


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        found: int = one.getsockname()[1]
        return found


def _key_store(folder: Path) -> Path:
    """A self-signed certificate that nobody trusts, by Java's keytool."""
    store = folder / "broker.p12"
    owner = ["-alias", "broker", "-dname", "CN=broker", "-ext", "SAN=ip:127.0.0.1", "-keyalg", "EC"]
    place = ["-storetype", "PKCS12", "-keystore", str(store), "-storepass", "secret-of-tests"]
    subprocess.run(["keytool", "-genkeypair", *owner, *place], check=True, capture_output=True)
    return store


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The broker, for this file alone."""
    store = _key_store(tmp_path_factory.mktemp("tls"))
    behind, password, tls = _port(), _port(), _port()
    with ExitStack() as stack:
        proxy = CommitLosingProxy(behind)
        stack.callback(proxy.close)
        ours = f"PROXIED://127.0.0.1:{{}},PASSWORD://127.0.0.1:{password},TLS://127.0.0.1:{tls}"
        first = "PLAINTEXT://127.0.0.1:{broker},"
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        properties = {
            "listeners": first + "CONTROLLER://127.0.0.1:{controller}," + ours.format(behind),
            "advertised.listeners": first + ours.format(proxy.port),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,"
            "PASSWORD:SASL_PLAINTEXT,TLS:SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.password.scram-sha-512.sasl.jaas.config": module,
            "listener.name.tls.ssl.keystore.type": "PKCS12",
            "listener.name.tls.ssl.keystore.location": str(store),
            "listener.name.tls.ssl.keystore.password": "secret-of-tests",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        scram = ["--add-scram", "SCRAM-SHA-512=[name=app,password=right]"]
        plain = stack.enter_context(local_kafka(properties=properties, format_arguments=scram))
        yield Guarded(
            plain,
            f"127.0.0.1:{proxy.port}",
            f"127.0.0.1:{password}",
            f"127.0.0.1:{tls}",
            proxy,
        )


@pytest.fixture
def cluster(guarded: Guarded) -> Iterator[KafkaCluster]:
    """Clients behind the proxy; transactions live long enough to be asked about."""
    made = KafkaCluster(guarded.proxied, {"transaction.timeout.ms": 20_000})
    yield made
    guarded.proxy.loses = "nothing"
    made.close()


@pytest.mark.parametrize("loses", ["replies", "requests"])
def test_after_a_lost_commit_the_committed_metadata_says_whether_it_was_applied(
    guarded: Guarded, cluster: KafkaCluster, unique: Unique, loses: str
) -> None:
    source, name = cluster.topic(unique("t")), unique("x")
    member = cluster.member(unique("g"), [source.topic])
    cluster.until(lambda: bool(member.owns()), member)

    def attempt(commit: int, timeout: float) -> None:
        producer = cluster.producer(name)
        producer.begin()
        producer.produce(OutputRecord(source.topic, None, b"commit %d" % commit, 0))
        producer.send_offsets({source: at(commit, f"commit {commit}")}, member.consumer.group_metadata(), PATIENCE)
        producer.commit(timeout)

    attempt(1, PATIENCE)
    guarded.proxy.loses = "replies" if loses == "replies" else "requests"
    guarded.proxy.lost = 0
    with pytest.raises(UnknownOutcome):
        attempt(2, 1.0)
    assert guarded.proxy.lost >= 1
    guarded.proxy.loses = "nothing"
    cluster.producer(name)  # completes or aborts what was open
    committed = member.consumer.committed([source], PATIENCE)[source]
    applied = loses == "replies"
    assert committed == (at(2, "commit 2") if applied else at(1, "commit 1"))
    assert cluster.read(source) == ([b"commit 1", b"commit 2"] if applied else [b"commit 1"])


def test_a_wrong_password_is_told_from_a_broker_that_is_not_there(guarded: Guarded) -> None:
    with pytest.raises(Refused, match="user, password or mechanism"):
        KafkaLog(guarded.password, {**_USER, "sasl.password": "wrong"}).check(PATIENCE)
    with pytest.raises(Unreachable, match="no Kafka broker answers"):
        KafkaLog(f"127.0.0.1:{_port()}").check(1.0)
    KafkaLog(guarded.password, _KNOWN).check(PATIENCE)


def test_a_certificate_nobody_trusts_is_named(guarded: Guarded) -> None:
    with pytest.raises(Refused, match=r"certificate .* is not trusted"):
        KafkaLog(guarded.tls, {"security.protocol": "SSL"}).check(PATIENCE)


def test_speaking_plainly_to_a_broker_that_wants_more_is_unreachable(guarded: Guarded) -> None:
    for address in (guarded.tls, guarded.password):
        with pytest.raises(Unreachable):
            KafkaLog(address).check(2.0)


def test_a_running_consumer_hears_of_a_wrong_password(guarded: Guarded, unique: Unique) -> None:
    cluster = KafkaCluster(guarded.password, {**_USER, "sasl.password": "wrong"})
    member = cluster.member(unique("g"), [unique("t")])
    with pytest.raises(Refused):
        cluster.until(lambda: False, member)
    cluster.close()


def _allow(guarded: Guarded, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    bindings = [
        AclBinding(kind, name, ResourcePatternType.LITERAL, "User:app", "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]
    admin = AdminClient({"bootstrap.servers": guarded.plain})
    for future in admin.create_acls(bindings).values():
        future.result(PATIENCE)


def _permitted(cluster: KafkaCluster, group: str, topic: str) -> Member:
    """A member that was let in: a permission takes a moment to reach the broker."""
    for _ in range(50):
        member = cluster.member(group, [topic])
        with contextlib.suppress(Refused):
            cluster.until(lambda: bool(member.owns()), member)  # noqa: B023
            return member
        member.consumer.close()
    raise AssertionError("never let in")


def test_a_denied_transactional_id_group_or_topic_is_refused_by_name(guarded: Guarded, unique: Unique) -> None:
    owner, guest = KafkaCluster(guarded.plain), KafkaCluster(guarded.password, _KNOWN)
    open_topic, closed_topic = owner.topic(unique("open")), owner.topic(unique("closed"))
    name, group = unique("x"), unique("g")
    with pytest.raises(Refused) as denied:
        guest.producer(name)
    assert denied.value.code == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"

    _allow(guarded, ResourceType.TOPIC, open_topic.topic, AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)
    _allow(guarded, ResourceType.TRANSACTIONAL_ID, name, AclOperation.WRITE, AclOperation.DESCRIBE)
    refused = guest.member(group, [open_topic.topic])
    with pytest.raises(Refused) as denied:
        guest.until(lambda: False, refused)
    assert denied.value.code == "GROUP_AUTHORIZATION_FAILED"
    refused.consumer.close()  # else it joins as soon as it may, and holds the only partition
    _allow(guarded, ResourceType.GROUP, group, AclOperation.READ)
    member = _permitted(guest, group, open_topic.topic)

    _allow(guarded, ResourceType.TOPIC, closed_topic.topic, AclOperation.DESCRIBE)
    producer = guest.producer(name)
    producer.begin()
    producer.produce(OutputRecord(closed_topic.topic, None, b"no", 0))
    with pytest.raises(Refused) as denied:
        producer.commit(PATIENCE)
    assert denied.value.code == "TOPIC_AUTHORIZATION_FAILED"
    with pytest.raises(ProducerFatal):  # librdkafka ends a transaction that the broker never knew
        producer.abort(PATIENCE)
    producer = guest.producer(name)
    producer.begin()
    producer.produce(OutputRecord(open_topic.topic, None, b"yes", 0))
    producer.send_offsets({open_topic: at(1)}, member.consumer.group_metadata(), PATIENCE)
    producer.commit(PATIENCE)
    assert owner.read(open_topic) == [b"yes"]
    guest.close()
    owner.close()


def test_a_property_the_client_does_not_know_is_named() -> None:
    with pytest.raises(LogError, match=r"kafka\.client: No such configuration property"):
        KafkaLog("127.0.0.1:1", {"no.such.thing": "1"}).reader()


def test_a_reader_of_a_broker_that_is_gone_does_not_wait_for_ever() -> None:
    reader = KafkaLog(f"127.0.0.1:{_port()}").reader()
    with pytest.raises(LogError):
        reader.bounds(TopicPartition("t", 0), 0.5)
    with pytest.raises(Unreachable):
        list(reader.read(TopicPartition("t", 0), 0, 5, 0.5))
    reader.close()
