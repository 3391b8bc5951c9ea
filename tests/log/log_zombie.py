"""A worker in a process of its own that can be stopped and woken: the zombie of the fencing tests.

Run as `python log_zombie.py BOOTSTRAP GROUP TOPIC INSTANCE TRANSACTIONAL_ID`. It joins, says "joined", waits for a line
on standard input, then tries to commit an offset and a record, and says what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from log_cluster import PATIENCE, KafkaCluster, at

from streams.log import LogError
from streams.records import OutputRecord, TopicPartition


class Zombie:
    """The parent's side."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str, instance: str | None, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, bootstrap_servers, group, topic, instance or "", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def heard(self) -> dict[str, object]:
        """The next thing it says."""
        assert self.process.stdout is not None
        found: dict[str, object] = json.loads(self.process.stdout.readline())
        return found

    def go_on(self) -> None:
        """Let it try."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def main(bootstrap_servers: str, group: str, topic: str, instance: str, name: str) -> None:
    cluster = KafkaCluster(bootstrap_servers, {"transaction.timeout.ms": 60_000})
    member = cluster.member(group, [topic], instance or None)
    source = TopicPartition(topic, 0)
    cluster.until(lambda: bool(member.owns()), member)
    metadata = member.consumer.group_metadata()
    producer = cluster.producer(name)
    producer.begin()
    producer.produce(OutputRecord(topic, None, b"zombie", 0))
    print(json.dumps({"said": "joined", "generation": metadata.generation}), flush=True)
    sys.stdin.readline()
    try:
        producer.send_offsets({source: at(99, "zombie")}, metadata, PATIENCE)
        producer.commit(PATIENCE)
        said = {"said": "committed"}
    except LogError as error:
        said = {"said": type(error).__name__, "code": error.code}
    print(json.dumps(said), flush=True)
    cluster.until(lambda: "lost" in member.watch.names() or instance != "", member)
    print(json.dumps({"said": member.watch.names()}), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(*sys.argv[1:])
