"""Whether a journal block holds together: kernels follow its places and codes unasked, so these are looked at before.

A checksum says that a block is as it was written; not that what wrote it meant what we mean.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from schemas import MAX_IDENTIFIER_BYTES, MAX_VALUE_BYTES
from streams.join.words import is_text
from streams.records import Int64Array
from streams.state import Count, StateError

NEW = ("timestamp", "offset", "value", "weight", "profile")


class Head(msgspec.Struct):
    """What a block says beside its records (`Ledger.head`); its clocks look at what is theirs."""

    commit: Count
    part: Count
    last: bool
    task: Count
    tasks: Count
    floor: Count
    row: Count
    time: list[Any]
    ticker: list[Any]
    strings: list[str]
    segment_keys: list[str]


def demand(holds: bool) -> None:
    """Raise StateError where it does not."""
    if not holds:
        raise StateError("a journal block that does not hold together")


def look_at(sections: dict[str, dict[str, Any]], strings: int, segment_keys: int) -> None:
    """Whether places and codes lie where they must: kernels follow them unasked. Raises StateError."""
    profiles = len(sections["profiles"]["holds"])
    matrix = sections["profiles"]["matrix"].reshape(3 + segment_keys, profiles)
    demand(_inside(matrix[0], 0, strings) and _inside(matrix, -1, strings))
    demand(_inside(sections["profiles"]["holds"], 0, 2**62))
    for name in ("predictions", "labels"):
        new = sections[name]
        n = len(new["offset"])
        demand(all(len(new[column]) == n for column in NEW) and _inside(new["profile"], 0, profiles))
        demand(_inside(new["timestamp"], -(2**62), 2**62))
        demand(len(new["key_ends"]) == n and _packed(new["key_ends"], len(new["key_data"]), MAX_IDENTIFIER_BYTES))
        demand(_words(new["value"], strings))
    new, labels, changed = sections["predictions"], sections["labels"], sections["changed"]
    n = len(new["offset"])
    demand(len(new["score"]) == len(new["failed"]) == len(new["score_ends"]) == n)
    demand(len(new["id_ends"]) in (0, n) and _packed(new["id_ends"], len(new["id_data"]), MAX_IDENTIFIER_BYTES))
    demand(_packed(new["score_ends"], len(new["score_names"]), MAX_VALUE_BYTES))
    demand(len(new["score_names"]) == len(new["score_values"]) and _inside(new["score_names"], 0, strings))
    demand(len(labels["met"]) == len(labels["offset"]) and _inside(labels["met"], 0, 2))
    demand(len({len(column) for column in changed.values()}) == 1 and _words(changed["label"], strings))


def _inside(numbers: npt.NDArray[Any], least: int, beyond: int) -> bool:
    return not numbers.size or bool(least <= numbers.min() and numbers.max() < beyond)


def _packed(ends: Int64Array, size: int, longest: int) -> bool:
    """Whether these are the ends of byte strings in so many bytes."""
    lengths = np.diff(ends, prepend=0)
    return (int(ends[-1]) if len(ends) else 0) == size and _inside(lengths, 0, longest + 1)


def _words(words: Int64Array, strings: int) -> bool:
    """Whether each word that is the code of a text is that of one there is."""
    return _inside(words[is_text(words)] & 0xFFFF_FFFF, 0, strings)
