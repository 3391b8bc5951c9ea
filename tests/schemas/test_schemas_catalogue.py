"""What the configuration says of detectors is what the library has."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

import detectors
from schemas import Config, ConfigError, load_config
from schemas.catalogue import DETECTORS, SEVERAL

FILLED_IN = {"direction", "min_effect", "reference"}
"""Parameters that every detector in the configuration has, or that the pipeline gives."""


def configured(*items: dict[str, Any]) -> Config:
    return Config.model_validate({"defaults": {"detectors": list(items)}})


def complaint(tmp_path: Path, detector: str) -> str:
    path = tmp_path / "streamgauge.yaml"
    path.write_text(f"defaults:\n  detectors:\n    - {{on: error, use: adwin}}\n    - {detector}\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    return str(caught.value)


def test_every_detector_of_one_series_can_be_named_and_no_other() -> None:
    several = {name for name in detectors.catalog() if name in SEVERAL or ":" in name}
    assert set(detectors.catalog()) - several == set(DETECTORS)


@pytest.mark.parametrize("name", DETECTORS)
def test_its_parameters_are_the_librarys(name: str) -> None:
    (bare,) = configured({"on": "features", "use": name}).defaults.detectors
    assert bare.params is None
    own = {each: field for each, field in type(bare).model_fields.items() if each in bare._own}
    library = {each.name: each for each in fields(detectors.find(name).parameters) if each.name not in FILLED_IN}
    assert set(own) == set(library)
    for each, field in own.items():
        if each in bare.required:
            assert library[each].default is MISSING
        else:
            assert field.default == library[each].default


def test_a_detector_is_given_all_the_parameters_it_needs_or_none(tmp_path: Path) -> None:
    assert configured({"on": "score", "use": "z_score", "target": 0.5, "scale": 0.1}).defaults.detectors[0].params
    said = complaint(tmp_path, "{on: score, use: z_score, target: 0.5}")
    assert "line 4: defaults.detectors[1] must have scale too" in said


def test_one_subject_can_have_one_detector_of_a_kind(tmp_path: Path) -> None:
    said = complaint(tmp_path, "{on: error, use: adwin, delta: 0.1}")
    assert "line 4: defaults.detectors[1] is the second adwin on error" in said


def test_a_segment_is_one_there_is_and_of_a_subject_that_has_some(tmp_path: Path) -> None:
    (watched,) = configured({"on": "score", "use": "cusum", "segment": "region"}).defaults.detectors
    assert watched.segment == "region"
    assert "defaults.detectors[1].segment must be one of segments" in complaint(
        tmp_path, "{on: error, use: adwin, segment: country}"
    )
    said = complaint(tmp_path, "{on: features, use: windowed_ks, segment: region}")
    assert "is for error, residual and score: features is not watched by segment" in said
    twice = configured({"on": "error", "use": "adwin"}, {"on": "error", "use": "adwin", "segment": "region"})
    assert len(twice.defaults.detectors) == 2


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_a_detector_of_several_features_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    said = complaint(tmp_path, f"{{on: features, use: {name}}}")
    assert f"has {name}, which looks at several features at once; here one series is watched" in said


def test_how_often_a_feature_is_missing_can_be_watched() -> None:
    config = configured({"on": "missing", "use": "page_hinkley"}, {"on": "missing.amount", "use": "cusum"})
    assert [each.rule for each in config.defaults.detectors] == ["missing/page_hinkley", "missing.amount/cusum"]
