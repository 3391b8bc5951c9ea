"""doctor's findings over the in-memory log: each a sentence with its remedy, and the exit code that follows."""

from __future__ import annotations

import json
import zlib

import pytest
from structlog.testing import capture_logs

from schemas import Config
from streams.commands.doctor import examine
from streams.commands.findings import Finding
from streams.commands.run import tell_of_topics
from streams.log import MemoryLog, Refused, Unreachable
from streams.partitioner import partition_of
from streams.worker import Exit, prepare

NOW = 1_795_300_000_000
CONFIG = Config()


def cluster(partitions: int = 4) -> MemoryLog:
    log = MemoryLog(clock=NOW)
    for name in ("predictions", "labels"):
        log.create_topic(name, partitions, {"message.timestamp.after.max.ms": "3600000"})
    return log


def predict(log: MemoryLog, count: int = 40, partitioner: str = "murmur2", **changes: object) -> None:
    for i in range(count):
        key = f"id-{i}"
        event = {"prediction_id": key, "model": "m", "timestamp": NOW, "prediction": 1, **changes}
        at = zlib.crc32(key.encode()) % 4 if partitioner == "crc32" else partition_of(key.encode(), 4)
        log.append("predictions", json.dumps(event).encode(), partition=at, timestamp=NOW + i * 100)


def look(log: MemoryLog, config: Config = CONFIG) -> tuple[list[Finding], Exit]:
    found = list(examine(config, log, NOW))
    return found, max(finding.exit for finding in found)


def bad(found: list[Finding]) -> list[str]:
    return [finding.text for finding in found if finding.level == "bad"]


def test_a_healthy_cluster_has_nothing_bad_and_exit_0() -> None:
    log = cluster()
    predict(log)
    found, code = look(log)
    assert bad(found) == []
    assert code is Exit.DONE
    assert any("where murmur2 puts them" in finding.text for finding in found)
    assert any("at 9.9 predictions/s" in finding.text or "predictions/s, held for" in finding.text for finding in found)


def test_keys_placed_by_librdkafka_s_default_are_recognised() -> None:
    log = cluster()
    predict(log, partitioner="crc32")
    found, code = look(log)
    (text,) = bad(found)
    assert "set partitioner: crc32" in text and "murmur2_random" in text
    assert code is Exit.USAGE
    assert bad(look(log, Config(partitioner="crc32"))[0]) == []


def test_keys_placed_by_nothing_we_know_are_told_by_their_share() -> None:
    log = cluster()
    for i in range(40):
        event = {"prediction_id": f"id-{i}", "model": "m", "timestamp": NOW, "prediction": 1}
        log.append("predictions", json.dumps(event).encode(), partition=i % 4)
    (text,) = bad(look(log)[0])
    assert "are not on the partition of their label_key" in text


def test_records_that_would_be_dead_letters_are_told_with_code_and_field() -> None:
    log = cluster()
    predict(log, prediction=None)
    (text,) = bad(look(log)[0])
    assert text.startswith("40 of the 40 newest records of predictions would be dead letters")
    assert "prediction" in text and "say under fields" in text


def test_a_clock_that_is_ahead_is_told() -> None:
    log = cluster()
    predict(log)
    log.append("predictions", b"{}", partition=0, timestamp=NOW + 300_000)
    assert any("5m ahead of this machine's clock" in text for text in bad(look(log)[0]))


def test_more_held_predictions_than_memory_is_told() -> None:
    log = cluster()
    predict(log)
    config = Config.model_validate({"state": {"memory": "1MiB"}})
    assert any("more than state.memory (1 MiB)" in text for text in bad(look(log, config)[0]))
    config = Config.model_validate({"state": {"memory": "1MiB", "directory": "/var/held"}})
    found = look(log, config)[0]
    assert not any("state.memory" in text for text in bad(found))
    assert any("what is beyond lies in /var/held" in finding.text for finding in found)


def test_a_missing_input_is_exit_3() -> None:
    log = MemoryLog()
    log.create_topic("labels", 4)
    found, code = look(log)
    assert any("the input topic predictions does not exist" in text for text in bad(found))
    assert code is Exit.KAFKA
    assert not any("predictions holds no records" in finding.text for finding in found)


@pytest.mark.parametrize(("error", "remedy"), [(Refused("no"), "kafka-acls"), (Unreachable("no answer"), "no answer")])
@pytest.mark.parametrize("step", ["admin", "init_transactions", "read"])
def test_what_kafka_refuses_is_a_finding_and_exit_3(step: str, error: Exception, remedy: str) -> None:
    log = cluster()
    log.fail_next(step, error)
    found, code = look(log)
    assert any(remedy in text for text in bad(found))
    assert code is Exit.KAFKA


def test_run_tells_at_its_start_what_of_the_topics_may_hurt() -> None:
    log = MemoryLog(clock=NOW)
    for name in ("predictions", "labels"):
        log.create_topic(name, 4)
    with capture_logs() as said:
        tell_of_topics(CONFIG, prepare(CONFIG, log.admin()))
    assert [each["event"] for each in said] == ["topic_problem"] * 2
    assert all("any time ahead" in each["problem"] for each in said)
    healthy = cluster()
    with capture_logs() as said:
        tell_of_topics(CONFIG, prepare(CONFIG, healthy.admin()))
    assert said == []
