"""The simulation in `make test`: a fixed set of seeds, and that a seed is one history."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.__main__ import Total, played_by
from tests.simulation.additions import full_plan
from tests.simulation.occurred import WANTED
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.play import Played, parts_of, play, ranges, shrink

CHECKERS = {
    "alerts_are_legal",
    "control_copied_once",
    "gauge_equals_one_pass",
    "nothing_after_final",
    "nothing_said_twice",
    "offsets_journal_and_snapshots_agree",
    "one_dead_letter_for_each_bad_record",
    "outcomes_less_retractions",
    "rolling_equals_one_pass",
    "watermarks_never_fall",
    "windows_equal_the_batch",
}


@pytest.mark.parametrize("first", [1, 5])
def test_nothing_is_lost_and_nothing_is_said_twice_whatever_goes_wrong(first: int) -> None:
    checks: Counter[str] = Counter()
    for seed in range(first, first + 4):
        played = play(full_plan(seed))
        assert played.checker is None, f"{played.text}\npython -m tests.simulation --seed {seed}"
        checks += played.checks
    assert {name for name, compared in checks.items() if compared} >= CHECKERS


def test_a_seed_is_one_history() -> None:
    plan = full_plan(7)
    assert plan == full_plan(7)
    assert play(plan) == play(plan)


def test_a_failing_history_is_shrunk_to_the_parts_that_matter() -> None:
    plan = full_plan(4)
    culprits = {3, 17, plan.size - 1}
    runs = 0

    def fails_with_the_culprits(tried: Plan) -> Played:
        nonlocal runs
        runs += 1
        left = {id(each) for each in tried.parts}
        return Played(4, Counter(), 0, "found" if all(id(plan.parts[part]) in left for part in culprits) else None)

    kept = shrink(plan, "found", runs=500, played=fails_with_the_culprits)
    assert set(kept) == culprits
    assert runs < 200


def test_the_command_spreads_its_seeds_over_processes() -> None:
    assert [played.checker for played in played_by(range(10, 12), workers=2)] == [None, None]


def test_additions_come_after_the_parts_that_were_there_before() -> None:
    plan, full = draw_plan(3), full_plan(3)
    assert full.parts[: plan.size] == plan.parts
    assert full.keeping(range(plan.size)) == plan


def test_what_never_occurs_is_told() -> None:
    total = Total()
    total.add(Played(1, Counter(), 3, seen=Counter(dict.fromkeys(WANTED[1:], 2))))
    assert total.lacking == [WANTED[0]]
    assert f"{WANTED[1]:<80} {2:>9,} in {1:>5,}" in str(total)


def test_parts_are_told_as_ranges() -> None:
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert parts_of("0-2,5,7-8") == [0, 1, 2, 5, 7, 8]
    assert (ranges([]), parts_of("")) == ("", [])
