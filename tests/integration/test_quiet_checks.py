"""That a silence is not told, or told where none was, is noticed; without a Kafka."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.records import TopicPartition
from tests.integration.checkers import Published
from tests.integration.quiet_checks import Patience, streams_are_missed
from tests.integration.rows import OUTCOME, PREDICTED, TICK, Row
from tests.integration.traffic import rfc3339

NOW = 1_790_000_000_000
PLACE = TopicPartition("outcomes", 0)
PATIENCE = {"predictions": Patience(10_000, 5, 3_000), "labels": Patience(10_000, 5, 5_000)}


def row(kind: int, payload: dict[str, Any] | None = None) -> tuple[int, Row]:
    model = None if kind == TICK else "fraud"
    return 0, Row(kind, 0, -1, NOW, 0, 0, 1.0, 1.0, 1.0, None, model, "1", None, None, 0, payload)


def seconds(*heard: str) -> list[tuple[int, Row]]:
    """A second for each: p a prediction, l its label as well, b the join is behind."""
    rows = []
    for i, what in enumerate("".join(heard)):
        rows += [row(PREDICTED)] * (what in "pl") + [row(OUTCOME)] * (what == "l")
        told = {"join_tasks": 1, "caught_up": what != "b", "clock": NOW + 1_000 * i}
        rows.append(row(TICK, told))
    return rows


def alert(status: str, second: int, spell: int | None, subject: str = "predictions", episode: str = "a") -> Published:
    event = {"model": "fraud", "kind": "silence_of_stream", "subject": subject, "status": status, "statistic": spell}
    text = json.dumps(event | {"episode_id": episode}).encode()
    return Published(0, 0, b"", text, {"ce_time": rfc3339(NOW + 1_000 * second)})


def judged(rows: list[tuple[int, Row]], *alerts: Published) -> dict[str, int]:
    return dict(streams_are_missed({PLACE: rows}, alerts, PATIENCE))


FIRES = alert("firing", 15, 4_000)  # three seconds are not more than three


def test_a_stream_that_stops_and_comes_again_is_told_once_each() -> None:
    rows = seconds("l" * 12, "-" * 6, "l")
    again = alert("firing", 17, 6_000)  # somebody has acknowledged it
    found = judged(rows, FIRES, again, alert("resolved", 18, 0))
    assert found == {"firing": 1, "resolved": 1}


@pytest.mark.parametrize(
    "alerts",
    [(), (alert("firing", 14, 3_000),), (FIRES, alert("firing", 17, 6_000, episode="b"))],
    ids=["not told", "told too early", "told twice"],
)
def test_a_silence_that_is_not_told_as_it_was_is_noticed(alerts: tuple[Published, ...]) -> None:
    with pytest.raises(AssertionError, match="told"):
        judged(seconds("l" * 12, "-" * 6), *alerts)


def test_seconds_in_which_the_join_was_behind_are_nobodys_silence() -> None:
    rows = seconds("l" * 12, "b" * 6)
    assert judged(rows) == {}
    with pytest.raises(AssertionError, match="not so"):
        judged(rows, FIRES)


def test_labels_are_missed_while_predictions_come() -> None:
    rows = seconds("l" * 12, "p" * 8)
    assert judged(rows, alert("firing", 17, 6_000, "labels")) == {"firing": 1}


def test_a_stream_that_pauses_is_missed_after_twice_its_longest_pause() -> None:
    rows = seconds("l" * 4, "---", "l" * 8, "-" * 8)
    assert judged(rows, alert("firing", 21, 7_000)) == {"firing": 1}
