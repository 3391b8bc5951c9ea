"""The least that Kafka must let each command do: what `doctor --acls` prints, and what doctor and `run` look for.

Which request asks for which operation is Kafka's own table ("Operations and Resources on Protocols" in its
documentation). Read, Write and Delete imply Describe; DescribeConfigs is for the checks that `run` begins with. A
producer with a transactional id needs no IdempotentWrite on the cluster (KIP-679).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from schemas import Config
from streams.log import Admin

Kind = Literal["topic", "group", "transactional-id"]


@dataclass(frozen=True, slots=True)
class Permission:
    """Operations on one resource, named as kafka-acls names them."""

    kind: Kind
    name: str
    operations: frozenset[str]
    prefixed: bool = False


def permissions(config: Config) -> dict[str, list[Permission]]:
    """What each command must be allowed, by the command's name."""
    topics = config.topics
    inputs = {topics.predictions, topics.labels, topics.control}
    outputs = {topics.metrics, topics.alerts, topics.dead_letters}
    own = {config.outcomes_topic, config.journal_topic, config.snapshots_topic}
    looked_at = frozenset({"Describe", "DescribeConfigs"})
    every = {name: looked_at for names in (inputs, outputs, own) for name in sorted(names)}
    join = {
        **{name: {"Read"} for name in inputs},
        config.journal_topic: {"Read", "Write", "Delete"},
        config.snapshots_topic: {"Read", "Write"},
        config.outcomes_topic: {"Write"},
        topics.dead_letters: {"Write"},
    }
    gauge = {
        config.outcomes_topic: {"Read"},
        config.snapshots_topic: {"Read", "Write"},
        topics.metrics: {"Write"},
        topics.alerts: {"Write"},
    }
    both = {name: join.get(name, set()) | gauge.get(name, set()) for name in every}
    groups = [config.join_group, config.gauge_group]
    made = {name: {"Create"} for name in every if name not in {topics.predictions, topics.labels}}
    sampled = {topics.predictions: {"Read"}, topics.labels: {"Read"}}
    return {
        "run": [*_topics(every, both), *_groups(groups, "Read"), *_ids(config, "join", "gauge")],
        "run --stage join": [*_topics(every, join), *_groups(groups[:1], "Read"), *_ids(config, "join")],
        "run --stage gauge": [*_topics(every, gauge), *_groups(groups[1:], "Read"), *_ids(config, "gauge")],
        "topics create": _topics(every, made),
        "topics check": _topics(every, {}),
        "topics delete": [*_deletions(own), *_groups(groups, "Delete")],
        "topics delete --outputs": [*_deletions(outputs | own), *_groups(groups, "Delete")],
        "doctor": [*_topics(every, sampled), *_groups(groups, "Describe"), *_ids(config, "join", "gauge")],
    }


def transactional_prefix(config: Config, stage: str) -> str:
    """What the transactional ids of a stage begin with."""
    return f"{config.kafka.application_id}-{stage}-"


def _topics(base: Mapping[str, frozenset[str]], more: Mapping[str, set[str]]) -> list[Permission]:
    found = []
    for name, operations in base.items():
        wanted = operations | more.get(name, set())
        if wanted & {"Read", "Write", "Delete"}:
            wanted -= {"Describe"}  # implied
        found.append(Permission("topic", name, wanted))
    return found


def _deletions(names: Iterable[str]) -> Iterator[Permission]:
    return (Permission("topic", name, frozenset({"Delete"})) for name in sorted(names))


def _groups(names: Iterable[str], operation: str) -> Iterator[Permission]:
    return (Permission("group", name, frozenset({operation})) for name in names)


def _ids(config: Config, *stages: str) -> Iterator[Permission]:
    for stage in stages:
        yield Permission("transactional-id", transactional_prefix(config, stage), frozenset({"Write"}), prefixed=True)


def lacking(config: Config, command: str, admin: Admin, topics: Iterable[str], timeout: float) -> list[Permission]:
    """What `command` must be allowed and is not, of its groups and of those of `topics` that exist. Whether a
    transactional id may be used is known only to who tries."""
    wanted = permissions(config)[command]
    groups = [each.name for each in wanted if each.kind == "group"]
    allowed: dict[Kind, dict[str, frozenset[str]]] = {
        "topic": admin.allowed(sorted(topics), timeout),
        "group": admin.allowed_groups(groups, timeout),
    }
    found = []
    for each in wanted:
        operations = allowed.get(each.kind, {}).get(each.name)
        if operations is not None:
            denied = frozenset(name for name in each.operations if _shouted(name) not in operations)
            if denied:
                found.append(replace(each, operations=denied))
    return found


def _shouted(operation: str) -> str:
    """DescribeConfigs as DESCRIBE_CONFIGS."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()


def principal_of(config: Config) -> str:
    """Who we are to Kafka, where the configuration says it."""
    return f"User:{config.kafka.client.get('sasl.username', 'NAME')}"


def kafka_acls(wanted: Iterable[Permission], principal: str, bootstrap: str) -> list[str]:
    """Command lines of Kafka's own tool that grant these, one for all resources with the same operations."""
    alike: dict[tuple[Kind, bool, frozenset[str]], list[str]] = {}
    for each in wanted:
        alike.setdefault((each.kind, each.prefixed, each.operations), []).append(each.name)
    lines = []
    for (kind, prefixed, operations), names in alike.items():
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal]
        for operation in sorted(operations):
            words += ["--operation", operation]
        for name in names:
            words += [f"--{kind}", name]
        if prefixed:
            words += ["--resource-pattern-type", "prefixed"]
        lines.append(shlex.join(words))
    return lines
