"""Which kind of task a model does is decided at the 1,000th first label, wherever the batches are cut."""

import numpy as np
import pytest

from streams.gauge.task_type import DECIDED_AT, TaskDecision
from streams.outcomes import Kind, Rows


def _outcomes(labels: list[float | str], predictions: list[float] | None = None) -> Rows:
    strings = sorted({label for label in labels if isinstance(label, str)})
    rows = Rows.blank(len(labels), strings)
    rows.kind[:] = Kind.OUTCOME
    rows.label = np.array([np.nan if isinstance(label, str) else label for label in labels], np.float64)
    rows.label_text = np.array([strings.index(label) if isinstance(label, str) else -1 for label in labels], np.int32)
    rows.prediction = np.array(predictions if predictions is not None else [0.0] * len(labels))
    return rows


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([0.0, 1.0], "binary"),
        ([1.0], "binary"),
        (["yes", "no"], "multiclass"),  # and 0, the prediction: three values
        ([0.0, 1.0, 2.0], "multiclass"),
        ([float(i) for i in range(20)], "multiclass"),
        ([float(i) for i in range(21)], "regression"),
        ([0.0, 0.5], "regression"),
        ([0.0, 1.0, "other"], "multiclass"),
    ],
)
def test_the_task_follows_from_the_values(labels: list[float | str], task: str) -> None:
    rows = _outcomes((labels * DECIDED_AT)[:DECIDED_AT])
    decision = TaskDecision()
    assert decision.watch(rows) == DECIDED_AT - 1
    assert decision.task == task


def test_a_model_that_predicts_fractions_regresses() -> None:
    decision = TaskDecision()
    decision.watch(_outcomes([1.0] * DECIDED_AT, [0.5] * DECIDED_AT))
    assert decision.task == "regression"


def test_corrections_and_predictions_without_labels_do_not_count() -> None:
    rows = _outcomes([0.0] * DECIDED_AT)
    rows.refers_to[3] = 2
    rows.kind[5] = Kind.PREDICTED
    decision = TaskDecision()
    assert decision.watch(rows) is None
    assert decision.watch(_outcomes([1.0] * 2)) == 1


def test_what_comes_after_the_deciding_row_does_not_matter() -> None:
    decision = TaskDecision()
    assert decision.watch(_outcomes([0.0, 1.0] * (DECIDED_AT // 2) + [0.5])) == DECIDED_AT - 1
    assert decision.task == "binary"


@pytest.mark.parametrize("cut", [1, 7, 500, 999])
def test_any_cut_and_a_restore_between_decide_the_same(cut: int) -> None:
    rows = _outcomes([0.0, 1.0, "a", "b"] * (DECIDED_AT // 4))
    first = TaskDecision()
    assert first.watch(rows.take(np.arange(cut))) is None
    second = TaskDecision()
    second.restore(first.snapshot())
    assert second.watch(rows.take(np.arange(cut, DECIDED_AT))) == DECIDED_AT - 1 - cut
    assert second.task == "multiclass"
