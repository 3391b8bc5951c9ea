"""The journal: what a commit added to the held state, as blocks of at most 512 KiB, decoded and columnar.

A block holds the predictions and labels that came and stayed, and how those that were there before have changed
(the label that now counts, whether a label has met its prediction). The newest change of a record is the truth, so
restoring runs no join rule again: it puts the survivors in place and lays the changes over them. What was let go is
known from the watermark. The blocks of a commit are numbered, and the last of them says so; commits are numbered
without gaps. Each block carries the texts it uses and, as its head, all that is not a record: positions, clocks, the
next row's number, the floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.join.intact import Head, demand, look_at
from streams.join.keys import gather_packed
from streams.join.layout import NewLabels, NewPredictions, Records
from streams.join.profiles import Profiles
from streams.join.words import recoded, texts_of
from streams.records import Int32Array, Int64Array, UInt8Array
from streams.state import StateError, pack, shaped, unpack

MAGIC = b"SGJJ"
VERSION = 1
LARGEST_BLOCK = 512 * 1024
_PIECE = 400 * 1024
_Kinds = tuple[tuple[str, str], ...]
_NEW: _Kinds = (("timestamp", "<i8"), ("offset", "<i8"), ("value", "<i8"), ("weight", "<f8"), ("profile", "<i4"))
_KEYS: _Kinds = (("key_data", "|u1"), ("key_ends", "<i4"))
_IDS: _Kinds = (("id_data", "|u1"), ("id_ends", "<i4"))
_SCORES: _Kinds = (("score_ends", "<i4"), ("score_names", "<i4"), ("score_values", "<i8"))
_SECTIONS: dict[str, _Kinds] = {
    "profiles": (("matrix", "<i4"), ("holds", "<i8")),
    "predictions": (*_NEW, ("score", "<f8"), ("failed", "|u1"), *_KEYS, *_IDS, *_SCORES),
    "labels": (*_NEW, *_KEYS, ("met", "|u1")),
    "changed": (
        *(("offset", "<i8"), ("label", "<i8"), ("label_weight", "<f8"), ("label_timestamp", "<i8")),
        *(("label_offset", "<i8"), ("row", "<i8"), ("status", "|u1")),
    ),
    "met": (("offset", "<i8"),),
}
_Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one commit adds: places of planned records that are held, and held rows that have changed (copies)."""

    predictions: NewPredictions | None
    prediction_places: Int64Array
    labels: NewLabels | None
    label_places: Int64Array
    label_met: UInt8Array
    changed: Records
    met: Int64Array  # offsets of labels of earlier commits


