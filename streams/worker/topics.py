"""The topics an application needs: how each must be, what is wrong with those there are, and creating the missing.

Input topics belong to those who write them: they are checked, never created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas import Config, format_duration
from streams.log import Admin, TopicInfo
from streams.worker.errors import KafkaRefuses, Misfit

TIMEOUT = 30.0
_WEEK = str(7 * 86_400_000)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic of ours to be created: how many partitions, with which configuration."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not fit. `fatal` keeps `run` from starting; the rest is for `doctor` and `topics check`."""

    text: str
    fatal: bool
    exit_kafka: bool = False  # a topic is missing, rather than wrong

    def error(self) -> Misfit | KafkaRefuses:
        """As the exception that ends a command."""
        return KafkaRefuses(self.text) if self.exit_kafka else Misfit(self.text)


@dataclass(frozen=True, slots=True)
class Layout:
    """The topics as they are. `partitions` is the count of the inputs; 0 where they are missing."""

    found: Mapping[str, TopicInfo | None]
    partitions: int


def describe(config: Config, admin: Admin) -> Layout:
    """Ask the cluster about every topic of the application."""
    topics = config.topics
    names = [topics.predictions, topics.labels, topics.control, topics.metrics, topics.alerts, topics.dead_letters,
             config.outcomes_topic, config.journal_topic, config.snapshots_topic]  # fmt: skip
    found = admin.describe(names, TIMEOUT)
    predictions = found[topics.predictions]
    return Layout(found, 0 if predictions is None else predictions.partitions)


def wanted(config: Config, partitions: int) -> list[Wanted]:
    """The topics of ours, given the partition count of the inputs."""
    topics = config.topics
    delete = {"cleanup.policy": "delete"}
    return [
        Wanted(topics.control, 1, {"cleanup.policy": "compact"}),
        Wanted(topics.metrics, partitions, delete),
        Wanted(topics.alerts, partitions, {"cleanup.policy": "compact,delete", "retention.ms": "-1"}),
        Wanted(topics.dead_letters, partitions, delete),
        Wanted(config.outcomes_topic, config.outcomes_partitions, {**delete, "retention.ms": _WEEK}),
        Wanted(config.journal_topic, partitions + 1, {**delete, "retention.ms": "-1", "retention.bytes": "-1"}),
        Wanted(config.snapshots_topic, config.outcomes_partitions, {"cleanup.policy": "compact"}),
    ]


def missing(config: Config, layout: Layout) -> list[Wanted]:
    """Those of ours that are not there."""
    return [each for each in wanted(config, layout.partitions) if layout.found[each.name] is None]


def create_missing(config: Config, layout: Layout, admin: Admin, replication: int | None = None) -> list[str]:
    """Create what is missing of ours; returns the names. Raises Refused where Kafka does not let us."""
    made = []
    for each in missing(config, layout):
        admin.create(each.name, each.partitions, each.config, replication, TIMEOUT)
        made.append(each.name)
    return made


def problems(config: Config, layout: Layout) -> list[Problem]:
    """What does not fit among the topics that are there, and the inputs that are not. The gravest first."""
    return [*_input_problems(config, layout), *_own_problems(config, layout)]


def _input_problems(config: Config, layout: Layout) -> list[Problem]:
    topics = config.topics
    inputs = {name: layout.found[name] for name in (topics.predictions, topics.labels)}
    absent = [
        Problem(
            f"the input topic {name} does not exist: create it (kafka-topics --create --topic {name} --partitions …) "
            "or set its name under topics in the configuration",
            fatal=True,
            exit_kafka=True,
        )
        for name, info in inputs.items()
        if info is None
    ]
    if absent:
        return absent
    found = [*_uneven(inputs)]
    for name, info in inputs.items():
        assert info is not None
        found += _policy_problems(name, info) + _timestamp_problems(name, info, config.defaults.join.max_future)
    return found


def _uneven(inputs: Mapping[str, TopicInfo | None]) -> list[Problem]:
    (first, one), (second, other) = inputs.items()
    assert one is not None and other is not None
    if one.partitions == other.partitions:
        return []
    smaller, larger = sorted([(one.partitions, first), (other.partitions, second)])
    return [
        Problem(
            f"{first} has {one.partitions} partitions and {second} has {other.partitions}: the same key must be on the "
            f"same partition of both; before the first event, raise the smaller one "
            f"(kafka-topics --alter --topic {smaller[1]} --partitions {larger[0]}), else create {smaller[1]} anew",
            fatal=True,
        )
    ]


