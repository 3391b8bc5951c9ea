"""What every detector of the catalogue promises, whatever its algorithm."""

from __future__ import annotations

import doctest
import struct
import sys
import zlib
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.catalogue import find
from tests.detectors.cases import Case, every

CASES = every()
EACH = [pytest.param(case, id=case.name) for case in CASES]
EVERY = [pytest.param(case, params, id=f"{case.name}-{k}") for case in CASES for k, params in enumerate(case.params)]
TURNED = [each for each in EVERY if each.values[0].knob is not None]  # type: ignore[union-attr]
Params = dict[str, Any]


def test_the_catalogue_is_what_these_tests_cover() -> None:
    assert sorted(detectors.catalog()) == sorted(case.name for case in CASES)


@pytest.mark.parametrize("case", EACH)
def test_the_examples_in_the_docstrings_run(case: Case) -> None:
    result = doctest.testmod(import_module(find(case.name).__module__))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("case", EACH)
def test_the_docstring_gives_theory_memory_an_example_and_the_source(case: Case) -> None:
    told = find(case.name).__doc__ or ""
    assert "Memory: " in told
    assert ">>> " in told
    assert any(str(year) in told for year in range(1900, 2027)), "a paper has a year"


@pytest.mark.parametrize(("case", "params"), EVERY)
def test_a_batch_gives_what_single_values_give(case: Case, params: Params) -> None:
    values = case.stream(1)
    one, many = detectors.build(case.name, **params), detectors.build(case.name, **params)
    single = [i for i, value in enumerate(values) if one.update(value)]
    assert len(single) >= 1
    found = many.update_many(values)
    assert found.dtype == np.int64
    assert found.tolist() == single
    assert one.snapshot() == many.snapshot()


@pytest.mark.parametrize(("case", "params"), EVERY)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 900), max_size=5))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_the_cuts_between_batches_do_not_matter(case: Case, params: Params, seed: int, cuts: list[int]) -> None:
    values = case.stream(seed)
    whole, parts = detectors.build(case.name, **params), detectors.build(case.name, **params)
    bounds = [0, *sorted(cuts), len(values)]
    found = [int(at) + start for start, stop in pairwise(bounds) for at in parts.update_many(values[start:stop])]
    assert found == whole.update_many(values).tolist()
    assert parts.snapshot() == whole.snapshot()
    assert parts.statistic == whole.statistic


@pytest.mark.parametrize(("case", "params"), EVERY)
@given(seed=st.integers(0, 2**32), at=st.integers(0, 900))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_a_restored_detector_goes_on_as_if_it_had_never_stopped(case: Case, params: Params, seed: int, at: int) -> None:
    values = case.stream(seed)
    never = detectors.build(case.name, **params)
    never.update_many(values[:at])
    restored = detectors.restore(never.snapshot())
    assert restored.snapshot() == never.snapshot()
    assert restored.statistic == never.statistic
    assert restored.threshold == never.threshold
    assert restored.update_many(values[at:]).tolist() == never.update_many(values[at:]).tolist()
    assert restored.snapshot() == never.snapshot()
    assert restored.since_change == never.since_change


@pytest.mark.parametrize(("case", "params"), EVERY)
def test_missing_and_infinite_values_are_counted_and_change_nothing_else(case: Case, params: Params) -> None:
    values = case.stream(3)
    good = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    clean, dirty = detectors.build(case.name, **params), detectors.build(case.name, **params)
    places = np.flatnonzero(good)
    assert dirty.update_many(values).tolist() == places[clean.update_many(values[good])].tolist()
    assert dirty.ignored == int((~good).sum()) > 0
    assert dirty.seen == clean.seen == int(good.sum())
    assert dirty.statistic == clean.statistic


@pytest.mark.parametrize("case", EACH)
def test_none_is_a_missing_value(case: Case) -> None:
    detector = detectors.build(case.name, **case.params[0])
    good = case.healthy(np.random.default_rng(0), 1)[0].tolist()
    assert not detector.update(None)
    assert detector.update_many([None, good, None]).tolist() == []
    assert (detector.ignored, detector.seen) == (3, 1)
    if isinstance(good, list):  # a row of several features, of which one is missing
        partly = [None, *good[1:]]
        assert not detector.update(partly)  # type: ignore[arg-type]
        assert detector.update_many([partly, good]).tolist() == []
        assert (detector.ignored, detector.seen) == (5, 2)


@pytest.mark.parametrize(("case", "params"), EVERY)
def test_feed_stops_after_the_first_alarm(case: Case, params: Params) -> None:
    values = case.stream(4)
    whole, fed = detectors.build(case.name, **params), detectors.build(case.name, **params)
    expected = whole.update_many(values).tolist()
    first = fed.feed(values)
    assert first == expected[0]
    assert fed.alarmed
    assert 1 <= fed.since_change <= first + 1
    assert fed.statistic > fed.threshold
    rest = fed.update_many(values[first + 1 :]) + first + 1
    assert [first, *rest.tolist()] == expected


