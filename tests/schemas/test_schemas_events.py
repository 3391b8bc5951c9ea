"""The events: the contract's samples, strict types in, nothing unwritten out, and one sentence for each error."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import ValidationError

from schemas import (
    AlertEvent,
    Baseline,
    DeadLetter,
    InputError,
    LabelEvent,
    MetricEvent,
    MonitorEvent,
    PredictionEvent,
    Rebaseline,
    Silence,
    parse_control,
    read_json,
)

PREDICTION = """{"prediction_id": "7f3c…", "model": "fraud", "version": "2026-11-02",
 "timestamp": "2026-11-22T08:00:00.125Z", "prediction": 1, "score": 0.93,
 "features": {"amount": 120.5, "country": "DE"}, "segments": {"region": "eu"},
 "variant": "champion", "latency_ms": 12.5, "attributions": {"amount": 0.31},
 "error": null}"""
METRIC = """{"event_id": "…", "model": "fraud", "version": "2026-11-02", "variant": "champion",
 "segment": {"region": "eu"}, "window": {"kind": "tumbling", "size_ms": 3600000, "start": "2026-11-22T08:00:00.000Z",
            "end": "2026-11-22T09:00:00.000Z"},
 "revision": 4, "state": "open",
 "counts": {"predictions": 5120, "outcomes": 4310, "unlabelled": 0, "duplicate_predictions": 0, "duplicate_labels": 3,
            "corrected_labels": 1, "withdrawn_labels": 0, "late_labels": 0, "errors": 2},
 "maturity": {"coverage": 0.842, "expected_coverage": 0.86, "coverage_by_prediction": {"0": 0.83, "1": 0.97},
              "mature": false},
 "label_delay_ms": {"p50": 61000, "p90": 240000, "p99": 900000},
 "metrics": {"accuracy": {"value": 0.941, "ci": [0.934, 0.948], "level": 0.95}, "log_loss": {"value": 0.21},
             "roc_auc": {"value": 0.981, "bound": [0.9805, 0.9815]}},
 "service": {"prediction_rate": 1.42, "positive_rate": 0.03, "score_mean": 0.11, "error_rate": 0.0004,
             "latency_ms": {"p50": 11, "p99": 40}},
 "inputs": {"amount": {"count": 5120, "missing": 3, "unseen": 0, "mean": 88.1, "std": 12.0, "p50": 80, "psi": 0.02,
                       "ks": 0.03}}}"""
ALERT = """{"alert_id": "…", "episode_id": "…", "sequence": 3, "status": "firing", "severity": "critical",
 "kind": "drift", "rule": "error/adwin", "model": "fraud", "version": "2026-11-02", "variant": "champion",
 "segment": {}, "subject": "error", "detector": {"name": "adwin", "params": {"delta": 0.0001}}, "statistic": 0.213,
 "threshold": 0.118, "before": {"mean": 0.10, "count": 4800}, "after": {"mean": 0.31, "count": 220},
 "direction": "up", "detected_at": "2026-11-22T09:00:00.000Z", "change_at": "2026-11-22T08:55:00.000Z",
 "observations_since_change": 220, "started_at": "2026-11-22T09:00:00.000Z", "resolved_at": null, "resolution": null,
 "cause": {"topic": "labels", "partition": 2, "offset": 88123, "traceparent": null},
 "suspects": [{"feature": "amount", "detector": "windowed_ks", "statistic": 0.41, "p_value": 3e-9, "direction": "up"}],
 "group_id": "…", "calibration": {"method": "bound", "expected_per_30d": 0.08}, "config_hash": "…",
 "summary": "fraud: error rate rose from 10.0 % to 31.0 % about 220 outcomes ago",
 "annotations": {"runbook": "https://runbooks/fraud"}}"""
DEAD_LETTER = """{"error": {"code": "invalid_json", "message": "…", "field": "timestamp"},
 "source": {"topic": "predictions", "partition": 1, "offset": 42, "timestamp": "2026-11-22T08:00:00.000Z"},
 "key": null, "value": null}"""
LEAST = {"prediction_id": "p", "model": "m", "timestamp": 1, "prediction": 1}


def refusal(document: dict[str, Any], kind: Any = PredictionEvent) -> tuple[str, str | None]:
    with pytest.raises(InputError) as problem:
        kind.read(document)
    assert len(problem.value.message) < 200
    return problem.value.code, problem.value.field


def test_the_contracts_sample_of_each_event_is_one() -> None:
    prediction = PredictionEvent.read(read_json(PREDICTION.encode()))
    assert prediction.timestamp == 1_795_334_400_125
    assert prediction.features == {"amount": 120.5, "country": "DE"}
    label = LabelEvent.read({"prediction_id": "7f3c…", "label": 1, "timestamp": 1, "model": "fraud", "weight": 1.0})
    assert label.key == "7f3c…"
    MetricEvent.model_validate_json(METRIC)
    AlertEvent.model_validate_json(ALERT)
    DeadLetter.model_validate_json(DEAD_LETTER)


def test_events_that_go_out_hold_nothing_unwritten() -> None:
    for kind, sample in [(MetricEvent, METRIC), (AlertEvent, ALERT), (DeadLetter, DEAD_LETTER)]:
        with pytest.raises(ValidationError, match="extra"):
            kind.model_validate({**json.loads(sample), "surprise": 1})


def test_a_number_that_goes_out_is_never_nan() -> None:
    with pytest.raises(ValidationError):
        AlertEvent.model_validate({**json.loads(ALERT), "statistic": float("nan")})


def test_windows_without_a_span_have_no_start_or_end() -> None:
    metric = json.loads(METRIC)
    MetricEvent.model_validate({**metric, "window": {"kind": "rolling", "size": 1000}})
    MetricEvent.model_validate({**metric, "window": {"kind": "cumulative"}})
    with pytest.raises(ValidationError):
        MetricEvent.model_validate({**metric, "window": {**metric["window"], "kind": "cumulative"}})


def test_a_monitor_event_says_what_is_watched() -> None:
    MonitorEvent.model_validate(
        {"model": "fraud", "version": None, "segment": {}, "subject": "error", "detector": "adwin", "state": "armed",
         "reason": None, "reference": "self", "detectable": {"shift": 0.05, "within": 300}}
    )  # fmt: skip


def test_a_field_that_is_missing_or_null_is_named() -> None:
    for field in LEAST:
        without = {key: value for key, value in LEAST.items() if key != field}
        assert refusal(without) == ("missing_field", field)
        assert refusal({**LEAST, field: None}) == ("missing_field", field)


def test_a_prediction_that_failed_needs_no_prediction() -> None:
    event = PredictionEvent.read({**LEAST, "prediction": None, "error": "time-out"})
    assert event.error == "time-out"
    assert refusal({**LEAST, "prediction": None, "error": ""}) == ("missing_field", "prediction")


@pytest.mark.parametrize(
    ("field", "value", "code", "named"),
    [
        ("prediction_id", 1.5, "invalid_type", None),
        ("prediction_id", True, "invalid_type", None),
        ("prediction_id", "", "out_of_range", None),
        ("prediction_id", "x" * 257, "out_of_range", None),
        ("prediction_id", "ü" * 129, "out_of_range", None),
        ("model", 3, "invalid_type", None),
        ("model", "", "out_of_range", None),
        ("timestamp", "2026-11-22T08:00:00", "invalid_type", None),
        ("timestamp", 1.0, "invalid_type", None),
        ("timestamp", 2**60, "out_of_range", None),
        ("prediction", [1], "invalid_type", None),
        ("prediction", 1e101, "out_of_range", None),
        ("prediction", float("nan"), "invalid_type", None),
        ("score", "0.5", "invalid_type", None),
        ("score", {"a": "0.5"}, "invalid_type", None),
        ("score", {"a": 1e101}, "out_of_range", None),
        ("score", {"a\ud800": 0.5}, "invalid_utf8", None),
        ("score", {"a": 0.5, "b": True}, "invalid_type", None),
        ("score", [0.5], "invalid_type", None),
        ("score", float("inf"), "invalid_type", None),
        ("features", [1], "invalid_type", None),
        ("features", {"a": {}}, "invalid_type", "features.a"),
        ("features", {"a": -1e101}, "out_of_range", "features.a"),
        ("segments", {"region": 1}, "invalid_type", "segments.region"),
        ("attributions", {"a": "0.5"}, "invalid_type", "attributions.a"),
        ("attributions", {"a": float("nan")}, "invalid_type", "attributions.a"),
        ("version", 3, "invalid_type", None),
        ("variant", "\ud800", "invalid_utf8", None),
        ("weight", True, "invalid_type", None),
        ("latency_ms", "1", "invalid_type", None),
        ("error", 1, "invalid_type", None),
        ("label_key", 1.0, "invalid_type", None),
    ],
)
def test_types_are_strict_and_the_field_is_named(field: str, value: Any, code: str, named: str | None) -> None:
    assert refusal({**LEAST, field: value}) == (code, named or field)


def test_nan_and_infinity_in_features_count_as_missing() -> None:
    tokens = (
        b'{"prediction_id":"p","model":"m","timestamp":1,"prediction":1,"features":{"a":NaN,"b":-Infinity,"c":null}}'
    )
    assert PredictionEvent.read(read_json(tokens)).features == {"a": None, "b": None, "c": None}


def test_a_number_too_large_for_a_float_is_out_of_range_and_not_infinity() -> None:
    text = b'{"prediction_id":"p","model":"m","timestamp":1,"prediction":1,"features":{"a":1e400}}'
    with pytest.raises(InputError) as problem:
        PredictionEvent.read(read_json(text))
    assert problem.value.code == "out_of_range"
    digits = b'{"prediction_id":"p","model":"m","timestamp":1,"prediction":-' + b"9" * 5000 + b"}"
    with pytest.raises(InputError) as problem:
        PredictionEvent.read(read_json(digits))
    assert (problem.value.code, problem.value.field) == ("out_of_range", "prediction")


def test_an_integer_id_is_its_decimal_text() -> None:
    assert PredictionEvent.read({**LEAST, "prediction_id": 10**20, "label_key": -5}).prediction_id == str(10**20)


def test_unknown_fields_are_ignored() -> None:
    assert PredictionEvent.read({**LEAST, "trace": {"a": [1]}}) == PredictionEvent.read(LEAST)


def test_a_label_key_may_stand_for_the_prediction_id() -> None:
    assert LabelEvent.read({"label_key": "order", "label": 1}).key == "order"
    assert LabelEvent.read({"label_key": "order", "prediction_id": 5, "label": 1}).key == "order"
    assert refusal({"label": 1}, LabelEvent) == ("missing_field", "prediction_id")


def test_a_label_of_null_withdraws_and_a_label_left_out_is_missing() -> None:
    assert LabelEvent.read({"prediction_id": "p", "label": None}).label is None
    assert refusal({"prediction_id": "p"}, LabelEvent) == ("missing_field", "label")


def test_messages_quote_no_values() -> None:
    secret = "DE89370400440532013000"
    for field in ("timestamp", "score", "features", "segments", "weight", "latency_ms", "attributions"):
        with pytest.raises(InputError) as problem:
            PredictionEvent.read({**LEAST, field: secret})
        assert secret not in problem.value.message
    with pytest.raises(InputError) as problem:
        read_json(f'{{"iban": "{secret}", '.encode())
    assert secret not in problem.value.message


def test_control_records_are_read_by_their_key() -> None:
    silence = parse_control("silence/42", b'{"matchers":{"model":"fraud"},"starts_at":1,"ends_at":2,"by":"ann"}')
    assert isinstance(silence.body, Silence)
    assert (silence.kind, silence.name) == ("silence", ("42",))
    baseline = parse_control("baseline/team%2Ffraud/3", b'{"profile":{}}')
    assert isinstance(baseline.body, Baseline)
    assert baseline.name == ("team/fraud", "3")
    rebaseline = parse_control("rebaseline/fraud/3/features.amount", b'{"from":"2026-11-22T08:00:00Z"}')
    assert isinstance(rebaseline.body, Rebaseline)
    assert rebaseline.body.from_ == 1_795_334_400_000
    assert parse_control("ack/e1", b'{"by":"ann"}').body is not None
    assert parse_control("calendar/xmas", b'{"at":1,"until":2,"kind":"holiday","mute":true}').body is not None


def test_a_control_record_without_a_value_is_deleted() -> None:
    assert parse_control("silence/42", None).body is None


@pytest.mark.parametrize(("size", "refused"), [(1000, False), (1001, True)])
def test_what_alerts_tell_of_a_control_record_is_bounded_and_may_always_be_taken_back(size: int, refused: bool) -> None:
    long = "x" * size
    silence = {"matchers": {"model": "fraud"}, "starts_at": 1, "ends_at": 2}
    for key, body in (
        (f"silence/{long}", silence),
        ("silence/1", {**silence, "by": long}),
        ("silence/1", {**silence, "matchers": {"model": long}}),
        ("silence/1", {**silence, "matchers": {f"segment.{i}": "a" for i in range(size // 10 + refused)}}),
        ("ack/1", {"by": long}),
    ):
        with pytest.raises(InputError) if refused else nullcontext() as problem:
            parse_control(key, json.dumps(body).encode())
        assert problem is None or problem.value.code == "out_of_range"
    assert parse_control(f"silence/{long}", None).body is None


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("mute/1", b"{}", "invalid_type"),
        ("baseline/fraud", b"{}", "invalid_type"),
        ("silence/", b"{}", "invalid_type"),
        ("ack/1", b"{", "invalid_json"),
        ("ack/1", b"{}", "missing_field"),
        ("silence/1", b'{"matchers":{"model":"m"},"starts_at":2,"ends_at":1}', "out_of_range"),
        ("silence/1", b'{"matchers":{"colour":"m"},"starts_at":1,"ends_at":2}', "out_of_range"),
        ("silence/1", b'{"matchers":{},"starts_at":1,"ends_at":2}', "invalid_type"),
    ],
)
def test_what_is_not_a_control_record_is_refused(key: str, value: bytes, code: str) -> None:
    with pytest.raises(InputError) as problem:
        parse_control(key, value)
    assert problem.value.code == code
