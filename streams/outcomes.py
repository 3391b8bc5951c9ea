"""The outcomes topic's wire format: rows as columns, one Arrow IPC stream a message.

The join stage writes it, the gauge stage folds it, and anyone may read it with pyarrow. A message holds rows of
many models, in the order the join stage decided. Missing numbers are NaN, missing codes and numbers of rows are
-1 (null strings, in Arrow). `Rows.strings` is the message's own table of strings; all code columns point into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array, Unreadable

FORMAT = 1
_MOST_ROWS = 1_000_000
NONE = -1
AGAIN = -2
"""`refers_to` of an outcome that replaces nothing, but is not its prediction's first: the one before was withdrawn."""


class Kind(IntEnum):
    """What a row is."""

    PREDICTED = 0
    """A prediction has arrived: features, attributions, latency; no label yet."""
    OUTCOME = 1
    """A prediction and the label that counts for it. `refers_to` is the row it replaces in place, or -1, or AGAIN."""
    RETRACTED = 2
    """Takes back the outcome row `refers_to`; carries every old value."""
    UNLABELLED = 3
    """A prediction was let go without a label."""
    COUNT = 4
    """`amount` more of what `counter` names."""
    TICK = 5
    """`payload` is a Tick: the join task's watermark and clock."""
    CONTROL = 6
    """`payload` is a record of the control topic."""


class Counter(IntEnum):
    """What a COUNT row counts; the names are those of the metric event's `counts`."""

    DUPLICATE_PREDICTIONS = 0
    DUPLICATE_LABELS = 1
    CORRECTED_LABELS = 2
    WITHDRAWN_LABELS = 3
    LATE_LABELS = 4
    LATE_PREDICTIONS = 5
    LOST_LABELS = 6
    ORPHAN_LABELS = 7
    TOMBSTONES = 8
    MISPLACED = 9
    DEAD_LETTERS = 10
    OVERFLOW = 11
    """Records of one key beyond `limits.records_per_key`: dropped."""


UNKNOWN_MODEL = "__unknown__"
"""The model of counts that name none (orphan labels without a model, tombstones, dead letters)."""


