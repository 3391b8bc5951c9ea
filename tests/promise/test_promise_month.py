"""At most one false incident a month: twenty models, one configuration for what is healthy and what changes."""

from __future__ import annotations

import pytest

from tests.promise.promise_traffic import Change
from tests.promise.promise_verdict import Verdict, judge
from tests.promise.promise_world import CHANGES


@pytest.fixture(scope="module")
def verdict(base_seed: int) -> Verdict:
    made = judge(base_seed, joined=True)
    for case in made.cases:
        print(case)
    print(f"{made.armed} of {made.series} armed, false incidents {made.incidents}")
    return made


@pytest.mark.xdist_group("promise")
def test_nearly_every_series_is_armed(verdict: Verdict) -> None:
    # features, score, error and that of four regions: 26; and how often each feature is missing
    assert verdict.series == 20 * (26 + 20)
    assert verdict.armed >= 0.95 * verdict.series


@pytest.mark.xdist_group("promise")
def test_a_healthy_model_raises_a_false_incident_a_month_at_most_on_average(verdict: Verdict) -> None:
    assert sum(verdict.incidents) <= 28  # the 95 % bound of a Poisson variable of mean 20
    assert max(verdict.incidents) <= 4


@pytest.mark.xdist_group("promise")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_within_three_times_the_shortest_delay(verdict: Verdict, change: Change) -> None:
    assert verdict.found(change) >= 0.95
    assert verdict.delay(change) <= 3.0
