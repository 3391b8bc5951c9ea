"""What we wrote ourselves and read again: journal blocks and snapshots. Damaged ones are refused; ones whose checksum
was made to fit again are refused, or do no harm: no crash of a kernel, no hang, and nothing that is not a refusal."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.join import JoinSettings, JoinTask
from streams.outcomes import decode
from streams.records import Moment, RecordBatch, TopicPartition
from streams.state import StateError, pack, unpack
from streams.worker.errors import StateLost
from streams.worker.restore import readable_state
from tests.fuzz.mutation import bytes_changed, state_leaf, tree_changed
from tests.fuzz.target import Target, frame_changed, framed, frames
from tests.fuzz.targets.events import NOW
from tests.gauge.gauge_traffic import Traffic, batch

_HEAD = struct.Struct(">4sHI")
CONFIG = Config.model_validate(
    {
        "outcomes_partitions": 2,
        "defaults": {
            "segments": ["region"],
            "reference": {"warm_up": 60},
            "windows": {"tumbling": ["10s", "60s"], "rolling": [20]},
            "rules": [{"metric": "accuracy", "below": 0.9, "window": "10s", "min_count": 10}],
        },
    }
)


def checked(data: bytes) -> bytes:
    """The state with a checksum that fits."""
    if len(data) < _HEAD.size:
        return data
    magic, version, _ = _HEAD.unpack_from(data)
    return _HEAD.pack(magic, version, zlib.crc32(data[_HEAD.size :])) + data[_HEAD.size :]


def state_changed(data: bytes, random: Random) -> bytes:
    """A state with something in its tree changed, or its bytes; mostly with a checksum that fits."""
    if random.random() < 0.8:
        try:
            tree = unpack(data[:4], 99, data)
            return pack(data[:4], 1, tree_changed(tree, random, state_leaf))
        except (StateError, OverflowError, TypeError, NotImplementedError, ValueError):
            pass
    changed = bytes_changed(data[:10], random, [b"SGJJ", b"\0\1"]) + data[10:]
    if random.random() < 0.8:
        changed = data[:10] + bytes_changed(data[10:], random, [b"\xc0", b"\x00", b"\xff" * 8, b"\xdd\xff\xff\xff\xff"])
    return checked(changed) if random.random() < 0.8 else changed


def _events(kind: str, values: Sequence[dict[str, Any]], first: int) -> RecordBatch:
    import json

    source = TopicPartition(kind, 0)
    offsets = np.arange(first, first + len(values), dtype=np.int64)
    return RecordBatch(source, offsets, np.full(len(values), NOW), [json.dumps(each).encode() for each in values])


def _traffic(turn: int, count: int = 6) -> list[RecordBatch]:
    """Predictions and labels of a turn: some meet, some wait, some correct."""
    predictions: list[dict[str, Any]] = [
        {"label_key": f"k{(turn + i) % 9}", "prediction_id": f"p{turn}-{i}", "model": f"m{i % 2}", "version": "v1",
         "timestamp": NOW + turn * 1000 + i, "prediction": i % 2 if i % 3 else "cat", "segments": {"region": "eu"},
         "features": {"a": 1.5}, **({"score": {"cat": 0.5, "1": 0.25}} if i % 2 else {"score": 0.5})}
        for i in range(count)
    ]  # fmt: skip
    labels = [
        {"label_key": f"k{(turn * 2 + i) % 12}", "label": [1, 0, "cat", None][(turn + i) % 4],
         "timestamp": NOW + turn * 1000 + 50 + i, **({"model": "m1"} if i % 2 else {})}
        for i in range(count)
    ]  # fmt: skip
    return [_events("predictions", predictions, 100 * turn), _events("labels", labels, 100 * turn)]


class Journal(Target):
    """Blocks of one join task, in their order."""

    name = "journal"
    about = "journal blocks, their checksums made to fit: a task that goes on, else one refusal (exit 5)"
    children = 7
    largest = 32_768

    def __init__(self) -> None:
        self._settings = JoinSettings.from_config(CONFIG)
        self._later = [_traffic(turn) for turn in (20, 40)]

    def _task(self) -> JoinTask:
        return JoinTask(self._settings, 0, 2)

    def seeds(self) -> list[bytes]:
        task = self._task()
        blocks: list[bytes] = []
        for turn in range(4):
            blocks += task.apply(_traffic(turn), Moment(NOW + turn * 1000, frozenset())).journal
        return [framed(blocks[:1]), framed(blocks[:2]), framed(blocks)]

    def changed(self, data: bytes, random: Random) -> bytes:
        return frame_changed(data, random, state_changed)

    def judge(self, inputs: Sequence[bytes]) -> int:
        return sum(map(self._one, inputs))

    def _one(self, data: bytes) -> bool:
        task = self._task()
        try:
            with readable_state("the journal"):
                task.restore(frames(data), {})
        except StateLost:
            return False
        for turn, batches in enumerate(self._later):
            step = task.apply(batches, Moment(NOW + turn * 1000, frozenset()))
            for each in step.outputs:
                if each.topic == CONFIG.outcomes_topic:
                    decode(each.value or b"")
        return True


class Snapshots(Target):
    """Keys and values of a partition of the snapshots topic, in their order."""

    name = "snapshots"
    about = "snapshots of the gauge, their checksums made to fit: a task that goes on, else one refusal (exit 5)"
    children = 3
    largest = 262_144

    def __init__(self) -> None:
        self._settings = GaugeSettings.from_config(CONFIG)
        self._messages = Traffic(seed=3, shift_after=160).messages(6, each=40)

    def seeds(self) -> list[bytes]:
        found: list[bytes] = []
        for stop in (1, 4, 8):
            task = GaugeTask(self._settings, 0)
            task.apply(batch(self._messages[:stop], 0))
            records = [(each.key or b"", each.value or b"") for each in task.snapshot(stop)]
            found.append(framed([part for record in records for part in record]))
        return found

    def changed(self, data: bytes, random: Random) -> bytes:
        def change(part: bytes, random: Random) -> bytes:
            return state_changed(part, random) if part[:2] == b"SG" else bytes_changed(part, random)

        return frame_changed(data, random, change)

    def judge(self, inputs: Sequence[bytes]) -> int:
        return sum(map(self._one, inputs))

    def _one(self, data: bytes) -> bool:
        parts = frames(data)
        task = GaugeTask(self._settings, 0)
        try:
            with readable_state("the snapshot"):
                cut = task.restore(list(zip(parts[::2], parts[1::2], strict=False)))
        except StateLost:
            return False
        task.apply(batch(self._messages[8:], 8))
        task.snapshot(12)
        return cut is not None


Change = Callable[[bytes, Random], bytes]
