"""A changed configuration takes force at the next start: what is unchanged keeps its state, what is new starts, what
is gone goes. The golden history goes on under another configuration; the same one goes on beside it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from golden_files import generations, go_on, load, log_of, published
from golden_world import World

from schemas import Config

GOLDEN = load(max(generations()))
Options = dict[str, Any]
Events = list[dict[str, Any]]


def goes_on(change: Callable[[Options], None]) -> Events:
    """All events that are published after the stop, under the changed configuration."""
    options = copy.deepcopy(GOLDEN.history.config)
    change(options["defaults"])
    config = Config.model_validate(options)
    log = log_of(GOLDEN)
    go_on(GOLDEN, log)
    World(config, log).run(GOLDEN.history.turns)
    topics = published(log, config)
    return [json.loads(value) for topic in ("metrics", "alerts") for value in topics[topic].values()]


@pytest.fixture(scope="module")
def unchanged() -> Events:
    return goes_on(lambda _: None)


def about(events: Events, detector: str) -> Events:
    """What is said of a detector on the error: monitor events and alerts, without the hash of the configuration."""
    said = [event for event in events if event.get("detector") == detector or event.get("rule") == f"error/{detector}"]
    return [{key: value for key, value in event.items() if key not in _OF_OTHERS} for event in said]


_OF_OTHERS = {"config_hash", "event_id", "group_id", "calibration"}
"""What an event says of more than its own series."""


def windows(events: Events, kind: str, size: int | None = None) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The newest event of each window of a kind."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in sorted((each for each in events if "revision" in each), key=lambda each: int(each["revision"])):
        window = event["window"]
        length = window.get("size", window.get("size_ms"))
        if window["kind"] == kind and size in (None, length):
            segment = json.dumps(event["segment"])
            place = event["model"], event["version"], event["variant"], segment, length, window.get("start")
            newest[place] = {key: value for key, value in event.items() if key != "config_hash"}
    return newest


def test_a_detector_that_is_added_starts_and_the_others_go_on_as_they_were(unchanged: Events) -> None:
    def add(defaults: Options) -> None:
        defaults["detectors"].append({"on": "error", "use": "cusum", "severity": "info"})

    events = goes_on(add)
    assert about(unchanged, "cusum") == []
    assert about(events, "cusum")
    for detector in ("adwin", "page_hinkley"):
        assert about(unchanged, detector) and about(events, detector) == about(unchanged, detector)


def test_a_detector_that_is_removed_goes_and_the_others_go_on_as_they_were(unchanged: Events) -> None:
    def remove(defaults: Options) -> None:
        defaults["detectors"] = [each for each in defaults["detectors"] if each["use"] != "adwin"]

    events = goes_on(remove)
    assert [each for each in about(events, "adwin") if each.get("status") == "firing"] == []
    assert about(events, "page_hinkley") == about(unchanged, "page_hinkley")


def test_a_detector_with_other_parameters_starts_anew_and_the_others_go_on_as_they_were(unchanged: Events) -> None:
    def change(defaults: Options) -> None:
        defaults["detectors"][1]["delta"] = 0.05

    events = goes_on(change)
    assert about(events, "page_hinkley") == about(unchanged, "page_hinkley")
    for event in about(events, "adwin"):
        if event.get("status") in {"pending", "firing"} and isinstance(event["detector"], dict):
            assert event["detector"]["params"]["delta"] == 0.05


def test_a_window_that_is_added_starts_and_the_others_go_on_as_they_were(unchanged: Events) -> None:
    def add(defaults: Options) -> None:
        defaults["windows"]["tumbling"].append("30s")
        defaults["windows"]["rolling"].append(20)

    events = goes_on(add)
    assert windows(unchanged, "tumbling", 30_000) == {} and windows(events, "tumbling", 30_000)
    assert windows(unchanged, "rolling", 20) == {} and windows(events, "rolling", 20)
    for size in (10_000, 60_000):
        assert windows(unchanged, "tumbling", size)
        assert windows(events, "tumbling", size) == windows(unchanged, "tumbling", size)
    assert windows(events, "cumulative") == windows(unchanged, "cumulative")
    assert windows(events, "rolling", 50) == windows(unchanged, "rolling", 50)


def test_a_window_that_is_removed_goes_and_the_others_go_on_as_they_were(unchanged: Events) -> None:
    events = goes_on(lambda defaults: defaults["windows"].update(tumbling=["10s"], rolling=[]))
    assert windows(events, "tumbling", 60_000) == {} and windows(events, "rolling") == {}
    assert windows(events, "tumbling", 10_000) == windows(unchanged, "tumbling", 10_000)
    assert windows(events, "cumulative") == windows(unchanged, "cumulative")
