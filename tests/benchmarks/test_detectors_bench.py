"""The benchmark of the detectors runs small in the tests, so that it never rots; its times are not looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks import detector_speed as bench


def test_the_benchmark_finds_the_same_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--rounds", "1", "--scale", "0.05"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in bench.PAIRS)
    assert "all alarms are the same" in told


def test_differing_alarms_are_exit_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(bench.PAIRS["page_hinkley"], params={"threshold": 20.0})
    monkeypatch.setattr(bench, "PAIRS", {"page_hinkley": wrong})
    assert bench.main(["--rounds", "1", "--scale", "0.05"]) == 1
    assert "alarms differ: page_hinkley" in capsys.readouterr().out
