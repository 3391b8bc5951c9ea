"""A changed horizon or grace: refused with exit 2, unless it is said to hold from now on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden_world import NOW, World

from schemas import Config
from streams.log import MemoryLog
from streams.worker import Exit, Misfit, exit_code

HOUR = 3_600_000


def config(models: dict[str, Any] | None = None, **join: str) -> Config:
    defaults = {"task": "binary", "join": join, "windows": {"tumbling": ["1h"], "emit_every": "1s"}}
    return Config.model_validate({"outcomes_partitions": 1, "defaults": defaults, "models": models or {}})


def send(log: MemoryLog, first: int, count: int, *, late: int = 0) -> None:
    """Predictions and labels that come `late` ms after them."""
    for i in range(first, first + count):
        event = {"prediction_id": f"p{i}", "model": "m", "timestamp": log.clock - late, "prediction": 1}
        label = {"prediction_id": f"p{i}", "label": 1, "timestamp": log.clock}
        for topic, value in (("predictions", event), ("labels", label)):
            log.append(topic, json.dumps(value).encode(), partition=0, timestamp=log.clock)
        log.advance(10)


def started(log: MemoryLog, first: Config) -> MemoryLog:
    world = World(first, log)
    send(log, 0, 20)
    world.run(10)
    return log


def counts(world: World) -> dict[str, int]:
    """The newest counts of the cumulative window."""
    events = [json.loads(value) for value in world.values("metrics")]
    newest: dict[str, int] = [each for each in events if each.get("window", {}).get("kind") == "cumulative"][-1][
        "counts"
    ]
    return newest


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (config(horizon="1h", grace="1h"), "horizon 2h, grace 1h, now it is horizon 1h, grace 1h"),
        (config(horizon="1h", grace="2h"), "horizon 2h, grace 1h, now it is horizon 1h, grace 2h"),
        (config({"m": {"join": {"horizon": "3h"}}}, horizon="2h", grace="1h"), "other join settings of some model"),
    ],
)
def test_a_changed_horizon_is_refused_with_a_sentence_and_exit_2(now: Config, said: str) -> None:
    log = started(MemoryLog(clock=NOW), config(horizon="2h", grace="1h"))
    with pytest.raises(Misfit, match="run --from-now") as refused:
        World(now, log).run(2)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert exit_code(refused.value) is Exit.USAGE


def test_a_changed_horizon_holds_from_now_on_where_that_is_said_once() -> None:
    log = started(MemoryLog(clock=NOW), config(horizon="2h", grace="1h"))
    world = World(config(horizon="1h", grace="1h"), log)
    send(log, 20, 5, late=HOUR + HOUR // 2)
    world.run(10, from_now=True)
    found = counts(world)
    assert (found["outcomes"], found["late_labels"]) == (20, 5)  # what was joined before stays as it was
    world.run(5)  # it is in the journal now: nothing more to be said
    send(log, 25, 5)
    world.run(5)
    assert counts(world)["outcomes"] == 25


def test_what_does_not_change_which_labels_count_is_no_change_of_terms() -> None:
    log = started(MemoryLog(clock=NOW), config(horizon="2h", grace="1h"))
    same = config({"m": {"join": {"horizon": "120m"}}, "other": {}}, horizon="2h", grace="60m", idle_after="5s")
    World(same, log).run(2)
