"""The README says only what is so: its snippets run or compile, its samples are valid, its links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from schemas import exported, load_config
from streams.devkafka import fetch_jars
from streams.worker import Exit

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
JAVA_PACKAGES = (
    "java.time", "java.util", "org.apache.kafka.clients.consumer", "org.apache.kafka.clients.producer",
    "org.apache.kafka.common.serialization",
)  # fmt: skip


def blocks(language: str) -> list[str]:
    """The code blocks of a language, those of list items too."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def test_the_configuration_of_the_readme_is_accepted(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    path = tmp_path / "streamgauge.yaml"
    path.write_text(text)
    config = load_config(path, {})
    assert config.fields["score"] == "output.proba" and config.model("demand").task == "regression"
    assert set(yaml.safe_load(text)) <= set(type(config).model_fields)


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_snippets_are_python(snippet: str) -> None:
    ast.parse(snippet)


def test_the_detectors_snippet_runs_as_it_stands() -> None:
    (snippet,) = (text for text in blocks("python") if "import detectors" in text)
    names: dict[str, object] = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert names["again"].statistic == names["detector"].statistic  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "sample"),
    list(zip(("prediction", "label", "metric", "alert", "monitor", "dead_letter"), blocks("json"), strict=True)),
)
def test_the_sample_of_each_event_fits_its_schema(name: str, sample: str) -> None:
    schema = json.loads(exported()[f"{name}.schema.json"])
    Draft202012Validator(schema).validate(json.loads(sample))


def test_java_snippets_compile_against_kafkas_own_client(tmp_path: Path) -> None:
    imports = "".join(f"import {name}.*;\n" for name in JAVA_PACKAGES)
    snippets = {f"Snippet{i}": text for i, text in enumerate(blocks("java"))}
    for name, text in snippets.items():
        body = f"{imports}class {name} {{ void snippet() throws Exception {{\n{text}}} }}\n"
        (tmp_path / f"{name}.java").write_text(body)
    command = ["javac", "-d", str(tmp_path), "-cp", f"{fetch_jars()}/*", *(f"{name}.java" for name in snippets)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_links_lead_to_what_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)


def test_the_exit_codes_are_the_programs() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE)}
    assert codes == {int(code) for code in Exit}


def test_the_packages_are_those_of_the_project() -> None:
    table = TEXT[TEXT.index("## What it stands on") :]
    named = {name.strip() for row in re.findall(r"^\| ([^|*]+) \|", table, re.MULTILINE) for name in row.split(",")}
    project = (ROOT / "pyproject.toml").read_text()
    dependencies = project[project.index("dependencies = [") : project.index("[project.optional-dependencies]")]
    assert named - {"package", "---"} == set(re.findall(r'"([A-Za-z0-9_-]+)>=', dependencies))
