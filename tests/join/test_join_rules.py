"""The join semantics of the contract, rule by rule."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from join_world import GRACE, HORIZON, LABELS, PREDICTIONS, Row, World, label, prediction, rows_of

from streams.join import ModelJoin
from streams.outcomes import AGAIN, Tick
from streams.partitioner import partition_of

HOLD = HORIZON + GRACE


def kinds(rows: list[Row]) -> list[str]:
    return [row.kind for row in rows]


def of_kind(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row.kind == kind]


def pass_time(world: World, to: int) -> list[Row]:
    """Both partitions show a time; the rows of the markers themselves are left out."""
    rows = world.read([prediction(f"mark-{to}", to, model="mark")], [label(0, to, f"mark-{to}")])
    return [row for row in rows if row.model != "mark"]


def ticks_of(world: World) -> list[Tick]:
    outputs = world.steps[-1].outputs
    return [msgspec.json.decode(row.payload, type=Tick) for row in rows_of(outputs) if row.kind == "tick"]


# -- what a prediction is ------------------------------------------------------------------------------------------


def test_a_prediction_becomes_a_row_at_its_arrival_with_all_that_it_says() -> None:
    world = World.of(segment_keys=("region", "tier"))
    event = prediction(
        "k", 5, "cat", id="p", version="2", variant="shadow", score=0.25, latency=3.5, weight=2.0,
        scores={"cat": 0.25, "dog": 0.75}, features={"amount": 1.5, "land": "DE", "gap": None},
        attributions={"amount": -0.5}, segments={"region": "eu"},
    )  # fmt: skip
    (row,) = world.read([event])
    assert (row.kind, row.model, row.version, row.variant, row.timestamp) == ("predicted", "m", "2", "shadow", 5)
    assert (row.prediction, row.score, row.latency, row.weight) == ("cat", 0.25, 3.5, 2.0)
    assert row.scores == {"cat": 0.25, "dog": 0.75}
    assert row.features == {"amount": 1.5, "land": "DE", "gap": None}
    assert row.attributions == {"amount": -0.5}
    assert row.segments == {"region": "eu", "tier": None}
    assert (row.prediction_offset, row.failed, row.label) == (0, False, None)


def test_an_outcome_carries_what_was_held_of_its_prediction() -> None:
    world = World.of(segment_keys=("region",))
    world.read([prediction("k", 5, "cat", id="p", scores={"cat": 0.25}, score=0.25, segments={"region": "eu"})])
    (row,) = world.read([], [label("dog", 9)])
    assert (row.kind, row.prediction, row.label, row.score) == ("outcome", "cat", "dog", 0.25)
    assert (row.scores, row.segments, row.features) == ({"cat": 0.25}, {"region": "eu"}, {})
    assert (row.timestamp, row.label_timestamp, row.prediction_offset, row.label_offset) == (5, 9, 0, 0)


def test_one_label_serves_champion_challenger_and_shadow() -> None:
    world = World.of()
    world.read([prediction(variant=variant) for variant in ("champion", "challenger", "shadow")])
    rows = world.read([], [label(1)])
    assert [row.variant for row in rows] == ["champion", "challenger", "shadow"]
    assert kinds(rows) == ["outcome"] * 3


def test_a_label_that_names_a_model_serves_that_model_alone() -> None:
    world = World.of()
    world.read([prediction(model="m"), prediction(model="n")])
    assert [row.model for row in world.read([], [label(1, model="n")])] == ["n"]


def test_predictions_of_one_key_with_other_ids_are_predictions_of_their_own() -> None:
    world = World.of()
    rows = world.read([prediction(id="a"), prediction(id="b"), prediction(), prediction(id="k")])
    assert kinds(rows) == ["predicted", "predicted", "predicted", "duplicate_predictions"]


# -- rule 1 --------------------------------------------------------------------------------------------------------


def test_the_first_record_of_a_prediction_wins_and_others_within_the_horizon_are_duplicates() -> None:
    world = World.of()
    rows = world.read([prediction(at=0, value=1), prediction(at=HORIZON, value=0), prediction(at=-HORIZON, value=0)])
    assert kinds(rows) == ["predicted", "duplicate_predictions", "duplicate_predictions"]
    assert [row.timestamp for row in rows] == [0, 0, 0]
    (outcome,) = world.read([], [label(1)])
    assert outcome.prediction == 1


def test_the_same_identity_further_away_is_a_prediction_of_its_own() -> None:
    world = World.of()
    rows = world.read([prediction(at=0), prediction(at=HORIZON + 1)])
    assert kinds(rows) == ["predicted", "predicted"]


def test_a_repeated_prediction_is_a_duplicate_also_where_its_segments_differ() -> None:
    world = World.of(segment_keys=("region",))
    rows = world.read([prediction(segments={"region": "eu"}), prediction(segments={"region": "us"})])
    assert kinds(rows) == ["predicted", "duplicate_predictions"]
    assert rows[1].segments == {"region": "eu"}


# -- rule 2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [HORIZON, -HORIZON])
def test_a_label_counts_up_to_the_edge_of_the_horizon_on_both_sides(distance: int) -> None:
    world = World.of()
    world.read([prediction(at=5_000)])
    assert kinds(world.read([], [label(1, 5_000 + distance)])) == ["outcome"]


@pytest.mark.parametrize("distance", [HORIZON + 1, -HORIZON - 1])
def test_a_label_beyond_the_horizon_is_late_and_changes_nothing(distance: int) -> None:
    world = World.of()
    world.read([prediction(at=5_000)])
    (row,) = world.read([], [label(1, 5_000 + distance)])
    assert (row.kind, row.timestamp, row.amount) == ("late_labels", 5_000, 1)


def test_a_late_label_is_late_also_where_it_was_read_first() -> None:
    world = World.of()
    world.read([], [label(1, HORIZON + 1)])
    assert kinds(world.read([prediction(at=0)])) == ["predicted", "late_labels"]


# -- rule 3 --------------------------------------------------------------------------------------------------------


def test_the_same_value_and_weight_again_is_a_duplicate_without_effect() -> None:
    world = World.of()
    world.read([prediction(weight=2.0)], [label(1)])
    rows = world.read([], [label(1, 3), label(1, 4, weight=2.0)])
    assert kinds(rows) == ["duplicate_labels"] * 2


def test_a_correction_takes_the_old_outcome_back_out_and_puts_the_new_one_in_its_place() -> None:
    world = World.of()
    _, first = world.read([prediction()], [label(1, 3)])
    retracted, outcome, count = world.read([], [label(0, 4)])
    assert kinds([retracted, outcome, count]) == ["retracted", "outcome", "corrected_labels"]
    assert retracted.refers_to == outcome.refers_to == first.number
    assert (retracted.label, retracted.label_timestamp, retracted.label_offset) == (1, 3, 0)
    assert (outcome.label, outcome.label_timestamp, outcome.label_offset) == (0, 4, 1)


def test_the_same_label_with_another_weight_is_a_correction() -> None:
    world = World.of()
    world.read([prediction(weight=2.0)], [label(1)])
    rows = world.read([], [label(1, weight=3.0)])
    assert [(row.kind, row.weight) for row in rows[:2]] == [("retracted", 2.0), ("outcome", 3.0)]


def test_the_highest_offset_wins_whatever_the_timestamps_say() -> None:
    world = World.of()
    rows = world.read([prediction()], [label(1, 9), label(0, 2)])
    assert of_kind(rows, "outcome")[-1].label == 0


def test_a_null_label_withdraws_the_outcome() -> None:
    world = World.of()
    _, outcome = world.read([prediction()], [label(1)])
    rows = world.read([], [label(None, 2)])
    assert kinds(rows) == ["retracted", "withdrawn_labels"]
    assert rows[0].refers_to == outcome.number


def test_a_null_label_where_none_stands_takes_nothing_back_and_is_not_counted() -> None:
    world = World.of()
    assert kinds(world.read([prediction()], [label(None), label(None)])) == ["predicted"]


def test_a_label_after_a_withdrawal_is_an_outcome_again_in_a_place_of_its_own() -> None:
    world = World.of()
    world.read([prediction()], [label(1), label(None)])
    (row,) = world.read([], [label(1)])
    assert (row.kind, row.refers_to) == ("outcome", AGAIN)


def test_numbers_texts_and_truth_values_are_compared_as_classes() -> None:
    world = World.of()
    rows = world.read([prediction(value="a")], [label("a"), label("a"), label(-0.0), label(0)])
    assert kinds(rows)[1:] == ["outcome", "duplicate_labels", "retracted", "outcome", "corrected_labels",
                               "duplicate_labels"]  # fmt: skip


# -- rule 4 --------------------------------------------------------------------------------------------------------


def test_labels_before_their_prediction_wait_and_are_applied_in_the_order_of_offsets() -> None:
    world = World.of()
    assert world.read([], [label(1), label(0), label(0)]) == []
    rows = world.read([prediction()])
    assert kinds(rows) == ["predicted", "outcome", "retracted", "outcome", "corrected_labels", "duplicate_labels"]
    assert [(row.label, row.early) for row in of_kind(rows, "outcome")] == [(1, True), (0, True)]


def test_an_outcome_completed_by_its_label_is_not_early_and_a_retraction_says_what_the_old_one_was() -> None:
    world = World.of()
    world.read([], [label(1)])
    world.read([prediction()])
    retracted, outcome, _ = world.read([], [label(0)])
    assert (retracted.early, outcome.early) == (True, False)


# -- rule 5 --------------------------------------------------------------------------------------------------------


def test_the_watermark_is_the_least_of_the_partitions_largest_timestamps_less_disorder() -> None:
    world = World.of(disorder=60)
    world.read([prediction(at=500), prediction("j", 200)])
    assert world.steps[-1].watermark is None
    world.read([], [label(1, 300)])
    assert world.steps[-1].watermark == 240
    world.read([], [label(1, 900)])
    assert world.steps[-1].watermark == 440


def test_a_partition_at_its_end_for_long_is_left_out_until_it_speaks_again() -> None:
    world = World.of(idle_after=100)
    world.read([prediction(at=500)], [label(1, 50)], at_end=[LABELS])
    assert world.steps[-1].watermark == 50
    world.read(at_end=[LABELS], after=99)
    assert world.steps[-1].watermark == 50
    world.read(at_end=[LABELS], after=1)
    assert world.steps[-1].watermark == 500
    assert world.steps[-1].positions == {PREDICTIONS: 500}
    world.read([prediction("j", 900)], [label(1, 600, "j")], at_end=[LABELS])
    assert world.steps[-1].watermark == 600


def test_a_partition_that_leaves_its_end_and_comes_back_is_not_idle() -> None:
    world = World.of(idle_after=100)
    world.read([prediction(at=500)], [label(1, 50)], at_end=[LABELS])
    world.read(after=60)
    world.read(at_end=[LABELS], after=60)
    assert world.steps[-1].watermark == 50


def test_a_partition_that_never_spoke_does_not_hold_event_time_back_once_it_is_idle() -> None:
    world = World.of(idle_after=100)
    world.read([prediction(at=500)], at_end=[LABELS])
    world.read(at_end=[LABELS], after=100)
    assert world.steps[-1].watermark == 500


def test_when_all_partitions_are_idle_event_time_stands_still() -> None:
    world = World.of(idle_after=100)
    world.read([prediction(at=500)], [label(1, 50)], at_end=[LABELS, PREDICTIONS])
    world.read(at_end=[LABELS, PREDICTIONS], after=2_000)
    assert world.steps[-1].watermark == 50
    assert all(tick.idle for tick in ticks_of(world))


def test_a_wall_clock_that_is_set_back_does_not_make_an_idle_partition_wait_for_as_long() -> None:
    world = World.of(idle_after=100)
    world.read([prediction(at=500)], [label(1, 50)], at_end=[LABELS])
    world.read(at_end=[LABELS], after=-50_000)
    world.read(at_end=[LABELS], after=100)
    assert world.steps[-1].watermark == 500


def test_watermarks_only_rise() -> None:
    world = World.of(idle_after=100)
    world.read([prediction(at=500)], at_end=[LABELS])
    world.read(at_end=[LABELS], after=100)
    world.read([], [label(1, 50)])
    assert world.steps[-1].watermark == 500


# -- rule 6 --------------------------------------------------------------------------------------------------------


def test_a_prediction_is_held_until_the_watermark_passes_its_horizon_and_grace() -> None:
    world = World.of()
    world.read([prediction(at=0)])
    assert pass_time(world, HOLD) == []
    (row,) = pass_time(world, HOLD + 1)
    assert (row.kind, row.timestamp, row.prediction_offset, row.weight) == ("unlabelled", 0, 0, 1.0)


def test_with_a_horizon_of_a_week_each_is_held_to_its_own_millisecond() -> None:
    # What is due within minutes of each other lies in one bucket of the wheel.
    week, day = 7 * 86_400_000, 86_400_000
    world = World.of(default=ModelJoin(week, day))
    times = (0, 1, 1_000, 60_000)
    world.read([prediction(f"k{at}", at) for at in times])
    gone = []
    for at in times:
        assert pass_time(world, week + day + at) == []
        gone += [row.timestamp for row in pass_time(world, week + day + at + 1)]
        assert gone == [each for each in times if each <= at]


def test_a_prediction_whose_label_was_withdrawn_ends_without_a_label() -> None:
    world = World.of()
    world.read([prediction(at=0)], [label(1), label(None)])
    assert kinds(pass_time(world, HOLD + 1)) == ["unlabelled"]


def test_a_prediction_with_a_label_is_let_go_in_silence() -> None:
    world = World.of()
    world.read([prediction(at=0)], [label(1)])
    assert pass_time(world, HOLD + 1) == []
    assert world.task.held == 2  # the marks alone


def test_with_on_expiry_a_prediction_without_a_label_becomes_an_outcome() -> None:
    world = World.of(default=ModelJoin(HORIZON, GRACE, 0.0))
    world.read([prediction(at=0, value=1, weight=2.0)])
    (row,) = pass_time(world, HOLD + 1)
    assert (row.kind, row.prediction, row.label, row.weight) == ("outcome", 1, 0, 2.0)
    assert (row.label_offset, row.label_timestamp, row.refers_to) == (-1, -1, -1)


def test_a_label_that_met_no_prediction_is_an_orphan_of_the_model_it_names_or_of_none() -> None:
    world = World.of()
    world.read([], [label(1, 0), label(1, 0, model="n")])
    assert pass_time(world, HOLD) == []
    rows = pass_time(world, HOLD + 1)
    assert [(row.kind, row.model, row.amount) for row in rows] == [
        ("orphan_labels", "__unknown__", 1),
        ("orphan_labels", "n", 1),
    ]


def test_a_label_that_met_a_prediction_is_no_orphan() -> None:
    world = World.of()
    world.read([prediction(at=0)], [label(1, HORIZON + 1)])
    pass_time(world, HOLD + 1)
    assert pass_time(world, 10 * HOLD) == []


def test_what_is_already_past_when_it_is_read_is_late_or_lost_and_changes_nothing() -> None:
    world = World.of()
    pass_time(world, HOLD + 1)
    rows = world.read([prediction("p", 0)], [label(1, 0, "p")])
    assert sorted(kinds(rows)) == ["late_predictions", "lost_labels"]
    assert [row.model for row in sorted(rows, key=lambda row: row.kind)] == ["m", "__unknown__"]
    assert kinds(world.read([prediction("p", 1)], [label(1, 1, "p")])) == ["predicted", "outcome"]


def test_each_model_has_a_horizon_grace_and_expiry_of_its_own() -> None:
    world = World.of(models={"slow": ModelJoin(10 * HORIZON, GRACE, "none")})
    world.read([prediction(at=0), prediction(at=0, model="slow")])
    rows = world.read([], [label(1, 2 * HORIZON)])
    assert [(row.kind, row.model) for row in rows] == [("late_labels", "m"), ("outcome", "slow")]
    world.read([prediction("j", 0, model="slow")])
    assert [(row.kind, row.model) for row in pass_time(world, HOLD + 1)] == [("unlabelled", "m")]
    (row,) = pass_time(world, 10 * HORIZON + GRACE + 1)
    assert (row.model, row.label) == ("slow", "none")


def test_a_label_that_names_no_model_waits_for_the_longest_horizon() -> None:
    world = World.of(models={"slow": ModelJoin(10 * HORIZON, GRACE)})
    world.read([], [label(1, 0), label(1, 0, model="m")])
    assert [row.model for row in pass_time(world, HOLD + 1)] == ["m"]
    assert kinds(world.read([prediction(at=9 * HORIZON, model="slow")])) == ["predicted", "outcome"]


# -- rules 7 to 9, and what is no event ----------------------------------------------------------------------------


def test_each_bad_record_is_one_dead_letter_and_the_others_go_on() -> None:
    world = World.of()
    rows = world.read([b"bad", prediction(), b"bad"], [b"bad", label(1)])
    letters = [json.loads(each.value or b"") for each in world.steps[-1].outputs if each.topic == "dead-letters"]
    assert [letter[:3] for letter in letters] == [["predictions", 0, 0], ["predictions", 0, 2], ["labels", 0, 0]]
    assert sum(row.amount for row in of_kind(rows, "dead_letters")) == 3
    assert len(of_kind(rows, "outcome")) == 1


def test_a_tombstone_is_counted_and_ignored() -> None:
    world = World.of()
    rows = world.read([None, prediction(), None], [None])
    assert [(row.model, row.amount) for row in of_kind(rows, "tombstones")] == [("__unknown__", 2), ("__unknown__", 1)]
    assert world.task.held == 1


def test_a_record_that_no_message_can_carry_is_a_dead_letter_and_leaves_no_trace() -> None:
    world = World.of()
    rows = world.read([prediction(model="\ud800"), prediction(features={"a": "x" * 300_000}), prediction("j")])
    letters = [json.loads(each.value or b"") for each in world.steps[-1].outputs if each.topic == "dead-letters"]
    assert [letter[2:] for letter in letters] == [[0, "unknown"], [1, "too_large"]]
    assert (kinds(rows), world.task.held) == (["predicted", "dead_letters"], 1)
    assert kinds(world.read([prediction("i")])) == ["predicted"]


def test_a_record_whose_plan_raises_is_a_dead_letter_and_the_others_are_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from streams.join import plan

    def raises(numbers: Any, texts: Any) -> Any:
        if (numbers == 13).any():
            raise ArithmeticError
        return whole(numbers, texts)

    whole = plan.words_of
    monkeypatch.setattr(plan, "words_of", raises)
    world = World.of()
    rows = world.read(
        [prediction("a"), prediction("b", value=13), prediction("c")], [label(13, 0, "a"), label(1, 0, "c")]
    )
    letters = [json.loads(each.value or b"") for each in world.steps[-1].outputs if each.topic == "dead-letters"]
    assert letters == [["predictions", 0, 1, "unknown"], ["labels", 0, 0, "unknown"]]
    assert kinds(rows) == ["predicted", "predicted", "outcome", "dead_letters", "dead_letters"]


def test_a_record_on_a_partition_where_it_does_not_belong_is_counted_under_its_model_and_not_held() -> None:
    world = World.of()
    world.task = type(world.task)(world.task._settings, 0, 3)  # two partitions: task 0 owns the first
    keys = {partition_of(key.encode(), 2): key for key in "abcdef"}
    rows = world.read([prediction(keys[0]), prediction(keys[1])], [label(1, 0, keys[1])])
    assert sorted((row.kind, row.model) for row in rows) == [
        ("misplaced", "__unknown__"),
        ("misplaced", "m"),
        ("predicted", "m"),
    ]
    assert world.task.held == 1


def test_a_prediction_that_failed_is_counted_at_arrival_and_waits_for_no_label() -> None:
    world = World.of()
    rows = world.read([prediction(value=None, error="out of memory")], [label(1)])
    assert [(row.kind, row.failed, row.prediction) for row in rows] == [("predicted", True, None)]
    assert pass_time(world, HOLD + 1) == []


def test_an_error_with_a_prediction_is_an_outcome_like_any_other() -> None:
    world = World.of()
    rows = world.read([prediction(value=1, error="slow")], [label(1)])
    assert [(row.kind, row.failed) for row in rows] == [("predicted", True), ("outcome", True)]


def test_records_of_one_key_beyond_the_limit_are_counted_and_dropped() -> None:
    world = World.of(records_per_key=2)
    rows = world.read([prediction(id=f"{i}") for i in range(3)], [label(i) for i in range(3)])
    assert len(of_kind(rows, "predicted")) == 2
    assert [row.model for row in of_kind(rows, "overflow")] == ["m", "__unknown__"]
    assert world.task.held == 4


@pytest.mark.parametrize("held", ["labels", "predictions"])
def test_a_limit_that_was_lowered_leaves_room_for_what_was_held_under_the_one_before(held: str) -> None:
    before = World.of(records_per_key=64)
    if held == "labels":
        before.read([], [label(i) for i in range(64)])
    else:
        before.read([prediction(id=f"{i}") for i in range(64)])
    after = before.restored(records_per_key=2)
    rows = after.read([prediction()]) if held == "labels" else after.read([], [label(1)])
    assert len(of_kind(rows, "outcome")) == 64
    assert after.task.held == 65


# -- rows, messages, ticks -----------------------------------------------------------------------------------------


def test_rows_are_numbered_without_gaps_over_all_partitions_and_a_tick_is_the_same_in_each() -> None:
    world = World.of()
    for step in range(3):
        keys = [f"{step}-{i}" for i in range(20)]
        sent = [prediction(key, model=f"m{i}") for i, key in enumerate(keys)]
        world.read(sent, [label(1, 0, key) for key in keys], after=1_000)
    for step in world.steps:
        assert len(step.ticks) == 3 and len({each.value for each in step.ticks}) == 1
    numbers = [row.number for step in world.steps for row in rows_of([*step.rows, step.ticks[0]])]
    assert numbers == list(range(3 * (40 + 1)))


def test_the_rows_of_a_model_go_to_one_partition_chosen_by_murmur2() -> None:
    world = World.of()
    world.read([prediction(f"{i}", model=f"m{i}") for i in range(20)])
    for each in world.steps[-1].outputs:
        models = {row.model for row in rows_of([each])} - {None}
        assert all(partition_of(model.encode(), 3) == each.partition for model in models)


def test_messages_are_at_most_512_kib() -> None:
    world = World.of()
    features = {f"f{i}": float(i) for i in range(40)}
    rows = world.read([prediction(str(i), features=features) for i in range(2_000)])
    sizes = [len(each.value or b"") for each in world.steps[-1].outputs]
    assert len(rows) == 2_000 and max(sizes) <= 512 * 1024 and len(sizes) > 3
    assert max(map(len, world.steps[-1].journal)) <= 512 * 1024


def test_a_tick_goes_to_every_outcomes_partition_about_once_a_second() -> None:
    world = World.of()
    for after in (0, 400, 599, 1, 1_000):
        world.read(after=after)
    assert [len(rows_of(step.outputs)) for step in world.steps] == [3, 0, 0, 3, 3]
    assert [each.partition for each in world.steps[0].outputs] == [0, 1, 2]


def test_the_clock_of_the_ticks_advances_at_most_five_seconds_a_tick_and_never_goes_back() -> None:
    world = World.of()
    clocks = []
    for after in (0, 3_000, 60_000, 1_000, -50_000):
        world.read(after=after)
        clocks += [tick.clock for tick in ticks_of(world)[:1]]
    assert clocks == [0, 3_000, 8_000, 13_000, 14_000]


def test_a_tick_says_caught_up_once_every_partition_was_at_its_end_since_the_last() -> None:
    world = World.of()
    world.read(at_end=[PREDICTIONS])
    world.read(at_end=[LABELS], after=500)
    world.read(at_end=[PREDICTIONS], after=500)
    assert ticks_of(world)[0].caught_up
    world.read(at_end=[PREDICTIONS], after=1_000)
    assert not ticks_of(world)[0].caught_up
