"""A gauge partition's snapshots: one cut at one offset, on a compacted topic.

A head record (key `head`) says at which offset of the outcomes the cut was made and how many chunks each model has;
the models that changed since the last cut are written again (keys `model/<name>/<chunk>`), the others stand as they
are. All records of a cut are in one transaction, so the newest record of every key is always of the newest cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from streams.state import StateError, pack, unpack

VERSION = 1
CHUNK = 512 * 1024
_HEAD = b"SGHD"
_MODEL = b"SGMD"
HEAD_KEY = b"head"


@dataclass(frozen=True, slots=True)
class Cut:
    """What a head record says: the next offset of the outcomes, the task's own state, chunks by model."""

    offset: int
    state: Any
    chunks: dict[str, int]


def head(cut: Cut) -> tuple[bytes, bytes]:
    """Key and value of a head record."""
    return HEAD_KEY, pack(_HEAD, VERSION, {"offset": cut.offset, "state": cut.state, "chunks": cut.chunks})


def _key(model: str, chunk: int) -> bytes:
    return f"model/{chunk}/{model}".encode()


def model_chunks(model: str, tree: Any, before: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Keys and values of a model's chunks; tombstones for those that `before` chunks had too many."""
    data = pack(_MODEL, VERSION, tree)
    count = -(-len(data) // CHUNK)
    for chunk in range(count):
        yield _key(model, chunk), data[chunk * CHUNK : (chunk + 1) * CHUNK]
    for chunk in range(count, before):
        yield _key(model, chunk), None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole cut, read back: the head and every model's tree."""

    cut: Cut
    models: dict[str, Any]


def read(records: Iterable[tuple[bytes | None, bytes | None]]) -> Snapshot | None:
    """The newest cut among the records of a partition, in their order; None where there is none.

    Records of other kinds (births) are passed over. Raises StateError where a part is damaged, missing or newer.
    """
    newest: dict[bytes, bytes] = {}
    for key, value in records:
        if key is None or not (key == HEAD_KEY or key.startswith(b"model/")):
            continue
        if value is None:
            newest.pop(key, None)
        else:
            newest[key] = value
    if HEAD_KEY not in newest:
        return None
    tree = unpack(_HEAD, VERSION, newest[HEAD_KEY])
    cut = Cut(tree["offset"], tree["state"], tree["chunks"])
    return Snapshot(cut, {model: _model(newest, model, count) for model, count in cut.chunks.items()})


def _model(newest: dict[bytes, bytes], model: str, count: int) -> Any:
    parts = [newest.get(_key(model, chunk)) for chunk in range(count)]
    whole = b"".join(part for part in parts if part is not None)
    if None in parts:
        raise StateError(f"the snapshot of model {model} lacks a chunk")
    return unpack(_MODEL, VERSION, whole)
