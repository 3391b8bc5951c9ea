"""Topics: what is created, what is refused, and with which sentence."""

from __future__ import annotations

import pytest

from schemas import Config
from streams.log import MemoryLog
from streams.worker import Exit, KafkaRefuses, Misfit, describe, exit_code, prepare, problems

CONFIG = Config()


def cluster(predictions: int = 4, labels: int = 4, **config: str) -> MemoryLog:
    log = MemoryLog()
    bounded = {"message.timestamp.after.max.ms": "3600000"}
    log.create_topic("predictions", predictions, {**bounded, **{k.replace("_", "."): v for k, v in config.items()}})
    log.create_topic("labels", labels, bounded)
    return log


def texts(log: MemoryLog) -> list[str]:
    return [problem.text for problem in problems(CONFIG, describe(CONFIG, log.admin()))]


def test_run_creates_outputs_internals_and_control_with_the_contract_s_policies() -> None:
    log = cluster()
    layout = prepare(CONFIG, log.admin())
    found = {name: (info.partitions, info.config["cleanup.policy"]) for name, info in layout.found.items() if info}
    assert found == {
        "predictions": (4, "delete"),
        "labels": (4, "delete"),
        "control": (1, "compact"),
        "metrics": (4, "delete"),
        "alerts": (4, "compact,delete"),
        "dead-letters": (4, "delete"),
        "streamgauge-outcomes": (8, "delete"),
        "streamgauge-journal": (5, "delete"),
        "streamgauge-snapshots": (8, "compact"),
    }
    journal = layout.found["streamgauge-journal"]
    assert journal is not None and journal.config["retention.ms"] == "-1"
    assert not texts(log)


def test_a_missing_input_is_exit_3_and_is_not_created() -> None:
    log = MemoryLog()
    log.create_topic("predictions", 4)
    with pytest.raises(KafkaRefuses, match="the input topic labels does not exist") as problem:
        prepare(CONFIG, log.admin())
    assert exit_code(problem.value) is Exit.KAFKA
    assert not log.has_topic("labels") and not log.has_topic("metrics")


def test_unequal_partitions_are_exit_2_with_the_remedy() -> None:
    log = cluster(4, 6)
    with pytest.raises(Misfit, match="--alter --topic predictions --partitions 6") as problem:
        prepare(CONFIG, log.admin())
    assert exit_code(problem.value) is Exit.USAGE


def test_partitions_added_after_the_birth_are_exit_2() -> None:
    log = cluster()
    prepare(CONFIG, log.admin())
    for name in ("predictions", "labels"):
        log.delete_topic(name)
        log.create_topic(name, 6)
    with pytest.raises(Misfit, match="born with 4"):
        prepare(CONFIG, log.admin())


def test_outcomes_partitions_are_fixed_at_birth() -> None:
    log = cluster()
    prepare(CONFIG, log.admin())
    with pytest.raises(Misfit, match="set outcomes_partitions: 8"):
        prepare(Config(outcomes_partitions=4), log.admin())


def test_a_control_topic_of_several_partitions_is_refused() -> None:
    log = cluster()
    log.create_topic("control", 2)
    with pytest.raises(Misfit, match="must have one"):
        prepare(CONFIG, log.admin())


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ({"cleanup_policy": "compact"}, "compaction removes events"),
        ({"message_timestamp_after_max_ms": "9223372036854775807"}, "any time ahead"),
        ({"message_timestamp_after_max_ms": "7200000"}, "2h ahead"),
    ],
)
def test_inputs_that_could_hurt_are_told_but_do_not_keep_run_from_starting(setting: dict[str, str], part: str) -> None:
    log = cluster(**setting)
    assert any(part in text for text in texts(log))
    prepare(CONFIG, log.admin())


def test_log_append_time_needs_no_bound() -> None:
    log = cluster(message_timestamp_type="LogAppendTime", message_timestamp_after_max_ms="9223372036854775807")
    assert not texts(log)


def test_a_journal_that_expires_is_refused() -> None:
    log = cluster()
    log.create_topic("streamgauge-journal", 5, {"retention.ms": "604800000"})
    with pytest.raises(Misfit, match=r"retention\.ms=-1"):
        prepare(CONFIG, log.admin())


def test_a_journal_that_is_bounded_in_size_is_refused() -> None:
    log = cluster()
    log.create_topic("streamgauge-journal", 5, {"retention.ms": "-1", "retention.bytes": "1000000"})
    with pytest.raises(Misfit, match=r"retention\.bytes=-1"):
        prepare(CONFIG, log.admin())


@pytest.mark.parametrize(
    ("topic", "partitions", "policy"),
    [("snapshots", 8, "delete"), ("journal", 5, "compact"), ("outcomes", 8, "compact")],
)
def test_a_topic_of_state_whose_policy_deletes_some_of_it_is_refused(topic: str, partitions: int, policy: str) -> None:
    log = cluster()
    prepare(CONFIG, log.admin())
    log.delete_topic(f"streamgauge-{topic}")
    log.create_topic(f"streamgauge-{topic}", partitions, {"cleanup.policy": policy})
    with pytest.raises(Misfit, match=f"cleanup.policy={policy} and needs"):
        prepare(CONFIG, log.admin())
