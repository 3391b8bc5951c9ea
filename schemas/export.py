"""JSON Schema of every event and of the configuration, and an AsyncAPI document of the topics: files for others.

`exported()` makes them, `write()` puts them where they are kept; a test fails when the kept ones are stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.alert_event import AlertEvent
from schemas.config import Config
from schemas.control import Acknowledgement, Baseline, Calendar, Rebaseline, Silence
from schemas.events import DeadLetter, MonitorEvent
from schemas.inputs import LabelEvent, PredictionEvent
from schemas.metric_event import MetricEvent
from schemas.outputs import ALERT_TYPE, DEAD_LETTER_TYPE, METRIC_TYPE, MONITOR_TYPE
from schemas.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

FOLDER = Path(__file__).parent / "exported"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = "1.0.0"

_EVENTS: dict[str, type[BaseModel]] = {
    "prediction": PredictionEvent,
    "label": LabelEvent,
    "silence": Silence,
    "acknowledgement": Acknowledgement,
    "baseline": Baseline,
    "rebaseline": Rebaseline,
    "calendar": Calendar,
    "metric": MetricEvent,
    "monitor": MonitorEvent,
    "alert": AlertEvent,
    "dead_letter": DeadLetter,
}
_CHANNELS = [
    # channel, default topic, what it is, its messages, whether streamgauge receives it
    ("predictions", "predictions", "Predictions, keyed by label_key", ["prediction"], True),
    ("labels", "labels", "Labels, keyed by label_key", ["label"], True),
    ("control", "control", "What people tell streamgauge; one partition; key kind/name",
     ["silence", "acknowledgement", "baseline", "rebaseline", "calendar"], True),
    ("metrics", "metrics", "Metrics and what is monitored, keyed by model", ["metric", "monitor"], False),
    ("alerts", "alerts", "Alerts, keyed by alert_id", ["alert"], False),
    ("dead_letters", "dead-letters", "Records that could not be read, by the record's key", ["dead_letter"], False),
]  # fmt: skip
_TYPES = {"metric": METRIC_TYPE, "monitor": MONITOR_TYPE, "alert": ALERT_TYPE, "dead_letter": DEAD_LETTER_TYPE}

_WRITERS = {DURATION_PATTERN: format_duration, SIZE_PATTERN: format_size}


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what a writer may write."""
    schema: dict[str, Any] = _with_written_defaults({"$schema": DIALECT, **model.model_json_schema(by_alias=True)})
    return schema


def _with_written_defaults(node: Any) -> Any:
    """Defaults as a file would write them ("7d", not milliseconds); those of whole sections are their keys' own."""
    if isinstance(node, list):
        return [_with_written_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    written = {key: _with_written_defaults(value) for key, value in node.items() if key != "default"}
    if "default" in node and "$ref" not in node:
        write = _WRITERS.get(node.get("pattern", node.get("items", {}).get("pattern")), lambda value: value)
        default = node["default"]
        written["default"] = [write(item) for item in default] if isinstance(default, list) else write(default)
    return written


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: channels, operations as seen by streamgauge, messages."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for name, address, description, messages, received in _CHANNELS:
        channels[name] = {
            "address": address,
            "description": description,
            "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        }
        action = "receive" if received else "send"
        operations[f"{action}_{name}"] = {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamgauge",
            "version": VERSION,
            "description": "Streaming model monitoring on Kafka. Topic names are the defaults.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {name: _message(name, model) for name, model in _EVENTS.items()}},
    }


def _message(name: str, model: type[BaseModel]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": name,
        "title": model.__name__,
        "summary": (model.__doc__ or "").splitlines()[0],
        "contentType": "application/json",
        "payload": _inline(json_schema(model)),
    }
    if name in _TYPES:
        text = {"type": "string"}
        message["headers"] = {
            "type": "object",
            "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type"],
            "properties": {
                "ce_specversion": {"type": "string", "const": "1.0"},
                "ce_id": text,
                "ce_type": {"type": "string", "const": _TYPES[name]},
                "ce_source": text,
                "ce_subject": text,
                "ce_time": {"type": "string", "format": "date-time"},
                "content-type": {"type": "string", "const": "application/json"},
            },
        }
    return message


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions written out in place: references would be read against the whole document."""
    definitions = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                target = definitions[node["$ref"].removeprefix("#/$defs/")]
                return resolve({**target, **{key: value for key, value in node.items() if key != "$ref"}})
            return {key: resolve(value) for key, value in node.items() if key not in {"$defs", "discriminator"}}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def exported() -> dict[str, str]:
    """Every file's name and text."""
    documents = {f"{name}.schema.json": json_schema(model) for name, model in _EVENTS.items()}
    documents["config.schema.json"] = json_schema(Config)
    documents["asyncapi.json"] = asyncapi()
    return {name: json.dumps(data, indent=2, ensure_ascii=False) + "\n" for name, data in sorted(documents.items())}


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes every file to the folder; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in exported().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
