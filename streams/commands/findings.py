"""What doctor looks at: one function a question, each giving findings, each finding a sentence with its remedy.

They see the log's interface alone, so that they run over the in-memory log as over Kafka. What is compiled is imported
where records are looked at: the other commands need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from schemas import Config, format_duration
from streams.commands.permissions import kafka_acls, lacking, principal_of
from streams.log import Admin, LogError, Reader, Refused, WrongProperty
from streams.records import Int64Array, RecordBatch, TopicPartition
from streams.worker import Exit, Layout, missing, problems, sentence

if TYPE_CHECKING:
    from streams.decode import Packed, Refusal
    from streams.partitioner import Partitioner

TIMEOUT = 15.0
SAMPLE = 200
"""Newest records read of each input partition."""
BYTES_HELD = 150
"""Of a held prediction, beside its key (the benchmark page says what was measured)."""
_CLOCKS_APART = 60_000
Level = Literal["good", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence. `exit` is the code that it asks for; the highest that any finding asks for is doctor's."""

    level: Level
    text: str
    exit: Exit = Exit.DONE


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest records of the inputs, with the label keys that were found in them."""

    batch: RecordBatch
    keys: Packed
    refusals: list[Refusal]


def topic_findings(config: Config, layout: Layout) -> Iterator[Finding]:
    """Existence, partition counts, cleanup, timestamps."""
    found = problems(config, layout)
    for problem in found:
        yield Finding("bad", problem.text, Exit.KAFKA if problem.exit_kafka else Exit.USAGE)
    if not found:
        yield Finding("good", f"the topics fit: predictions and labels have {layout.partitions} partitions each")
    absent = [each.name for each in missing(config, layout)] if layout.partitions else []
    if absent:
        yield Finding("note", f"not there yet, `run` or `topics create` creates them: {', '.join(absent)}")


def permission_findings(config: Config, layout: Layout, admin: Admin) -> Iterator[Finding]:
    """Whether `run` may do what it must with the topics that are there, and with its groups."""
    present = [name for name, info in layout.found.items() if info is not None]
    denied = lacking(config, "run", admin, present, TIMEOUT)
    for each in denied:
        line = kafka_acls([each], principal_of(config), config.kafka.bootstrap_servers)[0]
        what = f"{' or '.join(sorted(each.operations))} the {each.kind} {each.name}"
        yield Finding("bad", f"we may not {what}: {line}", Exit.KAFKA)
    if not denied:
        yield Finding("good", "reading and writing the topics that are there is allowed, and our groups are")


def samples(config: Config, layout: Layout, reader: Reader) -> dict[str, list[Sample]]:
    """The newest records of every partition of the inputs, decoded as the join stage does."""
    from streams.decode import LabelDecoder, PredictionDecoder, Strings

    predictions, labels = PredictionDecoder.from_config(config), LabelDecoder.from_config(config)
    found: dict[str, list[Sample]] = {}
    for topic, decoder in ((config.topics.predictions, predictions), (config.topics.labels, labels)):
        info = layout.found[topic]
        taken = found.setdefault(topic, [])
        for number in range(0 if info is None else info.partitions):
            partition = TopicPartition(topic, number)
            low, end = reader.bounds(partition, TIMEOUT)
            for batch in reader.read(partition, max(low, end - SAMPLE), end, TIMEOUT):
                decoded = decoder.decode(batch, Strings())
                taken.append(Sample(batch, decoded.columns.label_key, decoded.refusals))
    return found


def sample_findings(config: Config, layout: Layout, taken: dict[str, list[Sample]], now: int) -> Iterator[Finding]:
    """What real records say: whether they can be read, where their keys are, and what time they think it is."""
    for topic, parts in taken.items():
        if layout.found[topic] is None:
            continue  # said already
        total = sum(len(part.batch) for part in parts)
        if not total:
            yield Finding("note", f"{topic} holds no records yet: its keys and clocks could not be looked at")
            continue
        yield from _readable(topic, parts, total)
        yield from _partitioned(config, topic, parts, layout.partitions)
        newest = max(int(part.batch.timestamps.max()) for part in parts)
        if newest > now + _CLOCKS_APART:
            yield Finding(
                "bad",
                f"the newest record of {topic} is {format_duration((newest - now) // 1000 * 1000)} ahead of this "
                "machine's clock: let both keep time by NTP",
            )


def _readable(topic: str, parts: list[Sample], total: int) -> Iterator[Finding]:
    refusals = [refusal for part in parts for refusal in part.refusals]
    if not refusals:
        yield Finding("good", f"all of the {total} newest records of {topic} can be read")
        return
    first = refusals[0]
    where = f" (field {first.field})" if first.field else ""
    yield Finding(
        "bad",
        f"{len(refusals)} of the {total} newest records of {topic} would be dead letters, the first for {first.code}"
        f"{where}: {first.message}; mend the producer, or say under fields where its own names are",
    )


def _partitioned(config: Config, topic: str, parts: list[Sample], partitions: int) -> Iterator[Finding]:
    rates = {each: _share(parts, partitions, each) for each in ("murmur2", "crc32")}
    ours = rates[config.partitioner]
    if ours is None or partitions == 1:
        return
    other: Partitioner = "crc32" if config.partitioner == "murmur2" else "murmur2"
    if ours == 1.0:
        yield Finding("good", f"the keys of {topic} are where {config.partitioner} puts them")
    elif rates[other] == 1.0:
        yield Finding(
            "bad",
            f"the keys of {topic} are where {other} puts them, not {config.partitioner}: set partitioner: {other}, or "
            "partitioner=murmur2_random in producers built on librdkafka, and the same for predictions and labels",
            Exit.USAGE,
        )
    else:
        yield Finding(
            "bad",
            f"{1 - ours:.0%} of the newest records of {topic} are not on the partition of their label_key: produce "
            "them with the label_key (else the prediction_id) as the Kafka key and one partitioner for both topics",
            Exit.USAGE,
        )


def _share(parts: list[Sample], partitions: int, partitioner: str) -> float | None:
    """The share of keys that are where the partitioner puts them; None without keys."""
    from streams.partitioner import partitions_of

    right = total = 0
    for part in parts:
        ends: Int64Array = part.keys.ends
        if len(ends):
            kind: Partitioner = "crc32" if partitioner == "crc32" else "murmur2"
            at = partitions_of(part.keys.data, ends, partitions, kind)
            right += int(np.count_nonzero(at == part.batch.source.partition))
            total += len(ends)
    return right / total if total else None


def memory_finding(config: Config, taken: dict[str, list[Sample]]) -> Finding:
    """What the held predictions will need: rate × (horizon + grace)."""
    parts = taken[config.topics.predictions]
    rate = sum(_rate(part.batch) for part in parts)
    joins = [config.defaults.join, *(config.model(name).join for name in config.models)]
    hold = max(join.horizon + join.grace for join in joins)
    if rate <= 0:
        return Finding("note", f"predictions are held for {format_duration(hold)}; their rate is not known yet")
    keys = sum(len(part.keys.data) for part in parts) / max(sum(len(part.keys.ends) for part in parts), 1)
    count = rate * hold / 1000
    need = count * (BYTES_HELD + keys)
    text = (
        f"at {rate:,.1f} predictions/s, held for horizon + grace ({format_duration(hold)}), about {count:,.0f} "
        f"are held at a time: {_size(need)} over all join tasks"
    )
    if need <= config.state.memory:
        return Finding("good", text)
    text = f"{text}, more than state.memory ({_size(config.state.memory)})"
    if config.state.directory is not None:
        return Finding("good", f"{text}: what is beyond lies in {config.state.directory}")
    return Finding("bad", f"{text}: give a state.directory, raise it, shorten the horizon, or run more instances")


def _rate(batch: RecordBatch) -> float:
    """Records a second, by the time stamps of the newest."""
    span = int(batch.timestamps.max() - batch.timestamps.min())
    return (len(batch) - 1) * 1000 / span if span > 0 else 0.0


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def refusal(what: str, problem: LogError, grant: str = "grant it (`doctor --acls` prints all kafka-acls)") -> Finding:
    """A question that could not be asked; `grant` is the remedy where Kafka does not let us."""
    remedy = f"; {grant}" if isinstance(problem, Refused) else ""
    code = Exit.USAGE if isinstance(problem, WrongProperty) else Exit.KAFKA
    return Finding("bad", f"{what}: {sentence(problem)}{remedy}", code)
