"""Apache Kafka on the local Java: its own ports and data directory, gone when the context ends or the process dies."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from streams.devkafka.jars import DevKafkaUnavailable, fetch_jars, java
from streams.devkafka.probe import wait_until_ready

_CLUSTER_ID = "c3RyZWFtZ2F1Z2UtZGV2MQ"  # 16 bytes in base64
_META = "meta.properties"
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
    with local_cluster(brokers, properties, format_arguments) as cluster:
        yield cluster.servers


@contextmanager
def local_cluster(
    brokers: int = 3, properties: Mapping[str, str] | None = None, format_arguments: Sequence[str] = ()
) -> Iterator[LocalCluster]:
    """A fresh cluster, as of local_kafka, whose brokers can be killed and started again."""
    jars, launcher = fetch_jars(), java()
    for attempt in range(_ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="dev-kafka-", ignore_cleanup_errors=True) as name:
            cluster = LocalCluster(Path(name), jars, launcher, brokers, properties or {}, format_arguments)
            try:
                try:
                    cluster.start_all()
                except DevKafkaUnavailable:
                    if attempt + 1 == _ATTEMPTS:
                        raise
                    continue
                yield cluster
                return
            finally:
                cluster.close()


class LocalCluster:
    """Configuration and processes of one cluster. Brokers go by their number, from 0."""

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
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.servers = ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every broker, whether it runs or not."""
        return [("127.0.0.1", port) for port in self._ports]

    @property
    def running(self) -> list[int]:
        """The brokers whose processes live."""
        return [i for i, process in sorted(self._processes.items()) if process.poll() is None]

    def start_all(self) -> None:
        """Format the storage, start every broker, wait until the client sees them all."""
        self._format()
        for i in range(self._brokers):
            self._spawn(i)
        self._wait()

    def kill(self, i: int) -> None:
        """SIGKILL: nothing of the broker gets to clean up. Its data stay."""
        self._reap(self._processes[i])

    def stop(self, i: int) -> None:
        """SIGTERM: the broker hands over what it leads, and ends. Its data stay."""
        process = self._processes[i]
        for child in psutil.Process(process.pid).children():
            if child.name() == "java":
                child.terminate()
        process.wait(_START_TIMEOUT)
        self._reap(process)

    def start(self, i: int) -> None:
        """Start a broker that was killed or stopped, and wait until the client sees it."""
        assert i not in self.running, f"broker {i} runs"
        self._spawn(i)
        self._wait()

    def close(self) -> None:
        """End every broker."""
        for process in self._processes.values():
            if self._brokers > 1:
                # Each would wait for a quorum that is going away as well; nothing of it is kept anyway.
                self._reap(process)
                continue
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._reap(process)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of a broker, its guard first of all: that one would remove the data."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def _wait(self) -> None:
        running = self.running
        servers = ",".join(f"127.0.0.1:{self._ports[i]}" for i in running)
        alive = lambda: self.running == running  # noqa: E731
        if not wait_until_ready(servers, len(running), _START_TIMEOUT, alive=alive):
            raise DevKafkaUnavailable(f"Apache Kafka did not start: {self._complaint()}")

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

    def _format(self) -> None:
        """Format the first broker's storage; the others' is a copy under their own names, which spares their tools."""
        configs = [self._directory / f"broker-{i}.properties" for i in range(self._brokers)]
        for i, config in enumerate(configs):
            config.write_text("".join(f"{name}={value}\n" for name, value in self._config(i).items()))
        standalone = [] if self._brokers > 1 else ["--standalone"]
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]  # it lives for a second
        tool = [*self._java, *quick, "kafka.tools.StorageTool", "format", *standalone, "-t", _CLUSTER_ID]
        command = [*tool, "-c", str(configs[0]), *self._format_arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_START_TIMEOUT)
        if done.returncode != 0:
            raise DevKafkaUnavailable(f"Apache Kafka's storage could not be formatted: {done.stderr.strip()[-500:]}")
        first = self._directory / "data-0"
        for i in range(1, self._brokers):
            other = self._directory / f"data-{i}"
            shutil.copytree(first, other)
            own = {"node.id": str(i + 1), "directory.id": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]}
            told = dict(line.split("=", 1) for line in (first / _META).read_text().splitlines() if "=" in line)
            (other / _META).write_text("".join(f"{name}={value}\n" for name, value in (told | own).items()))

    def _spawn(self, i: int) -> None:
        # Several are there to be broken, not to be fast: small, and quick to start.
        small = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        heap = small if self._brokers > 1 else ["-Xmx512m"]
        config = str(self._directory / f"broker-{i}.properties")
        command = ["sh", "-c", _GUARD, "dev-kafka", str(self._directory), *self._java, *heap, "kafka.Kafka", config]
        with (self._directory / f"broker-{i}.log").open("ab") as output:
            self._processes[i] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

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
