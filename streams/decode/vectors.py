"""Lists of Python values to columns: codes, classes, numbers, times, packed bytes.

Each function also says which rows it is not sure of (`doubtful`): the model decides about those. Lists of one type,
the common case, are converted in one call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas import LARGEST_EXACT, MAX_IDENTIFIER_BYTES, MAX_NUMBER, canonical_class, class_number
from streams.decode.columns import Packed, Strings
from streams.decode.timestamps import BAD, parse_times
from streams.records import Float64Array, Int32Array, Int64Array, UInt8Array

Doubt = npt.NDArray[np.bool_]
_NUMBERS = frozenset({int, float, bool})


def packed(texts: Sequence[str]) -> Packed:
    """The UTF-8 bytes of the texts, end to end."""
    joined = "".join(texts)
    if joined.isascii():
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        data = joined.encode()
    else:
        parts = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        data = b"".join(parts)
    return Packed(np.frombuffer(data, np.uint8), np.cumsum(lengths))


def identifiers(values: Sequence[int | str]) -> tuple[Packed, Doubt]:
    """Ids as packed bytes; an integer is its decimal text."""
    try:
        keys = packed(values)  # type: ignore[arg-type]
    except TypeError:  # not all are texts
        keys = packed(list(map(str, values)))
    lengths = np.diff(keys.ends, prepend=0)
    return keys, (lengths < 1) | (lengths > MAX_IDENTIFIER_BYTES)


def names(texts: Sequence[str | None], strings: Strings) -> tuple[Int32Array, Doubt | None]:
    """Codes of texts that must be 1 to 256 bytes of UTF-8; no doubt (None) where all are."""
    distinct = dict.fromkeys(texts)
    bad = {text for text in distinct if text is not None and not 1 <= len(text.encode()) <= MAX_IDENTIFIER_BYTES}
    if bad:
        return np.full(len(texts), -1, np.int32), np.array([text in bad for text in texts])
    return strings.codes(texts), None


def times(values: Sequence[int | str | None], absent: Int64Array) -> tuple[Int64Array, Doubt]:
    """Epoch milliseconds; `absent` stands where there is none."""
    try:
        texts = packed(values)  # type: ignore[arg-type]
    except TypeError:  # not all are texts
        kinds = set(map(type, values))
    else:
        found: Int64Array = parse_times(texts.data, texts.ends)
        return found, found == BAD
    found = absent.copy()
    if str in kinds:
        at = [i for i, value in enumerate(values) if type(value) is str]
        texts = packed([values[i] for i in at])  # type: ignore[misc]
        found[at] = parse_times(texts.data, texts.ends)
    if int in kinds:
        for i, value in enumerate(values):
            if isinstance(value, int):
                found[i] = value if abs(value) <= LARGEST_EXACT else BAD
    return found, found == BAD


def nothing(values: Sequence[object]) -> bool:
    """Whether all are None."""
    return not values or (values[0] is None and values.count(None) == len(values))


def numbers(values: Sequence[float | None], absent: float) -> tuple[Float64Array, Doubt | None]:
    """Numbers, `absent` where there is none; no doubt (None) where none is given at all."""
    count = len(values)
    if nothing(values):
        return np.full(count, absent), None
    if None in values:
        values = [absent if value is None else value for value in values]
    found = np.fromiter(values, np.float64, count)
    return found, np.abs(found) > MAX_NUMBER


def classes(
    values: Sequence[bool | int | float | str | None], strings: Strings
) -> tuple[Float64Array, Int32Array, Doubt]:
    """Classes as numbers or codes of texts (see `outcomes.Rows`); None is NaN and -1.

    An integer beyond 2**53 is a text, exact; a text is a number where it is the canonical text of one.
    """
    count = len(values)
    if set(map(type, values)) <= _NUMBERS:
        try:
            found = np.fromiter(values, np.float64, count)
        except OverflowError:
            pass  # an integer beyond every float: the way below finds which
        else:
            if not (np.abs(found) >= LARGEST_EXACT).any():  # 2**53 + 1 has become 2**53 by now
                return found, np.full(count, -1, np.int32), np.zeros(count, np.bool_)
    table: dict[str, tuple[float, int]] = {}
    number = np.full(count, np.nan)
    text = np.full(count, -1, np.int32)
    doubtful = np.zeros(count, np.bool_)
    for i, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, str):
            known = table.get(value)
            if known is None:
                as_number = class_number(value)
                known = table[value] = (as_number, strings.code(value) if math.isnan(as_number) else -1)
            number[i], text[i] = known
        elif abs(value) > MAX_NUMBER:
            doubtful[i] = True
        elif type(value) is int and abs(value) > LARGEST_EXACT:
            text[i] = strings.code(canonical_class(value))
        else:
            number[i] = value
    return number, text, doubtful


def flags(values: Sequence[object]) -> UInt8Array:
    """1 where the value is true."""
    if nothing(values):
        return np.zeros(len(values), np.uint8)
    return np.fromiter(map(bool, values), np.uint8, len(values))
