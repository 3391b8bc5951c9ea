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

from streams.decode import Strings
from streams.join.keys import gather_packed
from streams.join.layout import NewLabels, NewPredictions, Records
from streams.join.profiles import Profiles
from streams.join.words import recoded, texts_of
from streams.records import Int32Array, Int64Array, UInt8Array
from streams.state import StateError, pack, unpack

MAGIC = b"SGJJ"
VERSION = 1
LARGEST_BLOCK = 512 * 1024
_PIECE = 400 * 1024
_CHANGED = ("offset", "label", "label_weight", "label_timestamp", "label_offset", "row", "status")
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
    changed = {name: np.ascontiguousarray(entry.changed[name][c]) for name in _CHANGED}
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
    return {
        "strings": local.strings,
        "segment_keys": list(profiles.settings.segment_keys),
        "profiles": local.matrix,
        "holds": local.holds,
        "predictions": new,
        "labels": labels,
        "changed": changed,
        "met": entry.met[m],
    }


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
        return _block(tree, profiles)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        raise StateError(f"a journal block that does not hold together: {problem!r}") from problem


def _block(tree: dict[str, Any], profiles: Profiles) -> Block:
    strings: Strings = profiles.strings
    codes = np.array([*map(strings.code, tree["strings"]), -1], np.int32)
    ours = _profiles_of(tree, codes, profiles)
    new, labels = tree["predictions"], tree["labels"]
    holds = tree["holds"]
    none = np.empty(0, np.int64)
    predictions = found = None
    prediction_deadlines = label_deadlines = none
    label_met = np.empty(0, np.uint8)
    if new:
        prediction_deadlines = new["timestamp"] + holds[new["profile"]]
        names = codes[new.pop("score_names")]
        order = np.arange(len(new["offset"]))
        value, profile = recoded(new.pop("value"), codes), ours[new.pop("profile")]
        predictions = NewPredictions(order=order, value=value, profile=profile, score_names=names, **new)
    if labels:
        label_deadlines = labels["timestamp"] + holds[labels["profile"]]
        label_met = labels.pop("met")
        order = np.arange(len(labels["offset"]))
        value, profile = recoded(labels.pop("value"), codes), ours[labels.pop("profile")]
        found = NewLabels(order=order, value=value, profile=profile, **labels)
    changed = tree["changed"]
    changed["label"] = recoded(changed["label"], codes)
    return Block(tree, predictions, prediction_deadlines, found, label_deadlines, label_met, changed, tree["met"])


def _profiles_of(tree: dict[str, Any], codes: Int32Array, profiles: Profiles) -> Int32Array:
    """Our profile of each of the block's; segments by name, for the configured keys may have changed. -1 stays."""
    theirs = codes[tree["profiles"]]
    rows = [theirs[:3]]
    for key in profiles.settings.segment_keys:
        known = key in tree["segment_keys"]
        row = theirs[3 + tree["segment_keys"].index(key)] if known else np.full(theirs.shape[1], -1, np.int32)
        rows.append(row[None, :])
    found = profiles.codes_of(np.vstack(rows)) if theirs.shape[1] else np.empty(0, np.int32)
    return np.append(found, np.int32(-1)).astype(np.int32)


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
