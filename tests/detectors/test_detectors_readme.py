"""What detectors/README.md says runs, and leaves no detector out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import detectors

TEXT = (Path(__file__).parents[2] / "detectors" / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_finds_its_change(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    names: dict[str, object] = {}
    exec(example.group(1), names)
    alarms = names["alarms"]
    assert isinstance(alarms, np.ndarray)
    assert 0 < alarms[0] < 100
    assert capsys.readouterr().out


def test_every_detector_is_in_the_room() -> None:
    own = [name for name in detectors.catalog() if not name.startswith("river:")]
    assert [name for name in own if f"`{name}`" not in TEXT] == []


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (Path(__file__).parents[2] / "detectors" / link).exists(), link