def _policy_problems(name: str, info: TopicInfo) -> list[Problem]:
    policy = info.config.get("cleanup.policy", "delete")
    if policy == "delete":
        return []
    return [
        Problem(
            f"{name} has cleanup.policy={policy}: compaction removes events before they are joined; "
            f"set it to delete (kafka-configs --alter --topic {name} --add-config cleanup.policy=delete)",
            fatal=False,
        )
    ]


def _timestamp_problems(name: str, info: TopicInfo, max_future: int) -> list[Problem]:
    if info.config.get("message.timestamp.type") == "LogAppendTime":
        return []
    bound = info.config.get("message.timestamp.after.max.ms")
    if bound is not None and int(bound) <= max_future:
        return []
    return [
        Problem(
            f"{name} takes records with timestamps up to {_span(bound)} ahead of the broker's clock, more than "
            f"max_future ({format_duration(max_future)}): one wrong clock could end windows early; "
            f"set it (kafka-configs --alter --topic {name} --add-config message.timestamp.after.max.ms={max_future})",
            fatal=False,
        )
    ]


def _span(bound: str | None) -> str:
    if bound is None or int(bound) > 365 * 86_400_000:
        return "any time"
    return format_duration(int(bound))


def _own_problems(config: Config, layout: Layout) -> list[Problem]:
    found: list[Problem] = []
    for each in wanted(config, layout.partitions) if layout.partitions else []:
        info = layout.found[each.name]
        if info is None:
            continue
        if info.partitions != each.partitions:
            problem = _count_problem(config, each, info)
            if problem is not None:
                found.append(problem)
        found += _own_policy_problems(each, info, holds_state=each.name in config.internal_topics)
    return found


def _count_problem(config: Config, each: Wanted, info: TopicInfo) -> Problem | None:
    if each.name == config.topics.control:
        return Problem(
            f"{each.name} has {info.partitions} partitions and must have one, so that control records have one order: "
            "create it anew with one, or set topics.control to another name",
            fatal=True,
        )
    if each.name == config.journal_topic:
        return Problem(
            f"{config.topics.predictions} has {each.partitions - 1} partitions, but {config.kafka.application_id} was "
            f"born with {info.partitions - 1} (its journal {each.name} says so): keys have moved; start anew under "
            "another kafka.application_id",
            fatal=True,
        )
    if each.name in {config.outcomes_topic, config.snapshots_topic}:
        return Problem(
            f"{each.name} has {info.partitions} partitions, the configuration says {each.partitions}: the number is "
            f"fixed at birth; set outcomes_partitions: {info.partitions}",
            fatal=True,
        )
    return None  # metrics, alerts and dead letters may have as many as their readers like


def _own_policy_problems(each: Wanted, info: TopicInfo, *, holds_state: bool) -> list[Problem]:
    """Of a topic that state is restored from, what would delete some of it keeps `run` from starting."""
    policy = info.config.get("cleanup.policy")
    want = each.config["cleanup.policy"]
    found = []
    if policy is not None and set(policy.split(",")) != set(want.split(",")):
        why = ", else state is deleted that the next start needs" if holds_state else ""
        found.append(
            Problem(
                f"{each.name} has cleanup.policy={policy} and needs {want}{why}: kafka-configs --alter --topic "
                f"{each.name} --add-config cleanup.policy=[{want}]",
                fatal=holds_state,
            )
        )
    for name in ("retention.ms", "retention.bytes") if "retention.bytes" in each.config else ():
        if info.config.get(name, "-1") != "-1":
            found.append(
                Problem(
                    f"{each.name} has {name}={info.config[name]}, so held predictions would be lost: "
                    f"kafka-configs --alter --topic {each.name} --add-config {name}=-1",
                    fatal=True,
                )
            )
    return found


def prepare(config: Config, admin: Admin) -> Layout:
    """What `run` does before it starts: refuse what cannot work, create what is missing of ours."""
    layout = describe(config, admin)
    for problem in problems(config, layout):
        if problem.fatal:
            raise problem.error()
    if create_missing(config, layout, admin):
        return describe(config, admin)
    return layout
