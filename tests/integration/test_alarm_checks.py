"""That a detector's alarm is none of river's is noticed; without a Kafka."""

from __future__ import annotations

import json

import pytest

from streams.records import TopicPartition
from tests.integration.alarm_checks import alarms_are_rivers
from tests.integration.application import Topics
from tests.integration.checkers import Published
from tests.integration.rows import CONTROL, OUTCOME, Row

TOPICS = Topics("app")
PLACE = TopicPartition("outcomes", 0)
PARAMETERS = {"min_instances": 4, "threshold": 1.0}


def outcome(number: int, right: bool) -> tuple[int, Row]:
    label = "1" if right else "0"
    return 3, Row(
        OUTCOME, number, -1, 0, number, 100 + number, "1", label, 1.0, None, "fraud", "1", None, None, 0, None
    )


ROWS = [outcome(i, right=i < 20) for i in range(30)]


def alarm(offset: int, topic: str = "labels") -> Published:
    event = {"rule": "error/page_hinkley", "status": "firing", "segment": {}, "model": "fraud", "version": "1",
             "variant": None, "cause": {"topic": TOPICS[topic], "partition": 3, "offset": offset}}  # fmt: skip
    return Published(0, 0, b"", json.dumps(event).encode(), {})


def test_an_alarm_at_which_river_raises_one_too_is_counted() -> None:
    found = [i for i in range(100, 130) if _holds(alarm(i))]
    assert found and 120 <= found[0] <= 123
    assert _holds(alarm(found[0] - 100, "predictions"))  # the prediction may have come last


def test_an_alarm_somewhere_else_is_told() -> None:
    with pytest.raises(AssertionError, match="river's are at"):
        alarms_are_rivers({PLACE: ROWS}, [alarm(110)], TOPICS, PARAMETERS)


def test_a_version_whose_error_was_taken_anew_is_left_out() -> None:
    taken = Row(CONTROL, 99, -1, 0, -1, -1, None, None, 1.0, None, None, None, None, None, 0,
                {"key": "rebaseline/fraud/1/error", "value": None, "offset": 0})  # fmt: skip
    assert alarms_are_rivers({PLACE: [*ROWS, (0, taken)]}, [alarm(110)], TOPICS, PARAMETERS) == 0


def _holds(record: Published) -> bool:
    try:
        return alarms_are_rivers({PLACE: ROWS}, [record], TOPICS, PARAMETERS) == 1
    except AssertionError:
        return False