@pytest.mark.parametrize(
    ("case", "params"),
    [each for each in EVERY if not each.values[0].draws],  # type: ignore[union-attr]
)
def test_an_alarm_leaves_nothing_behind(case: Case, params: Params) -> None:
    values = case.stream(4)
    after, fresh = detectors.build(case.name, **params), detectors.build(case.name, **params)
    rest = values[after.feed(values) + 1 :]
    assert after.update_many(rest).tolist() == fresh.update_many(rest).tolist()
    assert after.statistic == fresh.statistic
    assert after.since_change == fresh.since_change


@pytest.mark.parametrize(("case", "params"), EVERY)
def test_a_reset_detector_is_as_new(case: Case, params: Params) -> None:
    values = case.stream(5)
    detector = detectors.build(case.name, **params)
    detector.update_many(values[:500])
    detector.reset()
    fresh = detectors.build(case.name, **params)
    assert detector.update_many(values[500:]).tolist() == fresh.update_many(values[500:]).tolist()


@pytest.mark.parametrize("case", EACH)
def test_a_shift_of_the_kind_it_is_for_is_found_and_health_is_not(case: Case) -> None:
    missed = early = 0
    for seed in range(20):
        rng = np.random.default_rng(1000 + seed)
        detector = detectors.build(case.name, **case.params[0])
        early += len(detector.update_many(case.healthy(rng, case.quiet))) > 0
        missed += len(detector.update_many(case.changed(rng, case.within))) == 0
    assert (missed, early <= 2) == (0, True), f"missed {missed} of 20, alarmed early in {early}"


@pytest.mark.parametrize(("case", "params"), EVERY)
def test_retuned_to_what_it_is_it_is_a_copy_that_goes_its_own_way(case: Case, params: Params) -> None:
    values = case.stream(7)
    detector = detectors.build(case.name, **params)
    detector.update_many(values[:400])
    before = detector.snapshot()
    copy = detector.retuned()
    assert copy.snapshot() == before
    found = copy.update_many(values[400:]).tolist()
    assert detector.snapshot() == before
    assert detector.update_many(values[400:]).tolist() == found
    assert detector.snapshot() == copy.snapshot()


@pytest.mark.parametrize(("case", "params"), TURNED)
def test_retuned_it_alarms_by_its_new_parameters(case: Case, params: Params) -> None:
    """Before an alarm it is as if it had had them from birth; where they shape what it remembers, from a reset on."""
    knob, times = case.knob or ("", 1.0)
    values = case.stream(7)
    loose, probe = detectors.build(case.name, **params), detectors.build(case.name, **params)
    strict = loose.retuned(**{knob: times * getattr(loose.params, knob)})
    first = probe.feed(values)
    assert (loose.feed(values[:first]), strict.feed(values[:first])) == (-1, -1), "what is stricter alarms no sooner"
    for one, other in ((loose, strict), (strict, loose)):
        tuned, expected = one.retuned(**{knob: getattr(other.params, knob)}), other.retuned()
        if case.shaped:
            tuned.reset()
            expected.reset()
        assert tuned.update_many(values[first:]).tolist() == expected.update_many(values[first:]).tolist()
        assert tuned.snapshot() == expected.snapshot()


EXTREMES = {
    "constant": [3.25],
    "zero": [0.0, -0.0],
    "huge": [1.7e308, -1.7e308, 1e200],
    "denormal": [5e-324, -5e-324, 1e-310],
    "missing": [np.nan, np.inf, -np.inf],
}


@pytest.mark.parametrize("extreme", EXTREMES)
@pytest.mark.parametrize("case", EACH)
def test_extreme_values_neither_raise_nor_blind_it(case: Case, extreme: str) -> None:
    rng = np.random.default_rng(9)
    detector = detectors.build(case.name, **case.params[0])
    odd = case.healthy(rng, 200)
    odd.reshape(len(odd), -1)[:] = np.resize(EXTREMES[extreme], 200)[:, None]
    detector.update_many(odd)
    detector.update_many(case.healthy(rng, 2 * case.quiet))
    detector.reset()  # as the pipeline does once the odd values are over
    found = [
        len(detector.update_many(each)) for each in (case.healthy(rng, case.quiet), case.changed(rng, case.within))
    ]
    assert found[1] >= 1
    assert detectors.restore(detector.snapshot()).snapshot() == detector.snapshot()


@pytest.mark.parametrize("case", EACH)
def test_missing_values_alone_do_not_blind_it(case: Case) -> None:
    rng = np.random.default_rng(10)
    detector = detectors.build(case.name, **case.params[0])
    healthy = case.healthy(rng, case.quiet)
    detector.update_many(healthy)
    detector.update_many(np.full_like(healthy, np.nan))
    assert len(detector.update_many(case.changed(rng, case.within))) >= 1


