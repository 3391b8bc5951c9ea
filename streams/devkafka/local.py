"""Apache Kafka on the local Java: its own ports and data directory, gone when the context ends or the process dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streams.devkafka.jars import DevKafkaUnavailable, fetch_jars, java
from streams.devkafka.probe import wait_until_ready

_CLUSTER_ID = "c3RyZWFtZ2F1Z2UtZGV2MQ"  # 16 bytes in base64
_ATTEMPTS = 3  # a free port may be taken before the broker binds it
_START_TIMEOUT = 180.0
_STOP_TIMEOUT = 15.0

# The broker ends, and its data with it, when the pipe on standard input closes: also when whoever started it is killed.
_GUARD = """
directory=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
broker=$!
(cat <&3 >/dev/null; kill $broker; while kill -0 $broker 2>/dev/null; do sleep 0.1; done; rm -rf "$directory") &
wait $broker
"""


@contextmanager
def local_kafka(
    brokers: int = 1, properties: Mapping[str, str] | None = None, format_arguments: Sequence[str] = ()
) -> Iterator[str]:
    """Bootstrap servers of a fresh cluster. `properties` go over the defaults, with {broker} and {controller} in their
    values standing for the ports; the PLAINTEXT listener must stay. `format_arguments` go to Kafka's StorageTool
    (e.g. --add-scram)."""
    jars, launcher = fetch_jars(), java()
    for attempt in range(_ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="dev-kafka-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
            try:
                cluster = _Cluster(Path(name), jars, launcher, brokers, properties or {}, format_arguments)
                servers = cluster.start(stack)
            except DevKafkaUnavailable:
                if attempt + 1 == _ATTEMPTS:
                    raise
                continue
            yield servers
            return


class _Cluster:
    """Configuration and processes of one cluster."""

    def __init__(
        self,
        directory: Path,
        jars: Path,
        launcher: str,
        brokers: int,
        properties: Mapping[str, str],
        format_arguments: Sequence[str],
    ) -> None:
        self._directory = directory
        self._java = [launcher, "-cp", f"{jars}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self._brokers = brokers
        self._properties = properties
        self._format_arguments = format_arguments
        ports = free_ports(2 * brokers)
        self._ports, self._controller_ports = ports[:brokers], ports[brokers:]

    def start(self, stack: ExitStack) -> str:
        """Start every broker, wait until the client sees them all; `stack` stops them."""
        for i in range(self._brokers):
            config = self._directory / f"broker-{i}.properties"
            config.write_text("".join(f"{name}={value}\n" for name, value in self._config(i).items()))
            self._format(config)
        processes = [stack.enter_context(self._running(i)) for i in range(self._brokers)]
        servers = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        alive = lambda: all(process.poll() is None for process in processes)  # noqa: E731
        if not wait_until_ready(servers, self._brokers, _START_TIMEOUT, alive=alive):
            raise DevKafkaUnavailable(f"Apache Kafka did not start: {self._complaint()}")
        return servers

    def _config(self, i: int) -> dict[str, str]:
        several = self._brokers > 1
        copies = str(min(self._brokers, 3))
        in_sync = "2" if self._brokers >= 3 else "1"
        voters = ",".join(f"{j + 1}@127.0.0.1:{port}" for j, port in enumerate(self._controller_ports))
        quorum = (
            {"controller.quorum.voters": voters}
            if several
            else {"controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_ports[0]}"}
        )
        return {
            "process.roles": "broker,controller",
            "node.id": str(i + 1),
            "listeners": f"PLAINTEXT://127.0.0.1:{self._ports[i]},CONTROLLER://127.0.0.1:{self._controller_ports[i]}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._ports[i]}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            **quorum,
            "log.dirs": str(self._directory / f"data-{i}"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": "4",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # A broker that is killed is given up after 3 s instead of 9 (only a cluster has someone to notice).
            **({"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"} if several else {}),
            **{
                name: value.replace("{broker}", str(self._ports[i])).replace(
                    "{controller}", str(self._controller_ports[i])
                )
                for name, value in self._properties.items()
            },
        }

    def _format(self, config: Path) -> None:
        standalone = [] if self._brokers > 1 else ["--standalone"]
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]  # it lives for a second
        command = [
            *self._java,
            *quick,
            "kafka.tools.StorageTool",
            "format",
            *standalone,
            "-t",
            _CLUSTER_ID,
            "-c",
            str(config),
        ]
        done = subprocess.run(
            [*command, *self._format_arguments], capture_output=True, text=True, check=False, timeout=_START_TIMEOUT
        )
        if done.returncode != 0:
            raise DevKafkaUnavailable(f"Apache Kafka's storage could not be formatted: {done.stderr.strip()[-500:]}")

    @contextmanager
    def _running(self, i: int) -> Iterator[subprocess.Popen[bytes]]:
        heap = ["-Xmx256m", "-XX:+UseSerialGC"] if self._brokers > 1 else ["-Xmx512m"]
        config = str(self._directory / f"broker-{i}.properties")
        command = ["sh", "-c", _GUARD, "dev-kafka", str(self._directory), *self._java, *heap, "kafka.Kafka", config]
        with (self._directory / f"broker-{i}.log").open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            yield process
        finally:
            assert process.stdin is not None
            if self._brokers > 1:
                # Each would wait for a quorum that is going away as well; nothing of it is kept anyway.
                os.killpg(process.pid, signal.SIGKILL)
            process.stdin.close()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _complaint(self) -> str:
        lines = [
            line
            for i in range(self._brokers)
            for line in (self._directory / f"broker-{i}.log").read_text(errors="replace").splitlines()
        ]
        return next((line for line in reversed(lines) if "ERROR" in line or "Exception" in line), "it gave no reason")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
