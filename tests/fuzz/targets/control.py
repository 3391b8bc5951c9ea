"""The control topic: a record is copied into every partition exactly where the model takes it, else it is one dead
letter; and what was copied never stops the gauge, which meets it again at every replay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import msgspec
import numpy as np

from schemas import Config, InputError, parse_control
from streams.gauge import GaugeSettings, GaugeTask
from streams.join import ControlTask, JoinSettings
from streams.outcomes import Control as ControlRow
from streams.outcomes import Kind, decode, encode
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition
from tests.fuzz.mutation import bytes_changed, json_changed
from tests.fuzz.target import Target
from tests.gauge.gauge_traffic import START, Traffic, batch

CONFIG = Config.model_validate(
    {
        "outcomes_partitions": 1,
        "defaults": {"segments": ["region"], "reference": {"warm_up": 60}},
        "privacy": {"drop_features": ["age"], "hash_features": ["country"], "hash_key": "k" * 32},
    }
)
_PROFILE = {
    "error": {"values": [0, 1, 0, 0, 1] * 20, "rate": 10.0, "lag_one": 0.1},
    "score": {"values": [0.1, 0.2, 0.4] * 20},
    "features.amount": {"values": [1.5, -2.0, 1e3] * 10, "rate": 1},
    "features.country": {"counts": {"0" * 32: 30, "f" * 32: 12}, "rate": 2.5},
    "features.age": {"values": [40, 41]},
    "missing.amount": {"values": [0, 0, 1]},
}
_RECORDS = [
    ("baseline/fraud/v1", {"profile": _PROFILE}),
    ("baseline/churn/v1", {"profile": {"error": _PROFILE["error"]}}),
    ("silence/s-1", {"matchers": {"model": "fraud", "segment.region": "eu"}, "starts_at": START,
                     "ends_at": "2026-11-22T08:00:00Z", "by": "me"}),
    ("ack/" + "a" * 32, {"by": "me", "comment": "seen"}),
    ("rebaseline/fraud/v1/error", {"from": START}),
    ("rebaseline/fraud/v1/features", {}),
    ("rebaseline/churn/v1/features.amount", {"from": "2026-11-22T08:00:00Z"}),
    ("calendar/c-1", {"at": START, "until": START + 1000, "kind": "release", "mute": True}),
]  # fmt: skip
_KEYS = [b"silence/", b"ack/", b"baseline/", b"rebaseline/", b"calendar/", b"fraud", b"churn", b"v1", b"/", b"%2F",
         b"%", b"%ff", b"", b"\xff", b"error", b"features", b"features.amount", b"missing", b"//"]  # fmt: skip
_SOURCE = TopicPartition(CONFIG.topics.control, 0)
_LIVES = 40
"""Families that one gauge lives through."""


class Control(Target):
    """A key, a line feed, and the value; without a line feed there is no value."""

    name = "control"
    about = "control records: copied where the model takes them, else one dead letter; the gauge lives with them"
    children = 15

    def __init__(self) -> None:
        self._settings = JoinSettings.from_config(CONFIG)
        self._gauge_settings = GaugeSettings.from_config(CONFIG)
        self._messages = Traffic(seed=1).messages(3, each=40)
        self._tick = encode(Traffic(seed=2).tick(0), 0, 1)
        self._gauge: GaugeTask | None = None
        self._lived = 0

    def seeds(self) -> list[bytes]:
        return [f"{key}\n{json.dumps(value)}".encode() for key, value in _RECORDS] + [b"silence/s-1"]

    def changed(self, data: bytes, random: Random) -> bytes:
        key, line, value = data.partition(b"\n")
        if random.random() < 0.3:
            return bytes_changed(key, random, _KEYS) + line + value
        if random.random() < 0.15:
            return key + b"\n" + random.choice(self.seeds()).partition(b"\n")[2]
        return key + b"\n" + json_changed(value or b"{}", random)

    def judge(self, inputs: Sequence[bytes]) -> int:
        records = [(key, value if line else None) for key, line, value in (each.partition(b"\n") for each in inputs)]
        task = ControlTask(self._settings, 0, 1)
        offsets = np.arange(len(records), dtype=np.int64)
        given = RecordBatch(_SOURCE, offsets, np.full(len(records), START), [value for _, value in records],
                            [key for key, _ in records].__getitem__)  # fmt: skip
        outputs = task.apply([given], Moment(START, frozenset())).outputs
        letters = [each for each in outputs if each.topic == CONFIG.topics.dead_letters]
        copied = _copied(outputs)
        taken = [place for place, record in enumerate(records) if _is_control(*record)]
        assert [each.offset for each in copied] == taken
        assert len(letters) == len(records) - len(taken), "one dead letter for each bad record"
        for each in copied:
            key, value = records[each.offset]
            assert each.key == key.decode()
            assert each.value == value or b"baseline" in key
        self._live_with(outputs)
        return len(taken)

    def _live_with(self, outputs: Sequence[OutputRecord]) -> None:
        """The gauge folds what was copied; models that come later meet it too."""
        said = [each.value for each in outputs if each.topic == CONFIG.outcomes_topic and each.value is not None]
        if self._gauge is None or self._lived % _LIVES == 0:
            self._gauge = GaugeTask(self._gauge_settings, 0)
            if self._lived % (2 * _LIVES):  # models that are there already; else they come after the records
                self._gauge.apply(batch(self._messages[:3], 0))
        self._lived += 1
        gauge, self._gauge = self._gauge, None  # one that stumbles is not met again
        gauge.apply(batch([*said, self._tick], 10))
        if self._lived % (_LIVES // 2) == 0:
            gauge.apply(batch(self._messages[3:], 10 + len(said)))
            gauge.snapshot(99)
        self._gauge = gauge


def _is_control(key: bytes, value: bytes | None) -> bool:
    try:
        parse_control(key.decode(), value)
    except (InputError, UnicodeDecodeError):
        return False
    return True


def _copied(outputs: Sequence[OutputRecord]) -> list[ControlRow]:
    found: list[ControlRow] = []
    for each in outputs:
        if each.topic == CONFIG.outcomes_topic:
            rows = decode(each.value or b"").rows
            found += [
                msgspec.json.decode(payload, type=ControlRow)
                for row, payload in rows.payloads.items()
                if rows.kind[row] == Kind.CONTROL
            ]
    return found