@dataclass(slots=True)
class Listed:
    """A list column: row i holds the entries offsets[i]:offsets[i + 1]. For a categorical feature `texts` is the
    category's code and `values` NaN; for a number `texts` is -1; missing: NaN and -1."""

    offsets: Int32Array
    names: Int32Array
    values: Float64Array
    texts: Int32Array

    @classmethod
    def empty(cls, rows: int) -> Listed:
        """No entries for any of `rows` rows."""
        none = np.empty(0, np.int32)
        return cls(np.zeros(rows + 1, np.int32), none, np.empty(0, np.float64), none)

    def take(self, index: Int64Array) -> Listed:
        """The rows of `index`, in its order."""
        lengths = np.diff(self.offsets)[index]
        offsets = np.zeros(len(index) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        # entry j of the result comes from the start of its row, plus its place in that row
        shift = np.repeat(self.offsets[index] - offsets[:-1], lengths)
        entries = np.arange(offsets[-1], dtype=np.int32) + shift
        return Listed(offsets, self.names[entries], self.values[entries], self.texts[entries])


_INT64 = (
    "number",
    "refers_to",
    "timestamp",
    "label_timestamp",
    "prediction_offset",
    "label_offset",
    "amount",
)
_FLOAT64 = ("prediction", "label", "score", "weight", "latency")
_CODES = ("model", "version", "variant", "prediction_text", "label_text")
_UINT8 = ("kind", "counter", "failed", "early")
_LISTS = ("features", "attributions", "scores")


@dataclass(slots=True)
class Rows:
    """Rows as columns; every array has the same length n. Code columns point into `strings` (-1 is null).

    A class is a number (`prediction`, `label`: 1, 1.0, true and "1" are the number 1) or, where it is not the
    canonical text of a number, a text (`prediction_text`, `label_text`; the number is then NaN). `score` is the
    probability of the positive class; `scores` lists {class: probability} where the event gave a map.
    `failed` is 1 where the prediction event carried an error; `early` is 1 on an outcome whose label was there before
    its prediction, so that the prediction is the record that completed it (else the label is).
    `segments` has a row of codes for each configured segment key, in `segment_keys` order.
    """

    strings: list[str]
    segment_keys: tuple[str, ...]
    kind: UInt8Array
    counter: UInt8Array
    failed: UInt8Array
    early: UInt8Array
    number: Int64Array
    refers_to: Int64Array
    timestamp: Int64Array
    label_timestamp: Int64Array
    prediction_offset: Int64Array
    label_offset: Int64Array
    amount: Int64Array
    prediction: Float64Array
    label: Float64Array
    score: Float64Array
    weight: Float64Array
    latency: Float64Array
    model: Int32Array
    version: Int32Array
    variant: Int32Array
    prediction_text: Int32Array
    label_text: Int32Array
    segments: Int32Array  # shape (len(segment_keys), n)
    features: Listed
    attributions: Listed
    scores: Listed  # names are classes, values probabilities
    payloads: dict[int, bytes] = field(default_factory=dict)  # of TICK and CONTROL rows, by row

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def blank(cls, n: int, strings: list[str], segment_keys: tuple[str, ...] = ()) -> Rows:
        """n rows with every column at its missing value, weight 1, kind PREDICTED."""
        columns: dict[str, Any] = {name: np.full(n, NONE, np.int64) for name in _INT64}
        columns |= {name: np.full(n, np.nan) for name in _FLOAT64}
        columns |= {name: np.full(n, NONE, np.int32) for name in _CODES}
        columns |= {name: np.zeros(n, np.uint8) for name in _UINT8}
        columns |= {name: Listed.empty(n) for name in _LISTS}
        columns["weight"] = np.ones(n)
        segments = np.full((len(segment_keys), n), NONE, np.int32)
        return cls(strings, segment_keys, **columns, segments=segments)

    def text(self, code: int) -> str | None:
        """The string of a code; None for -1."""
        return self.strings[code] if code >= 0 else None

    def take(self, index: Int64Array) -> Rows:
        """The rows of `index`, in its order; the table of strings is shared."""
        columns: dict[str, Any] = {name: getattr(self, name)[index] for name in (*_INT64, *_FLOAT64, *_CODES, *_UINT8)}
        columns |= {name: getattr(self, name).take(index) for name in _LISTS}
        payloads: dict[int, bytes] = {}
        if self.payloads:
            place = {int(old): new for new, old in enumerate(index)}
            payloads = {place[row]: data for row, data in self.payloads.items() if row in place}
        return Rows(
            self.strings,
            self.segment_keys,
            **columns,
            segments=self.segments[:, index],
            payloads=payloads,
        )


def encode(rows: Rows, join_task: int, commit: int) -> bytes:
    """One message: an Arrow IPC stream of one record batch, its dictionaries cut down to the strings it uses."""
    table = np.array(rows.strings, dtype=object)
    fields: list[pa.Field] = []
    arrays: list[pa.Array] = []

    def add(name: str, array: pa.Array) -> None:
        fields.append(pa.field(name, array.type))
        arrays.append(array)

    # A column that is missing everywhere is not written: most messages need half of the columns.
    for name in (*_UINT8, *_INT64, *_FLOAT64):
        column = getattr(rows, name)
        if not _missing(column, name):
            add(name, pa.array(column))
    for name in _CODES:
        codes = getattr(rows, name)
        if (codes >= 0).any():
            add(name, _dictionary(codes, table))
    for key, codes in zip(rows.segment_keys, rows.segments, strict=True):
        add(f"segment.{key}", _dictionary(codes, table))
    for name in _LISTS:
        listed: Listed = getattr(rows, name)
        if len(listed.names):
            entries = pa.StructArray.from_arrays(
                [_dictionary(listed.names, table), pa.array(listed.values), _dictionary(listed.texts, table)],
                names=["name", "value", "text"],
            )
            add(name, pa.ListArray.from_arrays(pa.array(listed.offsets), entries))
    if rows.payloads:
        add("payload", _payload_column(rows))
    metadata = {
        "streamgauge.format": str(FORMAT),
        "streamgauge.rows": str(len(rows)),
        "streamgauge.join_task": str(join_task),
        "streamgauge.commit": str(commit),
    }
    batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _payload_column(rows: Rows) -> pa.BinaryArray:
    """The payloads as a binary column; a row without one has the empty value (no payload is empty)."""
    offsets = np.zeros(len(rows) + 1, np.int32)
    for row, data in rows.payloads.items():
        offsets[row + 1] = len(data)
    np.cumsum(offsets, out=offsets)
    whole = b"".join(rows.payloads[row] for row in sorted(rows.payloads))
    return pa.BinaryArray.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(whole)])


