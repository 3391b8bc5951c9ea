"""The join's benchmarks, run small so that they never rot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _run(script: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"tests.benchmarks.{script}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_benchmark_of_speed_tells_what_a_record_costs_and_how_fast_the_journal_is_restored() -> None:
    told = _run("join_speed", "--rounds", "1")
    assert told["microseconds_a_record"] > 0
    assert told["restored_records_a_second"] > 0


def test_the_benchmark_of_memory_tells_what_a_held_prediction_takes() -> None:
    told = _run("memory_held", "--held", "100000")
    assert told["held"] == 100_000
    assert 0 < told["bytes_a_prediction_without_its_key"] < 250


def test_the_benchmark_of_state_tells_that_what_spills_stays_within_the_bound(tmp_path: Path) -> None:
    arguments = ("--held", "60000", "--memory", "8", "--rounds", "1", "--directory", str(tmp_path))
    told = _run("state", "--store", "disk", *arguments)
    assert told["disk_mib"] >= 8
    most, before = told["mib_most"], told["mib_before"]
    assert most["files"] - before["files"] <= 16  # what one chunk of records may touch at most comes on top
