"""Records that were left out are told of once, and the alert ends when there have been none for an hour."""

import numpy as np

from streams.gauge.strays import Strays
from streams.outcomes import Counter, Kind, Rows

HOUR = 3_600_000


def _counted(counter: Counter, amount: int) -> Rows:
    rows = Rows.blank(2, ["m"])
    rows.kind[1] = Kind.COUNT
    rows.counter[1], rows.amount[1] = counter, amount
    return rows


def test_misplaced_records_are_a_pipeline_alert_that_says_how_many() -> None:
    strays = Strays()
    strays.watch(_counted(Counter.MISPLACED, 3), 1000)
    strays.watch(_counted(Counter.MISPLACED, -1), 1000)
    (condition,) = strays.tick(2000)
    assert (condition.kind, condition.active) == ("pipeline", True)
    assert condition.text.startswith("4 records")
    strays.watch(_counted(Counter.MISPLACED, 1000), 3000)
    (condition,) = strays.tick(4000)
    assert condition.text.startswith("1,004 records"), (
        "as long as it goes on: there may have been no room for the alert"
    )


def test_a_second_time_is_counted_anew() -> None:
    strays = Strays()
    strays.watch(_counted(Counter.MISPLACED, 1000), 1000)
    strays.tick(2000)
    (over,) = strays.tick(1000 + HOUR)
    assert not over.active and strays.tick(1001 + HOUR) == [] and strays.snapshot() == []
    strays.watch(_counted(Counter.MISPLACED, 2), 3 * HOUR)
    (condition,) = strays.tick(3 * HOUR)
    assert condition.active and condition.text.startswith("2 records")


def test_records_over_the_limit_of_a_key_are_a_data_quality_alert() -> None:
    strays = Strays()
    strays.watch(_counted(Counter.OVERFLOW, 1), 1000)
    assert [each.kind for each in strays.tick(2000)] == ["data_quality"]


def test_other_counts_are_no_alert() -> None:
    strays = Strays()
    strays.watch(_counted(Counter.LATE_LABELS, 1), 1000)
    assert strays.tick(2000) == []


def test_the_alert_ends_after_an_hour_without_another_also_after_a_restore() -> None:
    strays = Strays()
    strays.watch(_counted(Counter.MISPLACED, 1), 0)  # before the first tick
    assert strays.tick(HOUR)[0].active
    restored = Strays()
    restored.restore(strays.snapshot())
    restored.watch(Rows.blank(0, []).take(np.arange(0)), HOUR)
    assert [each.active for each in restored.tick(2 * HOUR - 1)] == [True]
    (condition,) = restored.tick(2 * HOUR)
    assert not condition.active