def _missing(column: npt.NDArray[Any], name: str) -> bool:
    """Whether every value of the column is the one that `Rows.blank` gives it."""
    if name in _FLOAT64 and name != "weight":
        return bool(np.isnan(column).all())
    return bool((column == (1 if name == "weight" else NONE if name in _INT64 else 0)).all())


def _dictionary(codes: Int32Array, table: npt.NDArray[np.object_]) -> pa.DictionaryArray:
    """The codes as a dictionary column that holds only the strings in use; -1 becomes null."""
    used = np.zeros(len(table) + 1, np.int32)  # the last place is that of -1
    used[codes] = 1
    used[-1] = 0
    names = np.flatnonzero(used[:-1])
    used[names] = np.arange(len(names), dtype=np.int32)
    missing = codes < 0
    indices = pa.array(used[codes], mask=missing) if missing.any() else pa.array(used[codes])
    return pa.DictionaryArray.from_arrays(indices, pa.array(table[names], pa.string()), safe=False)


class FormatError(Unreadable):
    """A message of the outcomes topic that this version cannot read."""


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message: its rows, the join task and the commit that wrote it."""

    rows: Rows
    join_task: int
    commit: int


def decode(data: bytes, table: dict[str, int] | None = None) -> Message:
    """Read one message. Raises FormatError where it is not one of ours, or of a newer format.

    With `table` (text to code, in the order of the codes) strings get their codes there, so that messages can share
    one; without it the message has a table of its own.
    """
    try:
        reader = pa.ipc.open_stream(pa.py_buffer(data))
        metadata = reader.schema.metadata or {}
        version = int(metadata[b"streamgauge.format"])
        join_task, commit = int(metadata[b"streamgauge.join_task"]), int(metadata[b"streamgauge.commit"])
        if not (0 <= join_task < 2**31 and 0 <= commit < 2**63):
            raise FormatError("a join task or a commit that there cannot be")
        if version > FORMAT:
            raise FormatError(f"the outcomes topic holds format {version}; this version reads up to {FORMAT}")
        batch = reader.read_next_batch()
        rows = _rows(batch, int(metadata[b"streamgauge.rows"]), {} if table is None else table)
        return Message(rows, join_task, commit)
    except (pa.ArrowException, AttributeError, LookupError, OSError, OverflowError, TypeError, ValueError,
            StopIteration) as problem:  # fmt: skip
        if isinstance(problem, FormatError):
            raise
        raise FormatError(f"not a message of an outcomes topic: {problem}") from problem


def decode_all(values: Sequence[bytes], most: int) -> Iterator[tuple[Rows, Int64Array]]:
    """The rows of consecutive messages, and the join task of each row; many messages at a time, to be folded at once,
    at most about `most` rows. Messages that do not have the same segment keys stay apart."""
    table: dict[str, int] = {}
    parts: list[Message] = []
    size = 0
    for value in values:
        message = decode(value, table)
        if parts and (size >= most or message.rows.segment_keys != parts[0].rows.segment_keys):
            yield _together(parts, table)
            table, parts, size = {}, [], 0
            message = decode(value, table)
        parts.append(message)
        size += len(message.rows)
    if parts:
        yield _together(parts, table)


def _together(parts: list[Message], table: dict[str, int]) -> tuple[Rows, Int64Array]:
    tasks = np.repeat([part.join_task for part in parts], [len(part.rows) for part in parts]).astype(np.int64)
    strings = list(table)
    for part in parts:
        part.rows.strings = strings
    return parts[0].rows if len(parts) == 1 else concatenate([part.rows for part in parts]), tasks


def _rows(batch: pa.RecordBatch, n: int, place: dict[str, int]) -> Rows:
    def codes(column: pa.DictionaryArray) -> Int32Array:
        if column.type.value_type != pa.string() or column.dictionary.null_count:
            raise FormatError("a column of codes that is none")
        names = column.dictionary.to_pylist()
        local = np.full(len(names) + 1, NONE, np.int32)
        for i, name in enumerate(names):
            local[i] = place.setdefault(name, len(place))
        indices = column.indices
        index = indices.fill_null(-1) if indices.null_count else indices
        found: Int32Array = local[index.to_numpy(zero_copy_only=False)]
        return found

    def listed(column: pa.ListArray) -> Listed:
        entries, offsets = column.values, column.offsets.to_numpy()
        if column.null_count or entries.null_count or offsets[0] != 0 or offsets[-1] != len(entries):
            raise FormatError("a list column that is none")
        return Listed(
            offsets, codes(entries.field(0)), numbers(entries.field(1), pa.float64()), codes(entries.field(2))
        )

    def numbers(column: pa.Array, kind: pa.DataType) -> npt.NDArray[Any]:
        if column.type != kind or column.null_count:
            raise FormatError(f"a column of numbers that is none: {column.type}")
        found: npt.NDArray[Any] = column.to_numpy()
        return found

    batch.validate(full=True)  # Arrow takes lengths, offsets and indices as they are written; numpy would follow them
    present = dict(zip(batch.schema.names, batch.columns, strict=True))
    if n != batch.num_rows and (present or not 0 <= n <= _MOST_ROWS):
        raise FormatError("the number of rows is not that of the columns")
    segment_keys = tuple(name.removeprefix("segment.") for name in present if name.startswith("segment."))
    rows = Rows.blank(n, [], segment_keys)
    for names, kind in ((_UINT8, pa.uint8()), (_INT64, pa.int64()), (_FLOAT64, pa.float64())):
        for name in names:
            if name in present:
                setattr(rows, name, numbers(present[name], kind))
    if n and (int(rows.kind.max()) >= len(Kind) or int(rows.counter.max()) >= len(Counter)):
        raise FormatError("a row or a counter of a kind that there is not")
    for name in _CODES:
        if name in present:
            setattr(rows, name, codes(present[name]))
    for i, key in enumerate(segment_keys):
        rows.segments[i] = codes(present[f"segment.{key}"])
    for name in _LISTS:
        if name in present:
            setattr(rows, name, listed(present[name]))
    rows.strings = list(place)
    if "payload" in present:
        rows.payloads = _payloads(present["payload"], rows.kind)
    return rows


JoinTask = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""One for each partition of the inputs, of which Kafka has fewer, and one for the control topic."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The payload of a TICK row.

    `watermark` is the join task's, in epoch milliseconds (None before it has one); `idle` says that all its
    partitions are idle, so the gauge leaves it out; `clock` is the clock of the ticks, epoch milliseconds. `stalled`:
    for so many milliseconds before it Kafka let nothing be committed; 0 where that is nothing to speak of.
    """

    join_task: JoinTask
    join_tasks: JoinTask
    watermark: int | None
    idle: bool
    caught_up: bool
    clock: int
    stalled: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    """The payload of a CONTROL row: a record of the control topic. `value` None deletes."""

    key: str
    value: bytes | None
    offset: int


