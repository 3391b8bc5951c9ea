"""The fast decoder and the models, neither calling the other, on generated and mutated records."""

from __future__ import annotations

import json
from typing import Any

from decode_oracle import (
    NOW,
    batch_of,
    expected,
    label_rows,
    prediction_rows,
    refused,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import LabelEvent, PredictionEvent
from streams.decode import LabelDecoder, PredictionDecoder, Strings

TEXTS = st.one_of(
    st.sampled_from(["", "a", "1", "1.0", "-0", "1e5", "true", "fraud", "ü", "😀", "x" * 256, "x" * 257, "ü" * 128]),
    st.text(max_size=6),
)
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e100, -1e100, 1.1e100, 5e-324, 2**53, 2**53 + 1, -(2**64), 10**30, 10**400, 1e16]),
)
TIMES = st.one_of(
    st.sampled_from([NOW, NOW + 3_600_000, NOW + 3_600_001, NOW // 1000, 2**53 + 1, 10**40, float(NOW), True]),
    st.sampled_from(
        [
            "2026-11-22T08:00:00.125Z",
            "2026-11-22t08:00:00z",
            "2026-11-22 09:30:00.1+01:30",
            "2026-11-22T08:00:00.123456789-00:00",
            "2026-11-22T08:00:60Z",
            "2026-02-29T08:00:00Z",
            "2026-11-22T08:00:00",
            "2026-11-22T24:00:00Z",
            "2026-11-22T08:00:00.Z",
            "2026-11-22T08:00:00+24:00",
            "２026-11-22T08:00:00Z",
            "0000-11-22T08:00:00Z",
            "9999-12-31T23:59:59Z",
        ]
    ),
    TEXTS,
)
SCALARS = st.one_of(st.none(), st.booleans(), TEXTS, NUMBERS)
MAPS = st.dictionaries(st.sampled_from(["amount", "country", "a", "1", "fraud", "region"]), SCALARS, max_size=4)
ANYTHING = st.one_of(SCALARS, MAPS, TIMES, st.lists(st.integers(), max_size=2))
FIELDS = list(PredictionEvent.model_fields)


@st.composite
def predictions(draw: Any) -> dict[str, Any]:
    event = {
        "prediction_id": draw(st.one_of(st.text("abc", min_size=1, max_size=4), st.integers())),
        "model": draw(st.sampled_from(["fraud", "demand"])),
        "timestamp": draw(st.sampled_from(["2026-11-22T08:00:00.125Z", NOW])),
        "prediction": draw(st.one_of(st.integers(0, 2), st.booleans(), TEXTS)),
        "features": {"amount": draw(st.floats(-10, 10)), "country": draw(st.sampled_from(["DE", "FR", None]))},
        "segments": {"region": "eu"},
        "score": draw(st.one_of(st.none(), st.floats(0, 1), st.just({"0": 0.25, "1": 0.75}))),
        "extra": draw(ANYTHING),
    }
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        event[draw(st.sampled_from(FIELDS))] = draw(ANYTHING)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        event.pop(draw(st.sampled_from(FIELDS)), None)
    return event


@st.composite
def labels(draw: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"prediction_id": draw(st.text("abc", min_size=1, max_size=4)), "label": draw(SCALARS)}
    for _ in range(draw(st.sampled_from([0, 1, 2]))):
        event[draw(st.sampled_from(list(LabelEvent.model_fields)))] = draw(ANYTHING)
    for _ in range(draw(st.sampled_from([0, 0, 1]))):
        event.pop(draw(st.sampled_from(["prediction_id", "label"])), None)
    return event


@st.composite
def records(draw: Any, events: st.SearchStrategy[dict[str, Any]]) -> list[bytes | None]:
    """A batch: mostly well-formed records, some with bytes changed, some cut in two, some run together."""
    values: list[bytes | None] = []
    for event in draw(st.lists(events, min_size=1, max_size=5)):
        data = json.dumps(event, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, 1])))
        value = data.encode(errors="surrogatepass")
        match draw(st.integers(0, 11)):
            case 0:
                at, byte = draw(st.integers(0, len(value) - 1)), draw(st.binary(max_size=2))
                value = value[:at] + byte + value[at + 1 :]
            case 1:
                at = draw(st.integers(0, len(value)))
                values.append(value[:at])
                value = value[at:]
            case 2:
                value = value + draw(st.sampled_from([b"", b" ", b"\n", b","])) + value
            case 3:
                values.append(draw(st.sampled_from([None, b"", b"{}", b"null", b" ", b"[]", b"\xef\xbb\xbf{}"])))
        values.append(value)
    return values


