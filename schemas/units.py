"""How people write durations, sizes, times and classes, and what they become: milliseconds, bytes, canonical text."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

LARGEST_EXACT = 2**53
"""Up to here every integer is a float of its own; beyond, a class stays text."""
MAX_NUMBER = 1e100
"""The largest number that an event may hold."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)")
_DURATION_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
LONGEST = 36_525 * 86_400_000
"""The longest duration, a century: sums of times and durations stay far from the end of 64 bits."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]?i?B)")
_SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
LARGEST_SIZE = 2**60
_RFC_3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))", re.ASCII
)
_EPOCH = dt.date(1970, 1, 1).toordinal()


def parse_duration(value: object) -> int:
    """A duration as people write it ("7d", "200ms", "1.5h") in whole milliseconds. Raises ValueError."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration: a number and one of ms, s, m, h, d, w, such as 7d or 200ms")
    milliseconds = float(match[1]) * _DURATION_UNITS[match[2]]
    if milliseconds > LONGEST:
        raise ValueError(f"must be at most {format_duration(LONGEST)}, a century")
    return round(milliseconds)


def format_duration(milliseconds: int) -> str:
    """The shortest text that parse_duration reads as this many milliseconds."""
    if milliseconds == 0:
        return "0s"
    for unit, size in sorted(_DURATION_UNITS.items(), key=lambda item: -item[1]):
        if unit != "w" and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    raise AssertionError("every whole number of milliseconds has the unit ms")


def parse_size(value: object) -> int:
    """A size as people write it ("2GiB", "512MB") in bytes. Raises ValueError."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError("must be a size: a number and one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, such as 2GiB")
    size = float(match[1]) * _SIZE_UNITS[match[2]]
    if size > LARGEST_SIZE:
        raise ValueError(f"must be at most {format_size(LARGEST_SIZE)}")
    return round(size)


def format_size(size: int) -> str:
    """The shortest text that parse_size reads as this many bytes."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def parse_timestamp(text: str) -> int:
    """An RFC 3339 time with offset in epoch milliseconds; finer digits are cut off. Raises ValueError.

    A leap second (:60) is the first second of the next minute, as in POSIX time.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("must be an RFC 3339 time with offset, such as 2026-11-22T08:00:00.125Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset_hour, offset_minute = int(match[10] or 0), int(match[11] or 0)
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        raise ValueError("must be an RFC 3339 time: hours go to 23, minutes to 59, seconds to 60")
    try:
        days = dt.date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise ValueError("must be an RFC 3339 time: there is no such day") from None
    offset = (offset_hour * 60 + offset_minute) * (-1 if match[9] == "-" else 1)
    milliseconds = int((match[7] or "").ljust(3, "0")[:3])
    return ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + milliseconds


def canonical_class(value: bool | int | float | str) -> str:
    """The canonical text of a class: 1, 1.0, true and "1" are one class.

    A float that is a whole number up to 2**53 is written as the integer; integers beyond stay exact.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not (math.isfinite(value) and value.is_integer() and abs(value) <= LARGEST_EXACT):
        return repr(value)
    return str(int(value))


def class_number(text: str) -> float:
    """The number whose canonical text this is, or NaN where it is a name: "1" is 1, "1.0" and "fraud" are names, and so
    is what no number of an event may be ("1e+200")."""
    if not text or not (text[-1].isascii() and text[-1].isdigit()):
        return math.nan
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if canonical_class(number) == text and abs(number) <= MAX_NUMBER else math.nan


def _duration(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if value == 0:
            return 0
        raise PydanticCustomError("duration", "must say its unit: one of ms, s, m, h, d, w, such as 7d or 200ms")
    try:
        return parse_duration(value)
    except ValueError as problem:
        raise PydanticCustomError("duration", "{why}", {"why": str(problem)}) from None


def _positive_duration(value: object) -> int:
    duration = _duration(value)
    if duration == 0:
        raise PydanticCustomError("duration", "must be longer than 0")
    return duration


def _size(value: object) -> int:
    try:
        return parse_size(value)
    except ValueError as problem:
        raise PydanticCustomError("size", "{why}", {"why": str(problem)}) from None


def _class(value: object) -> str:
    if isinstance(value, bool | int | float | str):
        return canonical_class(value)
    raise PydanticCustomError("class", "must be a class: text, a number, true or false")


DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*([kMGT]B|[KMGT]iB|B)$"
_DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["7d", "200ms"]}
_SIZE_SCHEMA = {"type": "string", "pattern": SIZE_PATTERN, "examples": ["2GiB"]}

Duration = Annotated[
    int,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Milliseconds; written "7d"."""

PositiveDuration = Annotated[
    int,
    BeforeValidator(_positive_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Milliseconds, more than none."""

Size = Annotated[
    int, BeforeValidator(_size), PlainSerializer(format_size, when_used="json"), WithJsonSchema(_SIZE_SCHEMA)
]
"""Bytes; written "2GiB"."""

ClassText = Annotated[
    str, BeforeValidator(_class), WithJsonSchema({"type": ["string", "number", "boolean"], "examples": [1, "fraud"]})
]
"""A class as its canonical text."""