def blocks_of(head: dict[str, Any], entry: Entry, profiles: Profiles) -> list[bytes]:
    """The blocks of one commit, at least one."""
    sizes = [len(entry.prediction_places), len(entry.label_places), len(entry.changed), len(entry.met)]
    pending = _pieces(entry, sizes)[::-1]
    blocks: list[bytes] = []
    while pending:
        ranges = pending.pop()
        tree = {**head, "part": len(blocks), "last": not pending, **_tree(entry, ranges, profiles)}
        block = pack(MAGIC, VERSION, tree)
        if len(block) > LARGEST_BLOCK and max(stop - start for start, stop in ranges) > 1:
            pending += [[(start + (stop - start) // 2, stop) for start, stop in ranges]]
            pending += [[(start, start + (stop - start) // 2) for start, stop in ranges]]
        else:
            blocks.append(block)
    return blocks


def _pieces(entry: Entry, sizes: list[int]) -> list[list[_Range]]:
    total = 60 * sum(sizes)
    if entry.predictions is not None:
        total += len(entry.predictions.key_data) + len(entry.predictions.id_data)
        total += 12 * len(entry.predictions.score_names)
    if entry.labels is not None:
        total += len(entry.labels.key_data)
    count = 1 + total // _PIECE
    cuts = [[size * i // count for i in range(count + 1)] for size in sizes]
    return [[(each[i], each[i + 1]) for each in cuts] for i in range(count)]


class _Local:
    """A block's own table of strings and profiles."""

    def __init__(self, profiles: Profiles, used_profiles: list[Int32Array], used_codes: list[Int32Array]) -> None:
        table = profiles.strings.texts
        self.profiles, self.profile_codes = _table(used_profiles, len(profiles))
        matrix = profiles.matrix[:, self.profiles]
        strings, self.codes = _table([*used_codes, matrix.ravel()], len(table))
        self.strings = [table[code] for code in strings.tolist()]
        self.matrix = self.codes[matrix]
        self.holds = profiles.rules.hold[self.profiles]


def _table(used: list[Int32Array], size: int) -> tuple[Int64Array, Int32Array]:
    """(the codes in use, the place of each code among them; -1 stays -1)."""
    places = np.full(size + 1, -1, np.int32)
    for codes in used:
        places[codes] = 0
    places[-1] = -1
    names = np.flatnonzero(places == 0)
    places[names] = np.arange(len(names), dtype=np.int32)
    return names, places


def _tree(entry: Entry, ranges: list[_Range], profiles: Profiles) -> dict[str, Any]:
    p, q, c, m = (slice(*each) for each in ranges)
    new = _prediction_tree(entry.predictions, entry.prediction_places[p])
    labels = _label_tree(entry.labels, entry.label_places[q], entry.label_met[q])
    changed = {name: np.ascontiguousarray(entry.changed[name][c]) for name, _ in _SECTIONS["changed"]}
    words = [(new, "value"), (labels, "value"), (changed, "label")]
    codes = [texts_of(tree[name]) for tree, name in words if tree]
    if new:
        codes.append(new["score_names"])
    coded = [(new, "profile"), (labels, "profile")]
    local = _Local(profiles, [tree[name] for tree, name in coded if tree], codes)
    for tree, name in words:
        if tree:
            tree[name] = recoded(tree[name], local.codes)
    for tree, name in coded:
        if tree:
            tree[name] = local.profile_codes[tree[name]]
    if new:
        new["score_names"] = local.codes[new["score_names"]]
    sections = {
        "profiles": {"matrix": local.matrix.ravel(), "holds": local.holds},
        "predictions": new,
        "labels": labels,
        "changed": changed,
        "met": {"offset": entry.met[m]},
    }
    told = {name: _bundle(columns, _SECTIONS[name]) for name, columns in sections.items()}
    return {"strings": local.strings, "segment_keys": list(profiles.settings.segment_keys), **told}


def _bundle(columns: dict[str, Any], kinds: _Kinds) -> list[Any] | None:
    """Columns end to end, each from a multiple of 8 bytes on, with their lengths; None where all are empty.

    One run of bytes for each section, not one for each column: most blocks are small, and there are many.
    """
    if not any(len(column) for column in columns.values()):
        return None
    raw = [np.ascontiguousarray(columns[name], dtype).tobytes() for name, dtype in kinds]
    return [[len(columns[name]) for name, _ in kinds], b"".join(each + bytes(-len(each) % 8) for each in raw)]


def _unbundle(bundle: list[Any] | None, kinds: _Kinds) -> dict[str, Any]:
    """The columns; all ends are 64-bit again."""
    if bundle is None:
        return {name: np.empty(0, np.int64 if name.endswith("ends") else dtype) for name, dtype in kinds}
    lengths, raw = bundle
    data = np.frombuffer(raw, np.uint8).copy()
    columns: dict[str, Any] = {}
    at = 0
    for (name, dtype), length in zip(kinds, lengths, strict=True):
        size = length * np.dtype(dtype).itemsize
        demand(0 <= at <= at + size <= len(data))
        column = data[at : at + size].view(dtype)
        columns[name] = column.astype(np.int64) if name.endswith("ends") else column
        at += size + -size % 8
    return columns


def _prediction_tree(new: NewPredictions | None, places: Int64Array) -> dict[str, Any]:
    if new is None or not len(places):
        return {}
    names = ("timestamp", "offset", "value", "score", "weight", "profile", "failed")
    tree: dict[str, Any] = {name: getattr(new, name)[places] for name in names}
    tree["key_data"], tree["key_ends"] = gather_packed(new.key_data, new.key_ends, places)
    if len(new.id_ends):
        tree["id_data"], tree["id_ends"] = gather_packed(new.id_data, new.id_ends, places)
    else:
        tree["id_data"], tree["id_ends"] = np.empty(0, np.uint8), np.empty(0, np.int64)
    starts = np.concatenate(([0], new.score_ends[:-1]))[places]
    lengths = new.score_ends[places] - starts
    ends = np.cumsum(lengths)
    entries = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])
    tree |= {"score_ends": ends, "score_names": new.score_names[entries], "score_values": new.score_values[entries]}
    return tree


def _label_tree(new: NewLabels | None, places: Int64Array, met: UInt8Array) -> dict[str, Any]:
    if new is None or not len(places):
        return {}
    names = ("timestamp", "offset", "value", "weight", "profile")
    tree: dict[str, Any] = {name: getattr(new, name)[places] for name in names}
    tree["key_data"], tree["key_ends"] = gather_packed(new.key_data, new.key_ends, places)
    return {**tree, "met": met}


@dataclass(frozen=True, slots=True)
class Block:
    """A block read back, in the codes of our own tables. `deadlines` are those that held when it was written."""

    head: dict[str, Any]
    predictions: NewPredictions | None
    prediction_deadlines: Int64Array
    labels: NewLabels | None
    label_deadlines: Int64Array
    label_met: UInt8Array
    changed: dict[str, Any]
    met: Int64Array


def head_block(head: dict[str, Any]) -> bytes:
    """The block of a commit of a task that holds nothing."""
    return pack(MAGIC, VERSION, {**head, "part": 0, "last": True})


def read_heads(blocks: Iterable[bytes]) -> dict[str, Any] | None:
    """The newest head of such a task, None where there is no block. Raises StateError as read_block."""
    head: dict[str, Any] | None = None
    for data in blocks:
        head = unpack(MAGIC, VERSION, data)
    return head


def read_block(data: bytes, profiles: Profiles) -> Block:
    """Raises StateError where the block is not ours, damaged or newer."""
    tree = unpack(MAGIC, VERSION, data)
    try:
        shaped(Head, tree)
        return _block(tree, profiles)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as problem:
        raise StateError(f"a journal block that does not hold together: {problem!r}") from problem


def _block(tree: dict[str, Any], profiles: Profiles) -> Block:
    sections = {name: _unbundle(tree[name], kinds) for name, kinds in _SECTIONS.items()}
    look_at(sections, len(tree["strings"]), len(tree["segment_keys"]))
    codes = np.array([*map(profiles.strings.code, tree["strings"]), -1], np.int32)
    holds, ours = sections["profiles"]["holds"], _profiles_of(tree, sections["profiles"]["matrix"], codes, profiles)
    new, labels, changed = sections["predictions"], sections["labels"], sections["changed"]
    deadlines = []
    for each in (new, labels):
        deadlines.append(each["timestamp"] + holds[each["profile"]])
        each["order"] = np.arange(len(each["offset"]))
        each["value"] = recoded(each["value"], codes)
        each["profile"] = ours[each["profile"]]
    new["score_names"] = codes[new["score_names"]]
    changed["label"] = recoded(changed["label"], codes)
    met = labels.pop("met")
    return Block(
        head=tree,
        predictions=NewPredictions(**new) if len(new["offset"]) else None,
        prediction_deadlines=deadlines[0],
        labels=NewLabels(**labels) if len(labels["offset"]) else None,
        label_deadlines=deadlines[1],
        label_met=met,
        changed=changed,
        met=sections["met"]["offset"],
    )


def _profiles_of(tree: dict[str, Any], matrix: Int32Array, codes: Int32Array, profiles: Profiles) -> Int32Array:
    """Our profile of each of the block's; segments by name, for the configured keys may have changed."""
    theirs = codes[matrix.reshape(3 + len(tree["segment_keys"]), -1)]
    rows = [theirs[:3]]
    for key in profiles.settings.segment_keys:
        known = key in tree["segment_keys"]
        row = theirs[3 + tree["segment_keys"].index(key)] if known else np.full(theirs.shape[1], -1, np.int32)
        rows.append(row[None, :])
    return profiles.codes_of(np.vstack(rows))


def in_order(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks, once it is sure that none is missing between the first and the last."""
    commit, part, complete = None, 0, True
    for block in blocks:
        head = block.head
        if complete:
            if commit is not None and head["commit"] != commit + 1:
                raise StateError(f"the journal goes from commit {commit} to {head['commit']}: blocks are missing")
            commit, part = head["commit"], 0
        if head["commit"] != commit or head["part"] != part:
            raise StateError(f"the journal's commit {commit} lacks its block {part}")
        part, complete = part + 1, head["last"]
        yield block
    if not complete:
        raise StateError(f"the journal's commit {commit} is cut off after its block {part - 1}")
