"""Three deaths on a real cluster of three, every day. `make chaos` has thirty."""

from __future__ import annotations

import pytest

from tests.chaos import report
from tests.chaos.cluster import three_brokers
from tests.chaos.plan import IN_FLIGHT, THREE, thirty
from tests.chaos.run import QUICK, survive


@pytest.mark.kafka
@pytest.mark.xdist_group("survival")
def test_a_cluster_of_three_and_its_workers_may_die_and_nothing_is_lost_or_said_twice(
    base_seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with three_brokers() as brokers:
        survived = survive(brokers, THREE, base_seed, QUICK)
    with capsys.disabled():
        print(f"\n{report.text(survived)}")
    assert [done.deed for done in survived.done] == list(THREE)
    assert all(done.seen_open for done in survived.done)


def test_the_long_run_has_thirty_deaths_in_flight_at_every_step_of_either_stage() -> None:
    deeds = thirty(1)
    flying = [deed for deed in deeds if deed.in_flight]
    assert len(flying) == 30 and {deed.place for deed in flying} == set(IN_FLIGHT)
    assert len(deeds) == 34