@settings(derandomize=True, deadline=None, max_examples=150)
@given(records(predictions()))
def test_what_the_fast_decoder_accepts_of_predictions_the_model_accepts_with_equal_values(
    values: list[bytes | None],
) -> None:
    strings = Strings()
    decoder = PredictionDecoder(segment_keys=("region",), ask_the_model=False)
    found = prediction_rows(decoder.decode(batch_of(values), strings).columns, strings)
    by_place = {row["place"]: row for row in expected(PredictionEvent, values)[0]}
    assert found == [by_place.get(row["place"]) for row in found]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(records(labels()))
def test_what_the_fast_decoder_accepts_of_labels_the_model_accepts_with_equal_values(
    values: list[bytes | None],
) -> None:
    strings = Strings()
    found = label_rows(LabelDecoder(ask_the_model=False).decode(batch_of(values), strings).columns, strings)
    by_place = {row["place"]: row for row in expected(LabelEvent, values)[0]}
    assert found == [by_place.get(row["place"]) for row in found]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(records(predictions()))
def test_predictions_are_decoded_and_refused_as_the_model_alone_would(values: list[bytes | None]) -> None:
    strings = Strings()
    decoded = PredictionDecoder(segment_keys=("region",)).decode(batch_of(values), strings)
    rows, refusals = expected(PredictionEvent, values)
    assert prediction_rows(decoded.columns, strings) == rows
    assert refused(decoded.refusals) == refusals
    assert decoded.tombstones == values.count(None)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(records(labels()))
def test_labels_are_decoded_and_refused_as_the_model_alone_would(values: list[bytes | None]) -> None:
    strings = Strings()
    decoded = LabelDecoder().decode(batch_of(values), strings)
    rows, refusals = expected(LabelEvent, values)
    assert label_rows(decoded.columns, strings) == rows
    assert refused(decoded.refusals) == refusals
    assert decoded.tombstones == values.count(None)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(predictions(), min_size=1, max_size=4), st.lists(labels(), min_size=1, max_size=4))
def test_events_in_a_users_own_format_decode_as_the_same_events_in_the_contracts(
    outputs: list[dict[str, Any]], truths: list[dict[str, Any]]
) -> None:
    fields = {"prediction_id": "request.id", "score": "output.proba", "model": "served_by", "features": "input"}
    own = []
    for event in outputs:
        other = {key: value for key, value in event.items() if key not in fields}
        other["request"] = {"id": event["prediction_id"]} if "prediction_id" in event else {}
        other["output"] = {"proba": event["score"]} if "score" in event else {}
        other |= {fields[key]: event[key] for key in ("model", "features") if key in event}
        own.append(json.dumps(other).encode())
    strings = Strings()
    decoded = PredictionDecoder(fields, ("region",)).decode(batch_of(own), strings)
    rows, refusals = expected(PredictionEvent, [json.dumps(event).encode() for event in outputs])
    assert prediction_rows(decoded.columns, strings) == rows
    assert refused(decoded.refusals) == refusals

    values = []
    for event in truths:
        other = {key: value for key, value in event.items() if key != "label"}
        values.append(json.dumps(other | ({"truth": {"was": event["label"]}} if "label" in event else {})).encode())
    decoded_labels = LabelDecoder({"label": "truth.was"}).decode(batch_of(values), strings)
    rows, refusals = expected(LabelEvent, [json.dumps(event).encode() for event in truths])
    assert label_rows(decoded_labels.columns, strings) == rows
    assert refused(decoded_labels.refusals) == refusals
