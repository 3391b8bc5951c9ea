"""The compiled way of the decoder against the models, and its numbers against Python's."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import numpy as np
import pytest
from decode_oracle import batch_of, expected, label_rows, prediction_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from test_decode_agreement import labels, predictions, records

from schemas import LabelEvent, PredictionEvent, read_json
from streams.decode import Strings
from streams.decode.scan import LabelScan, PredictionScan
from streams.decode.scan.grammar import past_value
from streams.decode.scan.numbers import UNSURE, read_number
from streams.records import RecordBatch

PLAIN: dict[str, Any] = {
    "prediction_id": "a-1", "model": "fraud", "version": "1", "timestamp": "2026-11-22T08:00:00.125Z", "prediction": 1,
    "score": 0.25, "features": {"amount": 12.5, "country": "DE", "new": True, "gone": None},
    "segments": {"region": "eu"},
}  # fmt: skip


def scanned(values: list[bytes | None], strings: Strings) -> list[dict[str, Any]] | None:
    columns = PredictionScan(("region",), lambda _: "1").columns(batch_of(values), strings)
    return None if columns is None else prediction_rows(columns, strings)


def out_of_time(kind: type[PredictionEvent | LabelEvent], value: bytes | None) -> bool:
    """Whether an event's time alone is refused, which is the decoder's to do, whichever way it has read it."""
    return (
        [refusal[2] for refusal in expected(kind, [value])[1]] == ["timestamp"]
        and value is not None
        and bool(kind.read(read_json(value)))
    )


@settings(derandomize=True, deadline=None, max_examples=300)
@given(records(predictions()))
def test_what_it_takes_of_predictions_the_model_takes_with_equal_values(values: list[bytes | None]) -> None:
    for value in values:
        found = scanned([value], Strings())
        if found is not None:
            assert (found, []) == expected(PredictionEvent, [value]) or out_of_time(PredictionEvent, value)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(records(labels()))
def test_what_it_takes_of_labels_the_model_takes_with_equal_values(values: list[bytes | None]) -> None:
    for value in values:
        strings = Strings()
        columns = LabelScan().columns(batch_of([value]), strings)
        if columns is not None:
            assert (label_rows(columns, strings), []) == expected(LabelEvent, [value]) or out_of_time(LabelEvent, value)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-200),
        ),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_plain_batches_are_taken_whole(drawn: list[tuple[str, float]], spaced: bool) -> None:
    """As a service writes them: other models and values, the same fields; spaces or none."""
    events = [
        PLAIN
        | {"prediction_id": f"id-{i}", "model": name, "score": {"0": 0.5, "1": value}, "extra": {"a": [1, {}, []]}}
        if i % 3
        else PLAIN | {"prediction_id": i, "features": {name: value, "text": f"t{i}"}, "label_key": "k", "weight": value}
        for i, (name, value) in enumerate(drawn)
    ]
    values: list[bytes | None] = [
        json.dumps(event, indent=1 if spaced else None, separators=(", ", ": ") if spaced else (",", ":")).encode()
        for event in events
    ]
    strings = Strings(["known", "before"])
    assert scanned(values, strings) == expected(PredictionEvent, values)[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"fraud"', '"fr\\u0061ud"'),  # an escape
        ('"score": 0.25', '"score": 0.25, "score": 0.5'),  # a key twice
        ('"country": "DE"', '"amount": 1'),  # a feature twice
        ('"score": 0.25', '"score": 1e101'),
        ('"score": 0.25', '"score": 012'),
        ('"score": 0.25', '"score": NaN'),
        ('"score": 0.25', '"score": 0.1234567890123456789'),
        ('"prediction": 1', '"prediction": 9007199254740993'),
        ('"prediction": 1', '"prediction": null'),
        ('"a-1"', '""'),
        ('"a-1"', f'"{"x" * 257}"'),
        ("125Z", "125"),
        ('"eu"', "5"),
        ('"eu"}', '"eu",}'),
        ('"eu"}}', '"eu"}} {}'),
        ('"eu"}}', '"eu"}'),
        ('"version": "1"', '"version": 1'),
        ('"version": "1"', '"other": [1, 2'),
        ('"version": "1"', '"other": {"a" 1}'),
        ('"version": "1"', '"error": ""'),
    ],
)
def test_it_leaves_to_the_careful_way_what_it_is_not_sure_of(before: str, after: str) -> None:
    text = json.dumps(PLAIN)
    assert scanned([text.encode()], Strings()) is not None
    assert before in text
    assert scanned([text.encode(), text.replace(before, after, 1).encode()], Strings()) is None


def test_a_cut_character_is_not_healed_by_its_neighbours() -> None:
    euro = json.dumps(PLAIN | {"version": "€"}, ensure_ascii=False).encode()
    assert scanned([euro, euro], Strings()) == expected(PredictionEvent, [euro, euro])[0]
    assert scanned([euro.replace("€".encode(), b"\xe2\x82")], Strings()) is None


def test_texts_keep_the_codes_they_were_given_elsewhere_and_the_table_grows() -> None:
    strings = Strings()
    scan = PredictionScan(("region",), lambda _: "1")
    for batch in range(6):
        strings.code(f"from elsewhere {batch}")
        values: list[bytes | None] = [
            json.dumps(PLAIN | {"version": f"{batch}-{i}-{'x' * 40}", "variant": f"from elsewhere {batch}"}).encode()
            for i in range(150)
        ]
        columns = scan.columns(batch_of(values), strings)
        assert columns is not None
        assert prediction_rows(columns, strings) == expected(PredictionEvent, values)[0]
    assert len(set(strings.texts)) == len(strings.texts) > 6 * 150
    assert all(strings.code(text) == code for code, text in enumerate(list(strings.texts)))


def test_after_batches_it_was_not_sure_of_it_lets_some_pass_and_comes_back() -> None:
    scan = LabelScan()
    good, bad = b'{"prediction_id":"a","label":1}', b'{"prediction_id":"\\u0061","label":1}'

    def taken(value: bytes) -> bool:
        batch: RecordBatch = batch_of([value])
        return scan.columns(batch, Strings()) is not None

    assert taken(good)
    assert not taken(bad)
    assert [taken(good) for _ in range(3)] == [False, True, True]
    for _ in range(300):
        taken(bad)
    assert sum(taken(good) for _ in range(200)) >= 100


def numbers(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        match draw.randrange(6):
            case 0:
                texts.append(repr(draw.random() * 10.0 ** draw.randint(-9, 9)))
            case 1:
                texts.append(repr(struct.unpack("d", draw.randbytes(8))[0]))
            case 2:
                texts.append(f"{draw.getrandbits(draw.randint(1, 59))}e{draw.randint(-70, 70)}")
            case 3:
                texts.append(f"{draw.uniform(-1000, 1000):.{draw.randint(0, 6)}f}")
            case 4:  # half way between two neighbours
                texts.append(str((1 << 53) + 2 * draw.getrandbits(50) + 1) + draw.choice(["", ".0", "e3", "e-20"]))
            case _:
                texts.append(str(draw.randint(-(10**18) + 1, 10**18 - 1)))
    return [text for text in texts if text[-1].isdigit()]


def test_numbers_are_those_of_python_to_the_last_bit() -> None:
    unsure = 0
    texts = numbers(1, 60_000)
    for text in texts:
        after, value, whole = read_number(np.frombuffer(text.encode() + b",", np.uint8), 0)
        if after == UNSURE:
            unsure += 1
        else:
            assert (after, struct.pack("d", value)) == (len(text), struct.pack("d", float(text))), text
            assert whole == text.lstrip("-").isdigit()
    assert unsure < 0.1 * len(texts)


@pytest.mark.parametrize("text", ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "-a", "-0", "9" * 19, "1e400"])
def test_what_is_no_plain_number_is_left_alone(text: str) -> None:
    assert read_number(np.frombuffer(text.encode() + b",\n", np.uint8), 0)[0] == UNSURE


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("ab ", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(VALUES, st.sampled_from([None, 1]), st.integers(0, 200), st.sampled_from(list(b'{}[],:"1 tn')))
def test_a_value_nobody_asked_for_is_checked_and_passed_over(
    value: Any, indent: int | None, at: int, byte: int
) -> None:
    text = json.dumps(value, indent=indent).encode()
    assert past_value(np.frombuffer(text + b",\n", np.uint8), 0, len(text)) == len(text)
    broken = bytearray(text)
    broken[at % len(broken)] = byte
    end = past_value(np.frombuffer(bytes(broken) + b"\n", np.uint8), 0, len(broken))
    if end != UNSURE:
        json.loads(bytes(broken[:end]))
