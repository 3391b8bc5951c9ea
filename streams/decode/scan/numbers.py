"""JSON numbers to float64, correctly rounded, in a compiled call; what is on the edge is refused.

Clinger's fast path (How to read floating point numbers accurately, PLDI 1990), else Eisel and Lemire's product with a
128-bit power of five (Lemire, Number parsing at a gigabyte per second, Software: Practice and Experience 51, 2021).
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from streams.records import UInt8Array

UNSURE: Final = -1
_LEAST, _MOST = -280, 280  # powers of ten: beyond, the edges of float64 would need care
_POWERS = 10.0 ** np.arange(23)


def _fives() -> np.ndarray:
    """Upper and lower half of 5^q as 128 bits with the first one set, q from _LEAST to _MOST. All are rounded down but
    the reciprocals to 5^-27, whose products may be exact: these are rounded up."""
    table = np.empty((2, _MOST - _LEAST + 1), np.uint64)
    for q in range(_LEAST, _MOST + 1):
        five = 5 ** abs(q)
        if q >= 0:
            wide = five << 128 >> five.bit_length()
        else:
            wide = (1 << (five.bit_length() + 127)) // five + (q >= -27)
        table[0, q - _LEAST], table[1, q - _LEAST] = wide >> 64, wide & 0xFFFF_FFFF_FFFF_FFFF
    return table


_FIVES = _fives()
_TWOS = 2.0 ** np.arange(-1000, 901)
_LOW32, _32 = np.uint64(0xFFFF_FFFF), np.uint64(32)
_ONE, _NINE, _EDGE, _ALL = np.uint64(1), np.uint64(9), np.uint64(0x1FF), np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@numba.njit(cache=True, inline="always", _nrt=False)
def _product(a, b):  # type: ignore[no-untyped-def]
    """Upper and lower half of the product of two unsigned 64-bit numbers."""
    a0, a1, b0, b1 = a & _LOW32, a >> _32, b & _LOW32, b >> _32
    low, middle, other, high = a0 * b0, a1 * b0, a0 * b1, a1 * b1
    carry = (low >> _32) + (middle & _LOW32) + other
    return high + (middle >> _32) + (carry >> _32), (carry << _32) | (low & _LOW32)


@numba.njit(cache=True, _nrt=False)
def to_float(digits: np.uint64, power: int) -> float:
    """digits × 10^power, correctly rounded, or NaN where that is not sure. `digits` is not 0."""
    if digits <= np.uint64(1 << 53) and -22 <= power <= 22:
        value = np.float64(digits)
        return float(value * _POWERS[power] if power >= 0 else value / _POWERS[-power])
    if power < _LEAST or power > _MOST:
        return np.nan
    shift = np.uint64(0)
    while digits >> np.uint64(63) == 0:
        digits <<= _ONE
        shift += _ONE
    high, low = _product(digits, _FIVES[0, power - _LEAST])
    if high & _EDGE == _EDGE:
        more, _ = _product(digits, _FIVES[1, power - _LEAST])
        low += more
        if low < more:
            high += _ONE
        if low == _ALL:
            return np.nan
    upper = high >> np.uint64(63)
    mantissa = high >> (upper + _NINE)
    exponent = ((217_706 * power) >> 16) + 63 + np.int64(upper) - np.int64(shift)  # of 2, of the first digit
    if low <= _ONE and -4 <= power <= 23 and mantissa & np.uint64(3) == _ONE and mantissa << (upper + _NINE) == high:
        mantissa &= ~_ONE  # half way between two: to the even one
    mantissa = (mantissa + (mantissa & _ONE)) >> _ONE
    place = exponent - 52
    if place < -900 or place > 900:
        return np.nan
    return float(np.float64(mantissa) * _TWOS[place + 1000])


@numba.njit(cache=True, _nrt=False)
def read_number(data: UInt8Array, at: int) -> tuple[int, float, bool]:
    """The number that begins at `at`: (the place after it, its value, whether it is an integer), or UNSURE first.

    It ends at the first byte that cannot belong to it; the caller looks whether that byte may follow.
    """
    negative = data[at] == 45
    if negative:
        at += 1
    first = data[at]
    if first < 48 or first > 57:
        return UNSURE, 0.0, False
    digits, count, power = np.uint64(0), 0, 0
    whole = True
    if first == 48:
        at += 1
        if 48 <= data[at] <= 57:
            return UNSURE, 0.0, False
    else:
        while 48 <= data[at] <= 57:
            digits = digits * np.uint64(10) + np.uint64(data[at] - 48)
            count += 1
            at += 1
    if data[at] == 46:
        whole = False
        at += 1
        begin = at
        while 48 <= data[at] <= 57:
            digits = digits * np.uint64(10) + np.uint64(data[at] - 48)
            if digits != 0:
                count += 1
            at += 1
        if at == begin:
            return UNSURE, 0.0, False
        power = begin - at
    if count > 18:  # 10^18 fits in 64 bits, whatever its digits
        return UNSURE, 0.0, False
    if data[at] == 101 or data[at] == 69:
        whole = False
        at += 1
        below = data[at] == 45
        if below or data[at] == 43:
            at += 1
        begin = at
        written = 0
        while 48 <= data[at] <= 57:
            written = min(written * 10 + (data[at] - 48), 100_000)
            at += 1
        if at == begin:
            return UNSURE, 0.0, False
        power += -written if below else written
    if digits == 0:
        return (UNSURE if negative and whole else at), (-0.0 if negative else 0.0), whole
    value = to_float(digits, power)
    if np.isnan(value):
        return UNSURE, 0.0, False
    return at, (-value if negative else value), whole
