"""JSON's grammar, compiled: texts, spaces, and values that nobody asked for.

Places are those of bytes in `data`; UNSURE is the answer where the bytes are not plain JSON. A record is followed by a
line feed, which ends every text and number, so only spaces need to look where the record stops.
"""

from __future__ import annotations

import numba
import numpy as np

from streams.decode.scan.numbers import UNSURE, read_number
from streams.records import UInt8Array

QUOTE, COMMA, COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = 34, 44, 58, 123, 125, 91, 93
_DEEPEST = 60


@numba.njit(cache=True, _nrt=False)
def past_spaces(data: UInt8Array, at: int, stop: int) -> int:
    """The first place from `at` on that is no space."""
    while at < stop and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@numba.njit(cache=True, _nrt=False)
def text_end(data: UInt8Array, at: int) -> int:
    """The closing quote of the text whose first byte is at `at`; UNSURE where it holds an escape."""
    while True:
        byte = data[at]
        if byte == QUOTE:
            return at
        if byte < 32 or byte == 92:
            return UNSURE
        at += 1


@numba.njit(cache=True, _nrt=False)
def past_word(data: UInt8Array, at: int) -> int:
    """The place after true, false or null."""
    if data[at] == 116 and data[at + 1] == 114 and data[at + 2] == 117 and data[at + 3] == 101:
        return at + 4
    if data[at] == 110 and data[at + 1] == 117 and data[at + 2] == 108 and data[at + 3] == 108:
        return at + 4
    if data[at] == 102 and data[at + 1] == 97 and data[at + 2] == 108 and data[at + 3] == 115 and data[at + 4] == 101:
        return at + 5
    return UNSURE


@numba.njit(cache=True, _nrt=False)
def past_key(data: UInt8Array, at: int, stop: int) -> int:
    """The place of the value after a key and its colon."""
    at = past_spaces(data, at, stop)
    if data[at] != QUOTE:
        return UNSURE
    at = text_end(data, at + 1)
    if at == UNSURE:
        return UNSURE
    at = past_spaces(data, at + 1, stop)
    return at + 1 if data[at] == COLON else UNSURE


@numba.njit(cache=True, _nrt=False)
def past_value(data: UInt8Array, at: int, stop: int) -> int:
    """The place after a value of any kind, all of it checked."""
    objects = np.int64(0)  # a bit for each level: whether it is an object
    depth = 0
    while True:
        at = past_spaces(data, at, stop)
        byte = data[at]
        opened = byte in (OPEN, OPEN_LIST)
        if opened:
            depth += 1
            if depth > _DEEPEST:
                return UNSURE
            objects = (objects << 1) | np.int64(byte == OPEN)
            at = past_spaces(data, at + 1, stop)
            if data[at] != (CLOSE if byte == OPEN else CLOSE_LIST):
                if byte == OPEN:
                    at = past_key(data, at, stop)
                    if at == UNSURE:
                        return UNSURE
                continue
        elif byte == QUOTE:
            at = text_end(data, at + 1)
            if at == UNSURE:
                return UNSURE
            at += 1
        elif byte == 45 or 48 <= byte <= 57:
            at, _, _ = read_number(data, at)
        else:
            at = past_word(data, at)
        if at == UNSURE:
            return UNSURE
        while True:  # after a value, or before the end of an empty one
            if depth == 0:
                return at
            at = past_spaces(data, at, stop)
            inside = objects & 1
            if data[at] == COMMA:
                at += 1
                if inside:
                    at = past_key(data, at, stop)
                    if at == UNSURE:
                        return UNSURE
                break
            if data[at] != (CLOSE if inside else CLOSE_LIST):
                return UNSURE
            depth -= 1
            objects >>= 1
            at += 1
