"""Durations, sizes, times and classes as people write them."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import canonical_class, class_number, format_duration, parse_duration, parse_timestamp
from schemas.units import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("200ms", 200), ("1.5h", 5_400_000), ("7d", 604_800_000), ("2 w", 1_209_600_000)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1 day", "1h30m", 7, None, "٣d"])
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 36_525 * 86_400_000))
def test_a_formatted_duration_or_size_reads_back_as_it_was(value: int) -> None:
    assert parse_duration(format_duration(value)) == value
    assert parse_size(format_size(value)) == value


@pytest.mark.parametrize("text", ["36526d", "3155760000001ms", "9" * 500 + "d"])
def test_a_duration_beyond_a_century_is_refused(text: str) -> None:
    assert parse_duration("36525d") == 36_525 * 86_400_000
    with pytest.raises(ValueError, match="must be at most 36525d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1048577TiB", "9" * 500 + "B"])
def test_a_size_beyond_2_to_the_60_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be at most 1048576TiB"):
        parse_size(text)


@settings(derandomize=True, deadline=None)
@given(
    st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)),
    st.integers(-1439, 1439),
)
def test_a_time_is_what_datetime_makes_of_it(moment: dt.datetime, offset: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=offset))
    aware = moment.replace(tzinfo=zone)
    expected = (aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
    sign = "-" if offset < 0 else "+"
    text = f"{moment.isoformat(timespec='microseconds')}{sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    assert parse_timestamp(text) == expected


def test_one_class_has_one_canonical_text() -> None:
    assert {canonical_class(value) for value in (1, 1.0, True, "1")} == {"1"}
    assert {canonical_class(value) for value in (0, 0.0, -0.0, False, "0")} == {"0"}
    assert canonical_class(2**53 + 1) == "9007199254740993"
    assert canonical_class(1.5) == "1.5"
    assert canonical_class("1.0") == "1.0"


@settings(derandomize=True, deadline=None)
@given(st.floats(-1e100, 1e100))
def test_a_number_comes_back_from_its_canonical_text(number: float) -> None:
    assert class_number(canonical_class(number)) == number


@pytest.mark.parametrize(
    "name",
    ["", "fraud", "1.0", "01", "-0", "+1", "1e5", "nan", "inf", "9007199254740993", "1_0", "1 ", "1e+200", "-1e+101"],
)
def test_a_text_that_is_not_a_numbers_canonical_text_is_a_name(name: str) -> None:
    assert math.isnan(class_number(name))
