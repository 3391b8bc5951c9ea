"""Decoding record by record: what is refused and why, what counts as what, privacy, and dead letters."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decode_oracle import NOW, batch_of, label_rows, prediction_rows, refused

from schemas import Config, DeadLetter, PredictionEvent, load_config, parse_timestamp
from streams.decode import LabelDecoder, PredictionDecoder, Privacy, Refusal, Span, Strings, dead_letter
from streams.decode.timestamps import BAD, parse_times
from streams.decode.vectors import packed
from streams.records import RecordBatch, TopicPartition

LEAST: dict[str, Any] = {"prediction_id": "p", "model": "m", "timestamp": NOW, "prediction": 1}
HOUR, DAY = 3_600_000, 86_400_000


def prediction(**changes: Any) -> bytes:
    return json.dumps({**LEAST, **changes}).encode()


def decode(*values: bytes | None, decoder: PredictionDecoder | None = None) -> tuple[list[dict[str, Any]], list[Any]]:
    strings = Strings()
    decoded = (decoder or PredictionDecoder(segment_keys=("region",))).decode(batch_of(values), strings)
    return prediction_rows(decoded.columns, strings), refused(decoded.refusals)


def test_what_is_not_json_is_invalid_json() -> None:
    for value in (b"", b"{", b"{'a': 1}", b"\xef\xbb\xbf{}", b'{"a":01}', prediction() + b"x", prediction() * 2):
        assert decode(value) == ([], [(0, "invalid_json", None)])


def test_json_nested_too_deeply_is_invalid_json_and_harms_nothing_else() -> None:
    deep = b'{"note":' + b"[" * 200_000 + b"]" * 200_000 + b"," + prediction()[1:]
    rows, refusals = decode(prediction(), deep, prediction())
    assert [row["place"] for row in rows] == [0, 2]
    assert refusals == [(1, "invalid_json", None)]


def test_of_a_key_given_twice_the_last_counts() -> None:
    twice = b'{"model":7,"features":{"a":"x","b":1,"a":2},' + prediction()[1:]
    rows, _ = decode(twice.replace(b'"model":7', b'"model":"n"'), twice)
    assert [(row["model"], row["features"]) for row in rows] == [("m", {"a": 2.0, "b": 1.0})] * 2


def test_json_that_is_no_object_is_invalid_type() -> None:
    assert decode(b"[1]", b"null") == ([], [(0, "invalid_type", None), (1, "invalid_type", None)])


def test_bytes_that_are_not_utf_8_are_invalid_utf8_wherever_they_are() -> None:
    unknown = b'{"note":"\xff",' + prediction()[1:]
    assert decode(prediction(), unknown)[1] == [(1, "invalid_utf8", None)]


def test_a_lone_surrogate_is_invalid_utf8_in_a_field_that_is_read_and_nothing_in_another() -> None:
    assert decode(prediction(model="\ud800"))[1] == [(0, "invalid_utf8", "model")]
    assert decode(prediction(note="\ud800"))[1] == []


def test_a_required_field_that_is_not_there_is_missing_field() -> None:
    value = json.dumps({key: LEAST[key] for key in ("prediction_id", "model", "prediction")}).encode()
    assert decode(value)[1] == [(0, "missing_field", "timestamp")]


def test_a_field_of_another_type_is_invalid_type() -> None:
    assert decode(prediction(score="0.5"))[1] == [(0, "invalid_type", "score")]


def test_a_number_beyond_1e100_is_out_of_range_also_where_its_feature_is_dropped_or_hashed() -> None:
    value = prediction(features={"a": 1e101})
    for privacy in (Privacy(), Privacy(frozenset({"a"})), Privacy(hashed=frozenset({"a"}), key=b"k")):
        assert decode(value, decoder=PredictionDecoder((), ("region",), privacy=privacy))[1] == [
            (0, "out_of_range", "features.a")
        ]


def test_an_id_of_more_than_256_bytes_is_out_of_range() -> None:
    assert decode(prediction(prediction_id="ü" * 129))[1] == [(0, "out_of_range", "prediction_id")]
    assert decode(prediction(label_key="x" * 257))[1] == [(0, "out_of_range", "label_key")]
    assert decode(prediction(prediction_id="ü" * 128))[1] == []


def test_a_value_of_more_than_640_kib_is_too_large() -> None:
    assert decode(prediction(note="x" * 640 * 1024), prediction())[1] == [(0, "too_large", None)]


def test_an_event_more_than_max_future_ahead_of_its_record_is_future_timestamp() -> None:
    span = Span(max_future=HOUR, max_past=DAY)
    decoder = PredictionDecoder(segment_keys=("region",), span=span)
    rows, refusals = decode(prediction(timestamp=NOW + HOUR), prediction(timestamp=NOW + HOUR + 1), decoder=decoder)
    assert [row["timestamp"] for row in rows] == [NOW + HOUR]
    assert refusals == [(1, "future_timestamp", "timestamp")]


def test_an_event_more_than_max_past_behind_its_record_is_out_of_range() -> None:
    rows, refusals = decode(prediction(timestamp=NOW - 400 * DAY), prediction(timestamp=NOW - 400 * DAY - 1))
    assert [row["timestamp"] for row in rows] == [NOW - 400 * DAY]
    assert refusals == [(1, "out_of_range", "timestamp")]


def test_epoch_seconds_are_out_of_range_and_nanoseconds_in_the_future() -> None:
    assert decode(prediction(timestamp=NOW // 1000))[1] == [(0, "out_of_range", "timestamp")]
    assert decode(prediction(timestamp=NOW * 1000))[1] == [(0, "future_timestamp", "timestamp")]


def test_a_label_without_a_time_has_its_records() -> None:
    strings = Strings()
    decoded = LabelDecoder().decode(batch_of([b'{"prediction_id":1,"label":"fraud"}']), strings)
    assert label_rows(decoded.columns, strings) == [
        {"place": 0, "timestamp": NOW, "label_key": "1", "model": None, "class": "fraud", "weight": None,
         "withdrawn": False}
    ]  # fmt: skip


@pytest.mark.parametrize("time", [2**53 + 1, 2**62, 2**63 - 1, -(2**53) - 1, -(2**63)])
def test_a_label_without_a_time_on_a_record_of_an_impossible_time_is_out_of_range(time: int) -> None:
    batch = RecordBatch(
        TopicPartition("labels", 0),
        np.arange(2),
        np.array([time, NOW]),
        [b'{"prediction_id":1,"label":1}', b'{"prediction_id":2,"label":1}'],
    )
    decoded = LabelDecoder().decode(batch, Strings())
    assert [(refusal.place, refusal.code) for refusal in decoded.refusals] == [(0, "out_of_range")]
    assert decoded.columns.timestamp.tolist() == [NOW]


def test_a_label_of_null_is_withdrawn() -> None:
    decoded = LabelDecoder().decode(batch_of([b'{"prediction_id":1,"label":null}']), Strings())
    assert decoded.columns.withdrawn.tolist() == [1]


def test_one_class_written_in_four_ways_is_one_number() -> None:
    rows, _ = decode(*(prediction(prediction=value) for value in (1, 1.0, True, "1")))
    assert [row["class"] for row in rows] == ["1"] * 4


def test_an_integer_beyond_2_to_the_53_stays_exact() -> None:
    rows, _ = decode(*(prediction(prediction=value) for value in (2**53, 2**53 + 1, str(2**53 + 1), 10**30)))
    assert [row["class"] for row in rows] == [str(2**53), str(2**53 + 1), str(2**53 + 1), str(10**30)]


def test_the_score_of_a_map_is_that_of_the_models_positive_class() -> None:
    decoder = PredictionDecoder(segment_keys=("region",), positive_label={"a": "yes", "b": "0"}.__getitem__)
    rows, _ = decode(
        prediction(model="a", score={"yes": 0.25, "no": 0.75}),
        prediction(model="b", score={"0": 0.125, "1": 0.875}),
        prediction(model="b", score={"1": 0.875}),
        prediction(model="b", score=0.5),
        decoder=decoder,
    )
    assert [row["score"] for row in rows] == [0.25, 0.125, None, 0.5]
    assert rows[0]["scores"] == {"yes": 0.25, "no": 0.75}
    assert rows[3]["scores"] == {}


def test_python_s_nan_and_infinity_are_missing_features_and_do_not_harm_the_rest_of_the_batch() -> None:
    value = b'{"prediction_id":"p","model":"m","timestamp":1795334400125,"prediction":1,"features":{"a":NaN,"b":2}}'
    rows, refusals = decode(prediction(features={"a": 1.0, "b": "x"}), value)
    assert refusals == []
    assert [row["features"] for row in rows] == [{"a": 1.0, "b": "x"}, {"a": None, "b": 2.0}]


def test_dropped_features_leave_no_trace_and_hashed_ones_a_keyed_hash() -> None:
    privacy = Privacy(frozenset({"name"}), frozenset({"iban"}), b"key")
    strings = Strings()
    values = [
        prediction(features={"name": "Ann", "iban": "DE1", "amount": 1.5}, attributions={"name": 0.5, "amount": 0.25}),
        prediction(features={"amount": 2.5, "iban": 7}),
        prediction(features={"name": "Bob"}),
        prediction(features={"iban": None}),
    ]
    decoder = PredictionDecoder((), ("region",), privacy=privacy)
    decoded = decoder.decode(batch_of(values), strings)

    def digest(text: str) -> str:
        return hashlib.blake2b(text.encode(), digest_size=16, key=b"key").hexdigest()

    rows = prediction_rows(decoded.columns, strings)
    assert [row["features"] for row in rows] == [
        {"iban": digest("DE1"), "amount": 1.5},
        {"amount": 2.5, "iban": digest("7")},
        {},
        {"iban": None},
    ]
    assert rows[0]["attributions"] == {"amount": 0.25}
    assert not {"Ann", "Bob", "DE1", "name"} & set(strings.texts)


def test_columns_do_not_depend_on_how_records_are_cut_into_batches() -> None:
    random_ = random.Random(5)
    pool = [
        prediction(prediction_id=f"id-{i}", prediction=random_.choice([0, "a", True, 2.5, 10**20]),
                   features=random_.choice([{"a": 1.5}, {"b": "x", "a": None}, {}, None, {"a": True}]),
                   timestamp=random_.choice([NOW, "2026-11-22T08:00:00Z", 7, "then"]),
                   label_key=random_.choice([None, i, "k"]), score=random_.choice([None, 0.5, {"1": 0.25}]))
        for i in range(60)
    ]  # fmt: skip
    together = decode(*pool)[0]
    single = [row for value in pool for row in decode(value)[0]]
    assert [{**row, "place": 0} for row in together] == single


def test_a_batch_of_nothing_or_of_tombstones_alone_decodes_to_nothing() -> None:
    for values in ([], [None, None], [b"", None]):
        decoded = PredictionDecoder().decode(batch_of(values), Strings())
        assert (len(decoded.columns), decoded.tombstones) == (0, values.count(None))
        labels = LabelDecoder().decode(batch_of(values), Strings())
        assert (len(labels.columns), labels.tombstones) == (0, values.count(None))


def test_codes_are_given_in_order_of_appearance() -> None:
    strings = Strings(["kept"])
    values = [prediction(model=name) for name in ("z", "a", "z", "m")]
    decoded = PredictionDecoder().decode(batch_of(values), strings)
    assert strings.texts == ["kept", "z", "a", "m"]
    assert decoded.columns.model.tolist() == [1, 2, 1, 3]
    assert decoded.columns.offset.tolist() == [100, 102, 104, 106]


def test_fields_map_a_path_an_exact_dotted_key_or_leave_a_field_out() -> None:
    decoder = PredictionDecoder({"prediction_id": "request.id", "score": "output.proba"}, ("region",))
    base = {"model": "m", "timestamp": NOW, "prediction": 1}
    rows, refusals = decode(
        json.dumps({**base, "request": {"id": 5}, "output": {"proba": 0.5}}).encode(),
        json.dumps({**base, "request.id": "x", "request": {"id": 5}}).encode(),
        json.dumps({**base, "request": 5, "prediction_id": "not this one"}).encode(),
        decoder=decoder,
    )
    assert [(row["prediction_id"], row["score"]) for row in rows] == [("5", 0.5), ("x", None)]
    assert refusals == [(2, "missing_field", "prediction_id")]


def test_fields_add_single_entries_to_segments_and_features() -> None:
    fields = {"segments.region": "country", "features.amount": "order.total", "features": "inputs"}
    rows, refusals = decode(
        json.dumps({**LEAST, "country": "DE", "order": {"total": 5}, "inputs": {"age": 30}}).encode(),
        json.dumps({**LEAST, "segments": {"device": "phone"}, "inputs": None}).encode(),
        json.dumps({**LEAST, "segments": 7, "country": "DE"}).encode(),
        decoder=PredictionDecoder(fields, ("region",)),
    )
    assert [(row["region"], row["features"]) for row in rows] == [("DE", {"age": 30.0, "amount": 5.0}), (None, {})]
    assert refusals == [(2, "invalid_type", "segments")]


def test_decoders_follow_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "streamgauge.yaml"
    path.write_text(
        "fields: {model: served_by}\nlabel_fields: {label: truth}\n"
        "defaults: {segments: [region], join: {max_future: 2h}}\nmodels: {m: {positive_label: true}}\n"
        "privacy: {drop_features: [a], hash_features: [b], hash_key: secret}\n"
    )
    config = load_config(path, {})
    event = {"prediction_id": 1, "served_by": "m", "timestamp": NOW + 2 * HOUR, "prediction": 1,
             "score": {"1": 0.75}, "features": {"a": 1, "b": 2}, "segments": {"region": "eu"}}  # fmt: skip
    (row,), refusals = decode(json.dumps(event).encode(), decoder=PredictionDecoder.from_config(config))
    assert refusals == []
    assert (row["model"], row["region"], row["score"]) == ("m", "eu", 0.75)
    assert list(row["features"]) == ["b"]
    labels = LabelDecoder.from_config(config).decode(batch_of([b'{"prediction_id":1,"truth":1}']), Strings())
    assert labels.columns.label.tolist() == [1]


def test_a_dead_letter_names_the_record_and_quotes_nothing_unless_told_to() -> None:
    batch = batch_of([prediction(), b"{" + b"x" * 100_000])
    refusal = Refusal(1, "invalid_json", "the value is not JSON", None)
    record = dead_letter(refusal, batch, Config())
    assert (record.topic, record.key) == ("dead-letters", b"key-1")
    letter = DeadLetter.model_validate_json(record.value or b"")
    assert letter.source.model_dump() == {
        "topic": "predictions", "partition": 3, "offset": 102, "timestamp": "2026-11-22T08:00:00.125Z",
    }  # fmt: skip
    assert (letter.key, letter.value) == (None, None)

    full = dead_letter(refusal, batch, Config.model_validate({"privacy": {"dead_letter_value": "full"}}))
    letter = DeadLetter.model_validate_json(full.value or b"")
    assert base64.b64decode(letter.key or "") == b"key-1"
    assert base64.b64decode(letter.value or "") == (batch.values[1] or b"")[: 64 * 1024]


def test_a_dead_letter_has_the_same_id_however_often_it_is_made() -> None:
    batch = batch_of([b"{"])
    refusal = Refusal(0, "invalid_json", "the value is not JSON")
    headers = dict(dead_letter(refusal, batch, Config()).headers)
    again = dict(dead_letter(refusal, batch, Config(), clock=NOW + 1).headers)
    assert headers["ce_id"] == again["ce_id"]
    assert again["ce_time"] == b"2026-11-22T08:00:00.126Z"
    assert headers["ce_type"] == b"io.streamgauge.dead_letter.v1"
    assert headers["ce_source"] == b"/streamgauge/streamgauge"
    other = dict(dead_letter(refusal, batch_of([b"{"], topic="labels"), Config()).headers)
    assert other["ce_id"] != headers["ce_id"]


@pytest.mark.parametrize("timestamp", [-1, 10**17])
def test_a_dead_letter_comes_of_a_record_with_any_timestamp(timestamp: int) -> None:
    record = dead_letter(Refusal(0, "invalid_json", "…"), batch_of([b"{"], now=timestamp), Config())
    DeadLetter.model_validate_json(record.value or b"")


def test_the_compiled_time_parser_says_what_the_models_say() -> None:
    random_ = random.Random(7)
    texts = ["", "2026-11-22", "2026-11-22T08:00:00.Z", "2026-11-22T08:00:00.12", "2024-02-29T23:59:60.999999+23:59"]
    for _ in range(20_000):
        text = (
            f"{random_.randint(1, 9999):04d}-{random_.randint(0, 13):02d}-{random_.randint(0, 32):02d}"
            f"{random_.choice('TTTt -')}{random_.randint(0, 24):02d}:{random_.randint(0, 60):02d}"
            f":{random_.randint(0, 61):02d}{random_.choice(['', '.1', '.12', '.125', '.1259', '.'])}"
            f"{random_.choice(['Z', 'z', '+01:30', '-00:00', '+24:00', '+0100', ''])}"
        )
        if random_.random() < 0.1:
            at = random_.randrange(len(text))
            text = text[:at] + random_.choice("0Z:-+.x") + text[at + random_.randint(0, 1) :]
        texts.append(text)

    def by_model(text: str) -> int:
        try:
            return parse_timestamp(text)
        except ValueError:
            return int(BAD)

    keys = packed(texts)
    found = parse_times(keys.data, keys.ends)
    assert found.tolist() == [by_model(text) for text in texts]
    assert np.count_nonzero(found != BAD) > 5_000


def test_the_wire_knows_every_field_of_the_model() -> None:
    from streams.decode.wire import LabelWire, PredictionWire

    assert set(PredictionWire.__struct_fields__) == set(PredictionEvent.model_fields)
    assert set(LabelWire.__struct_fields__) == {"prediction_id", "label_key", "label", "timestamp", "model", "weight"}