_TICKS = msgspec.json.Decoder(Tick)
_CONTROLS = msgspec.json.Decoder(Control)
_FURTHEST = 2**53


def _payloads(column: pa.Array, kinds: UInt8Array) -> dict[int, bytes]:
    """The payloads by row. Raises FormatError where one is not what its row is: it would stop every replay."""
    if column.type != pa.binary():
        raise FormatError("a column of payloads that is none")
    payloads = {row: data for row, data in enumerate(column.to_pylist()) if data}
    for row, data in payloads.items():
        try:
            if kinds[row] == Kind.CONTROL:
                _CONTROLS.decode(data)
                continue
            tick = _TICKS.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
            raise FormatError(f"a payload that is not that of its row: {problem}") from problem
        times = (tick.clock, tick.watermark or 0)
        if kinds[row] != Kind.TICK or not 0 <= tick.join_task < tick.join_tasks or max(map(abs, times)) > _FURTHEST:
            raise FormatError("a tick that there cannot be")
    return payloads


def concatenate(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, in order. All parts must share one table of strings and the same segment keys."""
    first = parts[0]
    assert all(part.strings is first.strings and part.segment_keys == first.segment_keys for part in parts)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in (*_INT64, *_FLOAT64, *_CODES, *_UINT8)
    }
    columns |= {name: _concatenate_lists([getattr(part, name) for part in parts]) for name in _LISTS}
    payloads: dict[int, bytes] = {}
    start = 0
    for part in parts:
        payloads |= {start + row: data for row, data in part.payloads.items()}
        start += len(part)
    return Rows(
        first.strings,
        first.segment_keys,
        **columns,
        segments=np.concatenate([part.segments for part in parts], axis=1),
        payloads=payloads,
    )


def _concatenate_lists(parts: Sequence[Listed]) -> Listed:
    starts = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
    return Listed(
        np.concatenate([*offsets, starts[-1:]]).astype(np.int32),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("names", "values", "texts")),
    )
