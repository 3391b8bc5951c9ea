"""Deployment files say what the code does: metric names, ports, topics, versions."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.worker import Telemetry

ROOT = Path(__file__).parents[2]


def read_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"streamgauge_\w+", expression))


def exposed() -> set[str]:
    """The names of the samples that a stage's /metrics can have: those with labels of their own show up with use."""
    text = Telemetry("join", dead_letters_topic="dead-letters", alerts_topic="alerts").exposition().decode()
    families = re.findall(r"^# TYPE (streamgauge_\w+) (\w+)", text, re.MULTILINE)
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + ending for name, kind in families for ending in endings.get(kind, ("",))}


def dashboard() -> dict[str, Any]:
    return json.loads((ROOT / "deploy/grafana/dashboards/streamgauge.json").read_text())


def test_the_dashboard_asks_only_for_metrics_the_worker_exposes() -> None:
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    assert len(expressions) >= 10
    assert set().union(*map(names_in, expressions)) <= exposed()


def test_the_rules_ask_only_for_metrics_the_worker_exposes() -> None:
    rules = [rule for group in read_yaml("deploy/prometheus/rules.yml")["groups"] for rule in group["rules"]]
    assert {"expr", "for", "labels", "annotations"} <= set.intersection(*(set(rule) for rule in rules))
    assert set().union(*(names_in(rule["expr"]) for rule in rules)) <= exposed()


def test_the_dashboards_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken
        taken |= cells


def test_the_dashboard_reads_from_the_provisioned_datasource() -> None:
    source = read_yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    used = {panel["datasource"]["uid"] for panel in dashboard()["panels"]}
    assert used == {source["uid"]}


def test_compose_mounts_only_what_is_there_and_prometheus_scrapes_the_service_it_names() -> None:
    services = read_yaml("docker-compose.yml")["services"]
    mounts = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    assert mounts and all((ROOT / mount).is_dir() for mount in mounts)
    target = read_yaml("deploy/prometheus/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0]
    host, port = target.split(":")
    assert host in services and any(mapping.endswith(f":{port}") for mapping in services[host]["ports"])


def test_the_image_copies_every_package_and_ignores_what_it_does_not_need() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    for package in ("schemas", "metrics", "detectors", "streams"):
        assert f"COPY {package} {package}" in text
    assert {".venv", ".git"} <= set((ROOT / ".dockerignore").read_text().split())
    assert "USER 10001" in text and "HEALTHCHECK" in text and "/livez" in text


@pytest.mark.parametrize("target", ["install", "check", "test", "demo", "bench", "schemas"])
def test_make_knows_the_target(target: str) -> None:
    subprocess.run(["make", "--dry-run", "--silent", target], cwd=ROOT, check=True, capture_output=True)


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def test_the_lock_pins_every_dependency_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    wanted = {canonical(name) for name in re.findall(r'^\s+"([A-Za-z0-9_-]+)>=', text, re.MULTILINE)}
    pinned = {canonical(line.split("==")[0]) for line in (ROOT / "requirements.lock").read_text().split()}
    assert wanted and wanted <= pinned
