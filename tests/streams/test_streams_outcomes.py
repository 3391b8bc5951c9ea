"""The outcomes topic's wire format: what is written is what is read, and garbage is refused."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.outcomes import FORMAT, Control, FormatError, Kind, Listed, Rows, Tick, concatenate, decode, encode

TEXTS = ["fraud", "2026", "champion", "eu", "us", "amount", "DE", "größe", ""]
PAYLOADS = [
    (Kind.TICK, msgspec.json.encode(Tick(1, 4, None, True, False, 5))),
    (Kind.CONTROL, msgspec.json.encode(Control("silence/1", b"{}", 7))),
    (Kind.CONTROL, msgspec.json.encode(Control("ack/1", None, 8))),
]


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(0, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    made = Rows.blank(n, list(TEXTS), ("region", "tier"))
    for name in ("model", "version", "variant", "prediction_text", "label_text"):
        setattr(made, name, random.integers(-1, len(TEXTS), n).astype(np.int32))
    made.segments = random.integers(-1, len(TEXTS), (2, n)).astype(np.int32)
    for name in ("number", "refers_to", "timestamp", "prediction_offset", "amount"):
        setattr(made, name, random.integers(-(2**62), 2**62, n))
    for name in ("prediction", "label", "score", "weight"):
        setattr(made, name, np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)))
    made.kind = random.integers(0, 5, n).astype(np.uint8)
    lengths = random.integers(0, 4, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    total = int(offsets[-1])
    made.features = Listed(
        offsets,
        random.integers(0, len(TEXTS), total).astype(np.int32),
        np.where(random.random(total) < 0.5, np.nan, random.normal(size=total)),
        random.integers(-1, len(TEXTS), total).astype(np.int32),
    )
    if n:
        row = draw(st.integers(0, n - 1))
        made.kind[row], payload = draw(st.sampled_from(PAYLOADS))
        made.payloads = {row: payload}
    return made


def _plain(made: Rows) -> list[dict[str, object]]:
    """The rows as plain Python, strings spelled out."""

    def text(code: int) -> str | None:
        return None if code < 0 else made.strings[code]

    plain: list[dict[str, object]] = []
    for i in range(len(made)):
        row: dict[str, object] = {}
        for name in ("kind", "number", "refers_to", "timestamp", "prediction_offset", "amount", "failed", "early"):
            row[name] = int(getattr(made, name)[i])
        for name in ("prediction", "label", "score", "weight", "latency"):
            row[name] = repr(float(getattr(made, name)[i]))
        for name in ("model", "version", "variant", "prediction_text", "label_text"):
            row[name] = text(getattr(made, name)[i])
        row["segments"] = [text(codes[i]) for codes in made.segments]
        listed = made.features
        row["features"] = [
            (text(listed.names[j]), repr(float(listed.values[j])), text(listed.texts[j]))
            for j in range(listed.offsets[i], listed.offsets[i + 1])
        ]
        row["payload"] = made.payloads.get(i)
        plain.append(row)
    return plain


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rows())
def test_what_is_written_is_what_is_read(made: Rows) -> None:
    message = decode(encode(made, join_task=3, commit=17))
    assert (message.join_task, message.commit) == (3, 17)
    assert message.rows.segment_keys == ("region", "tier")
    assert _plain(message.rows) == _plain(made)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rows(), st.randoms())
def test_taking_rows_takes_all_their_columns(made: Rows, random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(made)))
    random.shuffle(order)
    taken = made.take(np.array(order[: len(order) // 2 + 1], np.int64))
    assert _plain(taken) == [_plain(made)[i] for i in order[: len(order) // 2 + 1]]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(rows(), st.integers(0, 12))
def test_rows_cut_in_two_and_put_together_are_the_same(made: Rows, cut: int) -> None:
    whole = np.arange(len(made))
    assert _plain(concatenate([made.take(whole[:cut]), made.take(whole[cut:])])) == _plain(made)


def test_a_message_holds_only_the_strings_it_uses() -> None:
    made = Rows.blank(2, [f"name {i}" for i in range(1000)])
    made.model[:] = 7
    assert decode(encode(made, 0, 1)).rows.strings == ["name 7"]


def test_equal_rows_are_equal_bytes() -> None:
    made = Rows.blank(5, ["m"])
    made.model[:] = 0
    assert encode(made, 0, 1) == encode(made.take(np.arange(5)), 0, 1)


def test_a_reader_with_nothing_but_arrow_can_read_it() -> None:
    made = Rows.blank(1, ["fraud"])
    made.model[0], made.kind[0], made.score[0] = 0, Kind.OUTCOME, 0.25
    table = pa.ipc.open_stream(encode(made, 0, 1)).read_all().to_pylist()
    assert (table[0]["model"], table[0]["kind"], table[0]["score"]) == ("fraud", 1, 0.25)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff" * 100, encode(Rows.blank(3, []), 0, 1)[:200]], ids=range(4))
def test_what_is_not_a_message_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data)


def test_a_newer_format_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.outcomes.FORMAT", FORMAT + 1)
    newer = encode(Rows.blank(1, []), 0, 1)
    monkeypatch.undo()
    with pytest.raises(FormatError, match=f"format {FORMAT + 1}"):
        decode(newer)
