"""A gauge partition's snapshots: one cut at one offset, on a compacted topic.

A head record (key `head`) says at which offset of the outcomes the cut was made and how many chunks each model has;
the models that changed since the last cut are written again (keys `model/<chunk>/<name>`), the others stand as they
are. Of a model's series the long arrays are pages (keys `page/<digest>/<name>`), which are written once. All records of
a cut are in one transaction, so the newest record of every key is always of the newest cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from streams.gauge.pages import page_bytes, page_of, put_back, take_out
from streams.state import Count, StateError, pack, shaped, unpack

VERSION = 2
CHUNK = 512 * 1024
_HEAD = b"SGHD"
_MODEL = b"SGMD"
HEAD_KEY = b"head"


@dataclass(frozen=True, slots=True)
class Cut:
    """What a head record says: the next offset of the outcomes, the task's own state, chunks by model."""

    offset: Count
    state: dict[str, Any]
    chunks: dict[str, Count]


def head(cut: Cut) -> tuple[bytes, bytes]:
    """Key and value of a head record."""
    return HEAD_KEY, pack(_HEAD, VERSION, {"offset": cut.offset, "state": cut.state, "chunks": cut.chunks})


def _key(model: str, chunk: int) -> bytes:
    return f"model/{chunk}/{model}".encode()


def _page_key(model: str, name: bytes) -> bytes:
    return f"page/{name.hex()}/{model}".encode()


@dataclass(frozen=True, slots=True)
class Written:
    """What is on the topic of a model: how many chunks, and the digests of pages."""

    chunks: int = 0
    pages: frozenset[bytes] = frozenset()


def model_records(
    model: str, tree: dict[str, Any], before: Written
) -> tuple[list[tuple[bytes, bytes | None]], Written]:
    """Keys and values of a model's chunks and of its pages that are new; tombstones for what there was `before` and is
    no more. And what there is now. Of the tree only `series` has pages: the windows' tables change everywhere."""
    pages: dict[bytes, Any] = {}
    if "series" in tree:
        tree = {**tree, "series": take_out(tree["series"], pages)}
    data = pack(_MODEL, VERSION, tree)
    count = -(-len(data) // CHUNK)
    made: list[tuple[bytes, bytes | None]] = [
        (_page_key(model, name), page_bytes(page)) for name, page in pages.items() if name not in before.pages
    ]
    made += [(_key(model, chunk), data[chunk * CHUNK : (chunk + 1) * CHUNK]) for chunk in range(count)]
    made += [(_key(model, chunk), None) for chunk in range(count, before.chunks)]
    made += [(_page_key(model, name), None) for name in sorted(before.pages - pages.keys())]
    return made, Written(count, frozenset(pages))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole cut, read back: the head, every model's tree, and what of it is on the topic."""

    cut: Cut
    models: dict[str, Any]
    written: dict[str, Written]


def read(records: Iterable[tuple[bytes | None, bytes | None]]) -> Snapshot | None:
    """The newest cut among the records of a partition, in their order; None where there is none.

    Records of other kinds (births) are passed over. Raises StateError where a part is damaged, missing or newer.
    """
    newest: dict[bytes, bytes] = {}
    for key, value in records:
        if key is None or not (key == HEAD_KEY or key.startswith((b"model/", b"page/"))):
            continue
        if value is None:
            newest.pop(key, None)
        else:
            newest[key] = value
    if HEAD_KEY not in newest:
        return None
    cut = shaped(Cut, unpack(_HEAD, VERSION, newest[HEAD_KEY]))
    models, written = {}, {}
    for model, count in cut.chunks.items():
        models[model], written[model] = _model(newest, model, count)
    return Snapshot(cut, models, written)


def _model(newest: dict[bytes, bytes], model: str, count: int) -> tuple[Any, Written]:
    keys = [_key(model, chunk) for chunk in range(min(count, len(newest)))]
    if count > len(newest) or not newest.keys() >= set(keys):
        raise StateError(f"the snapshot of model {model} lacks a chunk")
    tree = unpack(_MODEL, VERSION, b"".join(newest[key] for key in keys))
    read: dict[bytes, Any] = {}

    def page(name: bytes) -> Any:
        if name not in read:
            value = newest.get(_page_key(model, name))
            if value is None:
                raise StateError(f"the snapshot of model {model} lacks a page")
            read[name] = page_of(value)
        return read[name]

    if "series" in tree:
        tree["series"] = put_back(tree["series"], page)
    return tree, Written(count, frozenset(read))
