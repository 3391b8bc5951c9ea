"""A real Apache Kafka that asks everyone who they are and lets them do nothing: SASL_SSL, SCRAM, ACLs, no defaults.

The plain listener is the tests' own (ANONYMOUS is a super user there, as in no cluster of anyone's).
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from streams.devkafka import local_kafka
from tests.service import wait_until

PASSWORD = "canary-password-4711"
USERS = ("app", "denied")
_STORE_PASSWORD = "secret-of-tests"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Acl:
    """One permission of a user's."""

    user: str
    kind: str
    name: str
    prefixed: bool
    operation: str

    def binding(self) -> AclBinding:
        """As the admin client takes it."""
        pattern = ResourcePatternType.PREFIXED if self.prefixed else ResourcePatternType.LITERAL
        kind = ResourceType[self.kind.upper().replace("-", "_")]
        operation = AclOperation[_upper(self.operation)]
        return AclBinding(kind, self.name, pattern, f"User:{self.user}", "*", operation, AclPermissionType.ALLOW)


def _upper(name: str) -> str:
    """DescribeConfigs as the client's enumeration has it."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).removeprefix("_")


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """Its addresses, and the certificates to trust it by (and not to)."""

    plain: str
    secured: str
    certificate: Path
    another_certificate: Path

    def client(self, user: str, **changes: Any) -> dict[str, Any]:
        """kafka.client of a configuration for `user`; `changes` use _ for dots."""
        properties = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self.certificate),
        }
        return properties | {name.replace("_", "."): value for name, value in changes.items()}

    def allow_only(self, user: str, acls: Sequence[Acl]) -> None:
        """Grant the user these and nothing else, and wait until the broker goes by it."""
        admin = AdminClient({"bootstrap.servers": self.plain, "log_level": 0})
        of_user = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None, AclOperation.ANY,
            AclPermissionType.ANY,
        )  # fmt: skip
        for future in admin.delete_acls([of_user]).values():
            future.result(_TIMEOUT)
        for future in admin.create_acls([acl.binding() for acl in acls]).values() if acls else ():
            future.result(_TIMEOUT)
        wait_until(lambda: len(admin.describe_acls(of_user).result(_TIMEOUT)) == len(set(acls)), 10, "the ACLs hold")


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """One broker, for as long as the context lasts."""
    store, certificate = _certificate(folder, "broker")
    _, another = _certificate(folder, "stranger")
    port = _free_port()
    listener = f"SECURED://127.0.0.1:{port}"
    properties = {
        "listeners": "PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}," + listener,
        "advertised.listeners": "PLAINTEXT://127.0.0.1:{broker}," + listener,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secured.scram-sha-512.sasl.jaas.config": _SCRAM,
        "listener.name.secured.ssl.keystore.type": "PKCS12",
        "listener.name.secured.ssl.keystore.location": str(store),
        "listener.name.secured.ssl.keystore.password": _STORE_PASSWORD,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",
    }
    scram: list[str] = []
    for user in USERS:
        scram += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD},iterations=4096]"]
    with local_kafka(properties=properties, format_arguments=scram) as plain:
        yield SecuredKafka(plain, f"127.0.0.1:{port}", certificate, another)


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """(key store, certificate as PEM), signed by itself, by Java's keytool."""
    store, pem = folder / f"{name}.p12", folder / f"{name}.pem"
    place = ["-alias", name, "-storetype", "PKCS12", "-keystore", str(store), "-storepass", _STORE_PASSWORD]
    subject = ["-dname", f"CN={name}", "-ext", "SAN=ip:127.0.0.1", "-keyalg", "EC"]
    quick = "-J-XX:TieredStopAtLevel=1"
    subprocess.run(["keytool", quick, "-genkeypair", *place, *subject], check=True, capture_output=True)
    subprocess.run(
        ["keytool", quick, "-exportcert", "-rfc", *place, "-file", str(pem)], check=True, capture_output=True
    )
    return store, pem


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
