"""The checkers can fail: each deliberate bug is caught by the checker that caught it when it was hunted, on the history
that is kept with it, on which the clean tree holds."""

from __future__ import annotations

import pytest

from tests.simulation.additions import full_plan
from tests.simulation.mutants import Bug, bugs, patched, planted
from tests.simulation.play import parts_of, play


def test_there_are_at_least_fifteen_bugs_each_caught_within_two_hundred_seeds() -> None:
    assert len(bugs()) >= 15
    assert all(1 <= bug.seed <= 200 for bug in bugs())


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_the_patch_still_applies(bug: Bug) -> None:
    assert patched(bug.diff)


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_the_bug_is_caught_and_the_clean_tree_holds(bug: Bug) -> None:
    plan = full_plan(bug.seed).keeping(parts_of(bug.keep))
    with planted(bug) as functions:
        assert functions
        assert play(plan).checker == bug.checker, bug.what
    assert play(plan).checker is None


def test_a_bug_is_gone_when_its_context_ends() -> None:
    from streams.worker.commit import Committer

    before = Committer.commit.__code__
    bug = next(each for each in bugs() if each.name == "abort_taken_for_a_commit")
    with planted(bug) as functions:
        assert functions == ["streams.worker.commit.Committer.commit"]
        assert Committer.commit.__code__ != before
    assert Committer.commit.__code__ == before
