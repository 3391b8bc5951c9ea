"""The exported files: not stale, valid, and true of the contract's samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from test_schemas_events import ALERT, DEAD_LETTER, METRIC, PREDICTION

from schemas import exported, write_exports
from schemas.export import FOLDER

CONTRACT = Path(__file__).parent / "contract.yaml"


def test_what_is_kept_is_what_the_models_say() -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert kept == exported(), "stale: run `streamgauge schemas export`"


def test_exports_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    paths = write_exports(tmp_path / "deep" / "down")
    assert {path.name: path.read_text(encoding="utf-8") for path in paths} == exported()


@pytest.mark.parametrize("name", [name for name in exported() if name.endswith(".schema.json")])
def test_every_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(exported()[name]))


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("prediction", json.loads(PREDICTION)),
        ("label", {"prediction_id": 7, "label": None}),
        ("metric", json.loads(METRIC)),
        ("alert", json.loads(ALERT)),
        ("dead_letter", json.loads(DEAD_LETTER)),
        ("config", yaml.safe_load(CONTRACT.read_text().replace("{on:", '{"on":'))),
    ],
)
def test_the_contracts_samples_are_valid_by_the_exported_schemas(name: str, sample: Any) -> None:
    jsonschema.Draft202012Validator(json.loads(exported()[f"{name}.schema.json"])).validate(sample)


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("prediction", {"prediction_id": 1.5, "model": "m", "timestamp": 1, "prediction": 1}),
        ("prediction", {"prediction_id": "p", "model": "m", "timestamp": 1, "prediction": 1, "score": "0.5"}),
        ("label", {"prediction_id": "p"}),
        ("config", {"defaults": {"join": {"horizion": "7d"}}}),
    ],
)
def test_the_exported_schemas_refuse_what_the_models_refuse(name: str, sample: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json.loads(exported()[f"{name}.schema.json"])).validate(sample)


def test_defaults_are_written_as_a_file_would_write_them() -> None:
    definitions = json.loads(exported()["config.schema.json"])["$defs"]
    assert definitions["JoinConfig"]["properties"]["horizon"]["default"] == "7d"
    assert definitions["WindowsConfig"]["properties"]["tumbling"]["default"] == ["1h", "1d"]
    assert definitions["StateConfig"]["properties"]["memory"]["default"] == "2GiB"


def test_the_asyncapi_document_stands_on_its_own() -> None:
    document = json.loads(exported()["asyncapi.json"])
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {"predictions", "labels", "control", "metrics", "alerts", "dead_letters"}

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    for message in document["components"]["messages"].values():
        jsonschema.Draft202012Validator.check_schema(message["payload"])
