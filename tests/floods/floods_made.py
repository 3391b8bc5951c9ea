"""The floods: of each kind, what it sends in a round, the limit that it goes beyond, and the memory it may take."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.floods.floods_world import EACH, ROUND, START, Batch

MINUTE, HOUR = 60_000, 3_600_000


@dataclass(frozen=True, slots=True)
class Flood:
    """`send(first, count, at)` makes the records of a round, the distinct values numbered from `first`. `rule` is that
    of the one alert that is raised (None: none is). `bound` is in MiB, above the same run without the flood."""

    send: Callable[[int, int, int], Batch]
    bound: int
    rule: str | None = None
    other: bool = True
    model: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    each: int = EACH


def prediction(i: int, at: int, **more: Any) -> bytes:
    """A prediction of the flooding model."""
    event = {"prediction_id": f"p{i}", "model": "flood", "timestamp": at, "prediction": i % 2, "score": 0.5} | more
    return json.dumps(event, separators=(",", ":")).encode()


def label(i: int, at: int, value: Any = 1, **more: Any) -> bytes:
    """Its label."""
    return json.dumps(
        {"prediction_id": f"p{i}", "label": value, "timestamp": at} | more, separators=(",", ":")
    ).encode()


def _predictions(of: Callable[[int], dict[str, Any]]) -> Callable[[int, int, int], Batch]:
    def send(first: int, count: int, at: int) -> Batch:
        return Batch([prediction(i, at, **of(i)) for i in range(first, first + count)])

    return send


def _labels(of: Callable[[int], dict[str, Any]]) -> Callable[[int, int, int], Batch]:
    def send(first: int, count: int, at: int) -> Batch:
        return Batch(labels=[label(i, at, **of(i)) for i in range(first, first + count)])

    return send


def _classes(first: int, count: int, at: int) -> Batch:
    each = range(first, first + count)
    return Batch([prediction(i, at, prediction=f"class {i}") for i in each], [label(i, at, f"class {i}") for i in each])


def _one_key(first: int, count: int, at: int) -> Batch:
    each = range(first, first + count)
    return Batch(
        [prediction(i, at, label_key="one") for i in each],
        [label(0, at, i, label_key="one", model="flood") for i in each],
    )


def _old(first: int, count: int, at: int) -> Batch:
    """Event times all over a year, each hour of it in a hundred regions, of two versions."""
    made = []
    for i in range(first, first + count):
        lap, place = divmod(i, 9_000)
        when = at - place * 7_919 % 9_000 * HOUR
        made.append(prediction(i, when, version=f"{lap % 2}", segments={"region": f"r{lap % 100}"}))
    return Batch(made)


def _flapping(first: int, count: int, at: int) -> Batch:
    """In one minute all right, in the next all wrong, in a thousand scopes."""
    each = range(first, first + count)
    bad = at // MINUTE % 2
    made = [
        prediction(i, at, prediction=1, version=f"{i % 10}", segments={"region": f"r{i // 10 % 100}"}) for i in each
    ]
    return Batch(made, [label(i, at, 1 - bad) for i in each])


def _silences(first: int, count: int, at: int) -> Batch:
    body = {"matchers": {"model": "flood"}, "starts_at": START, "ends_at": at + 10_000 * HOUR, "by": "someone"}
    value = json.dumps(body).encode()
    return Batch(control=[(f"silence/{i}", value) for i in range(first, first + count)])


def _said(first: int, count: int, at: int) -> Batch:
    """Acknowledgements, baselines, announced events."""
    baseline = json.dumps({"profile": {"score": {"values": [0.5] * 50}}}).encode()
    event = json.dumps({"at": at, "until": at + 10_000 * HOUR, "kind": "release", "mute": True}).encode()
    kinds = (("ack/{}", b'{"by":"someone"}'), ("baseline/flood/{}", baseline), ("calendar/{}", event))
    return Batch(
        control=[(kinds[i % 3][0].format(i), kinds[i % 3][1]) for i in range(first, first + count)],
        predictions=[prediction(first, at)],
    )


def _maps(first: int, count: int, at: int) -> Batch:
    scores = [{f"class {10 * i + k}": 0.1 for k in range(10)} for i in range(first, first + count)]
    return Batch(
        [prediction(first + i, at, prediction=f"class {i % 5}", score=each) for i, each in enumerate(scores)],
        [label(first + i, at, f"class {i % 5}") for i in range(count)],
    )


def _bad(first: int, count: int, at: int) -> Batch:
    return Batch([b'{"prediction_id":"p%d","model":7}' % i for i in range(first, first + count)])


_SHORT = {"join": {"horizon": "1m", "grace": "0s", "disorder": "1s"}}
_MULTICLASS = {"task": "multiclass"}
_BAD_RULES = [
    {"metric": name, "below": 0.5, "window": "1m", "segment": "region", "min_count": 5} for name in ("accuracy", "f1")
]

FLOODS: dict[str, Flood] = {
    "versions": Flood(_predictions(lambda i: {"version": f"v{i}"}), 300, "limits/versions"),
    "variants": Flood(_predictions(lambda i: {"variant": f"v{i}"}), 300, "limits/variants"),
    "segments": Flood(_predictions(lambda i: {"segments": {"region": f"r{i}"}}), 300, "limits/segments_per_key"),
    "features": Flood(_predictions(lambda i: {"features": {f"f{i}": 1.0}}), 200, "limits/features"),
    "categories": Flood(_predictions(lambda i: {"features": {"city": f"c{i}"}}), 200, "limits/categories", other=False),
    "long categories": Flood(
        _predictions(lambda i: {"features": {"city": f"c{i}" * 1_000}}), 400, "limits/categories", other=False,
        each=EACH // 10,
    ),
    "one id": Flood(_one_key, 200, "limits/records_per_key", other=False),
    "open windows": Flood(
        _old, 1_000, "limits/open_windows", other=False,
        model={"join": {"horizon": "390d", "grace": "0s"}, "windows": {"tumbling": ["1h"]}},
    ),
    "alerts": Flood(
        _flapping, 400, "limits/open_alerts", other=False,
        model={"windows": {"tumbling": ["1m"]}, "rules": _BAD_RULES},
    ),
    "classes": Flood(_classes, 400, "limits/classes", model=_MULTICLASS),
    "score maps": Flood(_maps, 400, "limits/classes", other=False, model=_MULTICLASS, each=EACH // 10),
    "models": Flood(_predictions(lambda i: {"model": f"flood {i}"}), 1_500, "limits/models"),
    "labels' models": Flood(_labels(lambda i: {"model": f"flood {i}"}), 1_500, "limits/models"),
    "labels alone": Flood(_labels(lambda i: {}), 200, other=False),
    "predictions alone": Flood(_predictions(lambda i: {}), 200, other=False),
    "silences": Flood(_silences, 200, other=False),
    "control": Flood(_said, 200, other=False),
    "dead letters": Flood(_bad, 200, other=False),
}  # fmt: skip


def configuration(flood: Flood, scale: float = 1.0) -> dict[str, Any]:
    """The configuration of a run; `scale` makes the limits smaller, for a shorter flood."""
    limits = {"versions": 10, "segments_per_key": 100, "features": 500, "categories": 1_000, "open_windows": 20_000,
              "models": 1_000}  # fmt: skip
    return {
        "outcomes_partitions": 2,
        "limits": {name: max(int(limit * scale), 2) for name, limit in limits.items()},
        "defaults": {**_SHORT, "segments": ["region"], "windows": {"tumbling": ["1h"], "rolling": [1000]}},
        "models": {"flood": {**flood.model}},
        **flood.config,
    }


def batch_of(flood: Flood, number: int) -> Batch:
    """What a flood sends in a round."""
    return flood.send(number * flood.each, flood.each, START + (number + 1) * ROUND)
