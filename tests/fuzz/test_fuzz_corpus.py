"""The fixed corpus: inputs that reached new code, and every input that ever found something, through their targets."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import findings, interesting
from tests.fuzz.target import Target, framed, frames
from tests.fuzz.targets import TARGETS

EVERY = pytest.mark.parametrize("name", TARGETS)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
"""States that were changed hold numbers that no reckoning gives."""


def _target(name: str) -> Target:
    return TARGETS[name]()


@EVERY
def test_seeds_are_read(name: str) -> None:
    target = _target(name)
    assert target.judge(target.seeds())


@pytest.mark.parametrize("name", [name for name in TARGETS if interesting(name)])
def test_what_is_kept_of_earlier_runs_is_still_read_or_refused(name: str) -> None:
    target, inputs = _target(name), interesting(name)
    for start in range(0, len(inputs), 32):
        target.judge(inputs[start : start + 32])


@EVERY
def test_what_found_something_once_finds_nothing_any_more(name: str) -> None:
    for said, data in findings(name).items():
        try:
            _target(name).judge([data])
        except Exception as problem:
            raise AssertionError(f"{said} again") from problem


@EVERY
def test_an_input_has_the_same_children_every_time(name: str) -> None:
    one, other = _target(name), _target(name)
    data = one.seeds()[0]
    assert one.family(data) == other.family(data)


def test_byte_strings_come_back_from_a_frame_whatever_was_done_to_it() -> None:
    assert frames(framed([b"", b"abc", b"\0" * 300])) == [b"", b"abc", b"\0" * 300]
    assert frames(b"\xff\xff\xff\xffabc") == [b"abc"]
    assert frames(b"\0") == [b""]
