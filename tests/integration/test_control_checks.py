"""That a control record is not copied, or that an alert is wrongly muted or not muted, is told; without a Kafka."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.records import TopicPartition
from tests.integration.checkers import Published
from tests.integration.control_checks import control_copied_once, silences_mute
from tests.integration.row_checks import Copied
from tests.integration.traffic import Logged, Order, Record, rfc3339

NOW = 1_790_000_000_000
PLACES = [TopicPartition("outcomes", 0), TopicPartition("outcomes", 1)]
BODY: dict[str, Any] = {
    "matchers": {"model": "fraud", "kind": "drift"},
    "starts_at": NOW - 5_000,
    "ends_at": NOW + 5_000,
}
SILENCE = Copied("silence/a", json.dumps(BODY).encode(), 0, NOW - 2_000)


def alert(muted_by: str | None, at: int = NOW, **fields: str) -> Published:
    event = {"model": "fraud", "kind": "drift", "muted_by": muted_by, **fields}
    return Published(0, 0, b"", json.dumps(event).encode(), {"ce_time": rfc3339(at)})


def judged(*alerts: Published) -> int:
    return silences_mute({place: [SILENCE] for place in PLACES}, alerts)


def test_alerts_that_are_muted_as_they_must_be_are_counted() -> None:
    assert judged(alert("silence/a"), alert(None, model="churn"), alert(None, at=NOW + 60_000)) == 1


@pytest.mark.parametrize(
    "wrong",
    [alert("silence/a", kind="threshold"), alert("silence/a", at=NOW + 60_000), alert("silence/b")],
    ids=["one matcher of two", "over by then", "nobody said so"],
)
def test_an_alert_that_is_wrongly_muted_is_told(wrong: Published) -> None:
    with pytest.raises(AssertionError, match="which does not"):
        judged(wrong)


def test_an_alert_that_is_not_muted_although_a_silence_matches_is_told() -> None:
    with pytest.raises(AssertionError, match="not muted"):
        judged(alert(None))


def test_a_control_record_that_a_partition_lacks_or_has_twice_is_told() -> None:
    assert SILENCE.value is not None
    log = [Logged(Record("control", b"silence/a", SILENCE.value, NOW, Order("silence/a", BODY)), 0, 0)]
    assert control_copied_once({place: [SILENCE] for place in PLACES}, log, PLACES) == 1
    for copies in ([], [SILENCE, SILENCE]):
        with pytest.raises(AssertionError):
            control_copied_once({PLACES[0]: [SILENCE], PLACES[1]: copies}, log, PLACES)
