"""Short floods through both stages, with limits as much smaller: one alert, the overflow in `__other__`, and the model
beside them told to the byte as without them. The long ones: `python -m tests.floods`."""

from __future__ import annotations

import pytest

from tests.floods.floods_made import FLOODS
from tests.floods.floods_run import play
from tests.floods.floods_world import LONGEST_MESSAGE

SHORT = ("versions", "variants", "segments", "features", "categories", "models")
VALUES = 10_000


@pytest.fixture(scope="module")
def alone() -> str:
    """What the innocent model is told where nothing floods."""
    flood = FLOODS["versions"]
    return play(flood, VALUES, flooded=False, scale=0.02).seen.innocent


@pytest.mark.parametrize("name", SHORT)
def test_a_flood_raises_one_alert_and_touches_no_other_model(name: str, alone: str) -> None:
    flood = FLOODS[name]
    world = play(flood, VALUES, flooded=True, scale=0.02)
    seen = world.seen
    assert seen.innocent == alone
    assert not seen.innocent_alerts
    limits = {rule: count for rule, count in seen.alerts.items() if rule.startswith("limits/")}
    tasks = len(world.gauges) if name == "models" else 1  # each has its own limit
    assert limits == ({} if flood.rule is None else {flood.rule: tasks})
    assert seen.other >= flood.other
    assert seen.largest_message < LONGEST_MESSAGE
    assert max(world.snapshot_sizes()) < LONGEST_MESSAGE
    assert seen.dead_letters == 0