@pytest.mark.parametrize("case", EACH)
def test_nothing_is_drawn_from_hidden_randomness(case: Case) -> None:
    def run() -> tuple[list[int], bytes]:
        detector = detectors.build(case.name, **case.params[0])
        return detector.update_many(case.stream(12)).tolist(), detector.snapshot()

    np.random.seed(1)
    first, state = run(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    assert run() == first
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index,union-attr]


def held(thing: object, known: set[int] | None = None) -> int:
    """Bytes of everything that hangs on an object, each thing once."""
    known = set() if known is None else known
    if id(thing) in known or isinstance(thing, type):
        return 0
    known.add(id(thing))
    size = thing.nbytes if isinstance(thing, np.ndarray) else sys.getsizeof(thing)
    if isinstance(thing, dict):
        size += sum(held(each, known) for pair in thing.items() for each in pair)
    elif isinstance(thing, (list, tuple, set, frozenset)):
        size += sum(held(each, known) for each in thing)
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    size += sum(held(getattr(thing, name), known) for name in slots if hasattr(thing, name))
    return size + held(getattr(thing, "__dict__", None), known)


@pytest.mark.parametrize("case", EACH)
def test_memory_stays_within_its_bound(case: Case) -> None:
    """Over 10 million values, or 100,000 for what takes more than a microsecond each."""
    rng = np.random.default_rng(13)
    detector = detectors.build(case.name, **case.params[0])
    chunk = 10_000 if case.slow else 1_000_000
    for _ in range(5):
        half = case.healthy(rng, chunk), case.changed(rng, chunk)
        for values in half:
            detector.update_many(values)
            assert held(detector) <= detector.memory
    assert len(detector.snapshot()) <= detector.memory + 4096
    assert detector.memory <= 64 * 2**20


@pytest.mark.parametrize(("case", "params"), EVERY)
def test_damaged_bytes_are_refused(case: Case, params: Params) -> None:
    detector = detectors.build(case.name, **params)
    detector.update_many(case.stream(6))
    data = detector.snapshot()
    for wrong in (
        b"",
        b"x",
        data[:-1],
        b"NOPE" + data[4:],
        data + b"\0",
        data[:40] + bytes([data[40] ^ 1]) + data[41:],
    ):
        with pytest.raises(detectors.SnapshotError):
            detectors.restore(wrong)
    with pytest.raises(detectors.SnapshotError, match="version 2"):
        detectors.restore(data[:4] + struct.pack(">H", 2) + data[6:])


@pytest.mark.parametrize(("case", "params"), EVERY)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_a_forged_checksum_never_reaches_the_kernels(case: Case, params: Params, at: int, byte: int) -> None:
    detector = detectors.build(case.name, **params)
    detector.update_many(case.stream(6, 300))
    data = bytearray(detector.snapshot())
    body = data[10:]
    body[at % len(body)] = byte
    data = data[:6] + struct.pack(">I", zlib.crc32(body)) + body
    try:
        restored = detectors.restore(bytes(data))
    except detectors.SnapshotError:
        return
    restored.update_many(case.stream(8, 300))


@pytest.mark.parametrize(
    ("case", "wrong", "sentence"),
    [
        pytest.param(case, wrong, sentence, id=f"{case.name}-{k}")
        for case in CASES
        for k, (wrong, sentence) in enumerate(case.refused)
    ],
)
def test_wrong_parameters_get_a_sentence(case: Case, wrong: Params, sentence: str) -> None:
    with pytest.raises(detectors.ParameterError, match=sentence):
        detectors.build(case.name, **(case.params[0] | wrong))


@pytest.mark.parametrize("case", EACH)
def test_an_unknown_parameter_and_an_unknown_name_get_a_sentence(case: Case) -> None:
    with pytest.raises(detectors.ParameterError, match=f"{case.name} takes the parameters"):
        detectors.build(case.name, **case.params[0], no_such_thing=1)
    with pytest.raises(detectors.ParameterError, match=r"no detector is called 'nothing'; there are .*" + case.name):
        detectors.build("nothing")


@pytest.mark.parametrize("case", EACH)
def test_a_number_of_the_wrong_kind_gets_a_sentence_and_numpys_are_taken(case: Case) -> None:
    own = case.params[0]
    for field in fields(find(case.name).parameters):
        if field.type in ("int", "float"):
            for wrong in ("7", True, [7], *([7.0] if field.type == "int" else [10**400])):
                with pytest.raises(detectors.ParameterError, match=rf"{field.name} must be a|takes the parameters"):
                    detectors.build(case.name, **(own | {field.name: wrong}))
    given = {key: np.asarray(value)[()] if isinstance(value, (int, float)) else value for key, value in own.items()}
    assert detectors.build(case.name, **given).snapshot() == detectors.build(case.name, **own).snapshot()


@pytest.mark.parametrize("case", EACH)
def test_values_of_the_wrong_shape_are_refused(case: Case) -> None:
    with pytest.raises(ValueError, match=r"dimensions|features"):
        detectors.build(case.name, **case.params[0]).update_many(np.zeros((2, 2, 2)))
