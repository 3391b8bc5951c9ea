"""RFC 3339 texts to epoch milliseconds, a batch in one compiled call."""

from __future__ import annotations

import numba
import numpy as np

from streams.records import Int64Array, UInt8Array

BAD = np.iinfo(np.int64).min
"""What a text that is not a time becomes."""

_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@numba.njit(cache=True, _nrt=False)
def _digits(data: UInt8Array, start: int, count: int) -> int:
    """The number written in `count` digits, or -1."""
    number = np.int64(0)
    for i in range(start, start + count):
        digit = np.int64(data[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return int(number)


@numba.njit(cache=True, _nrt=False)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, days_from_civil)."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return int(era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468)


@numba.njit(cache=True, _nrt=False)
def time_of(data: UInt8Array, start: int, stop: int) -> int:
    """data[start:stop], `YYYY-MM-DDThh:mm:ss[.f…](Z|±hh:mm)`, in epoch milliseconds, or BAD."""
    if stop - start < 20:
        return BAD
    year, month, day = _digits(data, start, 4), _digits(data, start + 5, 2), _digits(data, start + 8, 2)
    hour, minute, second = _digits(data, start + 11, 2), _digits(data, start + 14, 2), _digits(data, start + 17, 2)
    between = data[start + 10]
    if data[start + 4] != 45 or data[start + 7] != 45 or data[start + 13] != 58 or data[start + 16] != 58:
        return BAD
    if between not in (84, 116, 32):
        return BAD
    if year < 1 or month < 1 or month > 12 or day < 1:
        return BAD
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _DAYS_IN_MONTH[month] + (month == 2 and leap):
        return BAD
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return BAD
    at = start + 19
    milliseconds = np.int64(0)
    if data[at] == 46:
        at += 1
        scale = 100
        first = at
        while at < stop and 48 <= data[at] <= 57:
            milliseconds += scale * (np.int64(data[at]) - 48)
            scale //= 10
            at += 1
        if at == first:
            return BAD
    if at >= stop:
        return BAD
    offset = 0
    if data[at] == 90 or data[at] == 122:
        at += 1
    elif (data[at] == 43 or data[at] == 45) and stop - at == 6 and data[at + 3] == 58:
        ahead, more = _digits(data, at + 1, 2), _digits(data, at + 4, 2)
        if ahead < 0 or ahead > 23 or more < 0 or more > 59:
            return BAD
        offset = (ahead * 60 + more) * (1 if data[at] == 43 else -1)
        at += 6
    else:
        return BAD
    if at != stop:
        return BAD
    return int(((_days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + milliseconds)


@numba.njit(cache=True)
def parse_times(data: UInt8Array, ends: Int64Array) -> Int64Array:
    """Epoch milliseconds of each packed text (text i is data[ends[i - 1]:ends[i]]), or BAD."""
    times = np.empty(len(ends), np.int64)
    start = 0
    for i in range(len(ends)):
        times[i] = time_of(data, start, ends[i])
        start = ends[i]
    return times
