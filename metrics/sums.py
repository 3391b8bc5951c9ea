"""Sums that can be taken back: double-double numbers (hi + lo, about 106 bits), and the terms behind them.

A sum is a row (hi, lo) of a float64 array of shape (columns, 2). Values are added one by one in order, so a sum does
not depend on how rows were cut into batches; taking a term back is adding its negative. The error of a sum is below
2**-100 of the largest magnitude it ever had. Error-free transforms: T. J. Dekker, "A floating-point technique for
extending the available precision" (1971); D. E. Knuth, TAOCP 2, 4.2.2.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

_SPLIT = 134217729.0  # 2**27 + 1


@numba.njit(cache=True)
def two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b without error: (rounded sum, what rounding lost)."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@numba.njit(cache=True)
def two_product(a: float, b: float) -> tuple[float, float]:
    """a * b without error, for magnitudes within 1e±140: (rounded product, what rounding lost)."""
    p = a * b
    t = _SPLIT * a
    ah = t - (t - a)
    al = a - ah
    t = _SPLIT * b
    bh = t - (t - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


@numba.njit(cache=True)
def add(sums: Float64Array, column: int, value: float) -> None:
    """Add a value to the sum in `column` of sums, shape (columns, 2)."""
    s, e = two_sum(sums[column, 0], value)
    e += sums[column, 1]
    hi = s + e
    sums[column, 0] = hi
    sums[column, 1] = e - (hi - s)


@numba.njit(cache=True)
def add_product(sums: Float64Array, column: int, weight: float, a: float, b: float) -> None:
    """Add weight * a * b; a * b is kept without error, so that a variance survives a large mean."""
    hi, lo = two_product(a, b)
    if abs(weight) == 1.0:
        add(sums, column, weight * hi)
        add(sums, column, weight * lo)
    else:
        p, e = two_product(weight, hi)
        add(sums, column, p)
        add(sums, column, e + weight * lo)


@numba.njit(cache=True)
def merge(into: Float64Array, other: Float64Array) -> None:
    """Add every sum of `other` to its place in `into`; both of shape (columns, 2)."""
    for column in range(len(into)):
        s, e = two_sum(into[column, 0], other[column, 0])
        t, f = two_sum(into[column, 1], other[column, 1])
        e += t
        hi = s + e
        e = e - (hi - s) + f
        s = hi + e
        into[column, 0] = s
        into[column, 1] = e - (s - hi)


@numba.njit(cache=True)
def value(sums: Float64Array, column: int) -> float:
    """The sum in `column`, rounded to a float."""
    return float(sums[column, 0] + sums[column, 1])


@numba.njit(cache=True)
def centred(sums: Float64Array, square: int, linear: int, weight: int) -> float:
    """sum w (x - mean)**2 from sum w x**2, sum w x and sum w, in double-double throughout. NaN without weight."""
    w = sums[weight, 0] + sums[weight, 1]
    if not w > 0.0:
        return np.nan
    # mean = x / w in double-double: one Newton correction of the quotient
    q = sums[linear, 0] / sums[weight, 0]
    p, e = two_product(q, sums[weight, 0])
    rest = ((sums[linear, 0] - p) - e) + sums[linear, 1] - q * sums[weight, 1]
    r = rest / sums[weight, 0]
    # x * mean, mean = q + r
    p, e = two_product(sums[linear, 0], q)
    e += sums[linear, 0] * r + sums[linear, 1] * q
    s, f = two_sum(sums[square, 0], -p)
    found = s + (f + sums[square, 1] - e)
    return float(max(found, 0.0))
