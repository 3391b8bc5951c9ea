"""Mutations that know what they change: JSON documents, trees of explicit state, plain bytes.

All of them take a `Random`, so an input and a seed always give the same inputs again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

_TOKENS = [
    b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity", b"-0", b"-0.0", b"1e400", b"1e-400", b"1E+5", b"01",
    b"1.", b".5", b"-", b"+1", b"{}", b"[]", b"[[[[", b'{"a":', b"}", b"]", b",", b":", b'"', b"\\", b'\\"', b"\\u0000",
    b"\\ud800", b"\\udc00\\ud800", b"\\ud83d\\ude00", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00",
    b"\n", b"\r\n", b"\t", b" ", b"9007199254740993", b"-9007199254740992", b"18446744073709551616", b"1e100",
    b"1.0000000000000001e100", b"0.1234567890123456789", b"123456789012345678901234567890", b"e308", b"E-320",
    b"/**/", b"'", b"\xe2\x80\xa8", b"\x7f", b"\xc0\x80", b"{" * 70, b"[" * 70,
]  # fmt: skip
_TEXTS = [
    "", "a", "1", "1.0", "-0", "1e5", "true", "null", "fraud", "region", "amount", "ü", "😀", "\x00", "\ud800", "\n",
    "x" * 256, "x" * 257, "ü" * 128, "ü" * 129, "__unknown__", "__other__", "segment.", "2026-11-22T08:00:00.125Z",
    "2026-11-22t08:00:00+01:30", "2026-02-29T08:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "%2F", "/",
]  # fmt: skip
_NUMBERS: list[Any] = [
    0, 1, -1, 2, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), 2**64,
    10**30, 10**310, 0.0, -0.0, 0.5, 1.5, -1.5, 1e-9, 5e-324, 1e100, -1e100, 1.0000000000000002e100, 1e308, math.inf,
    -math.inf, math.nan, 1e16, 0.1, 1_795_334_400_125,
]  # fmt: skip
_MOST_PLACES = 5_000
Step = list[Any] | dict[Any, Any]


def scalar(random: Random) -> Any:
    """Any value without parts, mostly one on an edge."""
    match random.randrange(7):
        case 0:
            return None
        case 1:
            return random.random() < 0.5
        case 2 | 3:
            return random.choice(_TEXTS)
        case 4:
            return random.choice([random.randrange(-5, 6), random.uniform(-10, 10), random.randrange(-(2**40), 2**40)])
        case _:
            return random.choice(_NUMBERS)


def value(random: Random, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = random.randrange(8) if depth else 0
    if kind == 6:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 7:
        return {random.choice(_TEXTS): value(random, depth - 1) for _ in range(random.randrange(4))}
    return scalar(random)


def bytes_changed(data: bytes, random: Random, tokens: Sequence[bytes] = _TOKENS) -> bytes:
    """A few bytes flipped, cut, doubled, moved, or a token put among them."""
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        at = random.randrange(len(data) + 1)
        stop = min(len(data), at + random.choice([0, 1, 1, 2, 4, 8, 64]))
        match random.randrange(7):
            case 0:
                data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + random.choice(tokens) + data[stop:]
            case 2:
                data = data[:at] + data[stop:]
            case 3:
                to = random.randrange(len(data) + 1)
                data = data[:to] + data[at:stop] + data[to:]
            case 4:
                data = data[:at]
            case 5 if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
            case _:
                data = data[:at] + random.randbytes(random.choice([1, 2, 8])) + data[stop:]
    return data


def tree_changed(tree: Any, random: Random, leaf: Callable[[Any, Random], Any] | None = None) -> Any:
    """The tree with one to three of its places changed (in place, where it has parts). `leaf` changes what is neither
    a list, a dict nor a plain scalar."""
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        places = _places(tree)
        if not places:
            return _leaf_changed(tree, random, leaf)
        inside, key = random.choice(places)
        match random.randrange(10):
            case 0 if isinstance(inside, dict):
                name = random.choice(list(inside))
                inside[name] = inside.pop(key)
            case 0 | 1:
                del inside[key]
            case 2 if isinstance(inside, list):
                inside.insert(key, inside[key])
            case 2:
                inside[random.choice(_TEXTS)] = inside[key]
            case 3:
                other, place = random.choice(places)
                if place in other if isinstance(other, dict) else place < len(other):
                    inside[key] = other[place] if not isinstance(other[place], (dict, list)) else value(random)
            case 4:
                inside[key] = value(random)
            case _:
                inside[key] = _leaf_changed(inside[key], random, leaf)
    return tree


def _places(tree: Any) -> list[tuple[Step, Any]]:
    """Every (container, key) in the tree, up to a number: an alias in YAML may hold itself."""
    found: list[tuple[Step, Any]] = []
    open_ = [tree]
    while open_ and len(found) < _MOST_PLACES:
        inside = open_.pop()
        if isinstance(inside, dict):
            found += [(inside, key) for key in inside]
            open_ += inside.values()
        elif isinstance(inside, list):
            found += [(inside, key) for key in range(len(inside))]
            open_ += inside
    return found


def _leaf_changed(found: Any, random: Random, leaf: Callable[[Any, Random], Any] | None) -> Any:
    if isinstance(found, bool) or found is None or isinstance(found, (dict, list)):
        return scalar(random)
    if isinstance(found, int):
        near = [found + 1, found - 1, -found, found * 2, found << 20, ~found, float(found) if abs(found) < 2**60 else 0]
        return random.choice([*near, scalar(random)])
    if isinstance(found, float):
        return random.choice([-found, found * 1e300, found + 1e-9, 0.0, math.nan, math.inf, 1e101, 7, scalar(random)])
    if isinstance(found, str):
        at = random.randrange(len(found) + 1)
        near = [found[:at], found + found, found[:at] + random.choice(_TEXTS) + found[at:], found.upper()]
        return random.choice([*near, scalar(random)])
    return scalar(random) if leaf is None else leaf(found, random)


def json_changed(data: bytes, random: Random) -> bytes:
    """A JSON text with values changed, or its bytes; written out in one of the ways that services write."""
    if random.random() < 0.35:
        return bytes_changed(data, random)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return bytes_changed(data, random)
    tree = tree_changed(tree, random)
    if isinstance(tree, dict) and len(tree) > 1 and random.random() < 0.2:
        keys = list(tree)
        random.shuffle(keys)
        tree = {key: tree[key] for key in keys}
    plain = random.random() < 0.6
    separators = (",", ":") if plain or random.random() < 0.5 else (" , ", " : ")
    try:
        text = json.dumps(tree, ensure_ascii=random.random() < 0.3, separators=separators)
    except (ValueError, RecursionError):  # an integer beyond what Python writes
        return bytes_changed(data, random)
    return text.encode(errors="surrogatepass")


class Grafts:
    """Valid documents with some of the members of another, or odd ones: what is odd about one is met alone."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        self._documents: list[dict[str, Any]] = [json.loads(each) for each in seeds]
        self._names = sorted({name for each in self._documents for name in each})
        self._inner = sorted({name for each in self._documents for inside in each.values() if isinstance(inside, dict)
                              for name in inside})  # fmt: skip
        self._writers = [json.JSONEncoder(separators=(",", ":")), json.JSONEncoder(ensure_ascii=False),
                         json.JSONEncoder(ensure_ascii=False, indent=1)]  # fmt: skip

    def donor(self, data: bytes) -> dict[str, Any]:
        """The document that members are taken from; empty where the input is none."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def grafted(self, donor: dict[str, Any], random: Random) -> bytes:
        """Another document."""
        base = dict(random.choice(self._documents))
        if donor and random.random() < 0.6:
            for name in random.choices(list(donor), k=random.choice([1, 1, 2, 3])):
                base[name] = donor[name]
        if not donor or random.random() < 0.6:
            name = random.choice(self._names)
            inside = base.get(name)
            if isinstance(inside, dict) and random.random() < 0.8:
                base[name] = {**inside, random.choice([*self._inner, random.choice(_TEXTS)]): value(random, 1)}
            elif random.random() < 0.15:
                base.pop(name, None)
            else:
                base[name] = value(random) if random.random() < 0.6 else _leaf_changed(inside, random, None)
        try:
            return random.choice(self._writers).encode(base).encode(errors="surrogatepass")
        except (ValueError, RecursionError):  # an integer beyond what Python writes
            return bytes_changed(b"{}", random)


def array_changed(array: np.ndarray[Any, Any], random: Random) -> Any:
    """An array with an element on an edge, another length, another type or another shape."""
    flat = array.reshape(-1).copy()
    kind = random.randrange(8)
    if kind < 5 and len(flat):
        for _ in range(random.choice([1, 1, 3])):
            at = random.randrange(len(flat))
            with np.errstate(all="ignore"):
                near = flat[at] + flat.dtype.type(1) if random.random() < 0.3 else flat[random.randrange(len(flat))]
                flat[at] = random.choice([near, _edge(flat.dtype, random)])
        return flat.reshape(array.shape)
    if kind == 5:
        return flat[: random.randrange(len(flat) + 1)]
    if kind == 6:
        return flat.astype(random.choice(["<i8", "<i4", "|u1", "<f8", "|b1"]), casting="unsafe").reshape(array.shape)
    return random.choice([np.concatenate([flat, flat]), flat[None, :], flat[:0], flat[::-1].copy()])


def _edge(dtype: np.dtype[Any], random: Random) -> Any:
    if dtype.kind == "f":
        return random.choice([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, 1e-300, 7.0])
    if dtype.kind == "b":
        return random.random() < 0.5
    info = np.iinfo(dtype)
    small = random.choice([0, 1, 2, 3, 7, 64, 127])
    return random.choice([small, info.max, info.max // 2, info.min, max(info.min, -1), max(info.min, -2)])


def state_leaf(found: Any, random: Random) -> Any:
    """Changes the leaves that a tree of explicit state has beside plain values: arrays, and runs of bytes."""
    if isinstance(found, np.ndarray):
        with np.errstate(all="ignore"):
            return array_changed(found, random)
    if isinstance(found, bytes) and len(found) >= 8 and random.random() < 0.7:
        numbers = np.frombuffer(found[: len(found) // 8 * 8], random.choice(["<i8", "<i4", "<f8"]))
        return np.asarray(_same_length(numbers, random)).tobytes() + found[len(found) // 8 * 8 :]
    return bytes_changed(found, random) if isinstance(found, bytes) else scalar(random)


def _same_length(numbers: np.ndarray[Any, Any], random: Random) -> np.ndarray[Any, Any]:
    changed = numbers.copy()
    for _ in range(random.choice([1, 1, 2])):
        at = random.randrange(len(changed))
        changed[at] = random.choice([_edge(changed.dtype, random), changed[random.randrange(len(changed))]])
    return changed
