"""Privacy over the in-memory log, end to end: what is dropped or hashed is nowhere in anything that was written."""

from __future__ import annotations

import hashlib
import json

import pytest
from private_world import (
    ATTRIBUTION,
    DROPPED_NUMBER,
    DROPPED_TEXT,
    HASHED_NUMBER,
    HASHED_TEXT,
    KEY,
    PAYLOAD,
    PRIVACY,
    RARE,
    PrivateWorld,
    traces,
    traffic,
)

from schemas import Config, canonical_class
from streams.worker import set_up_logs

DEFAULTS = {
    "task": "binary",
    "join": {"horizon": "1h", "disorder": "1s"},
    "windows": {"tumbling": ["10s"], "rolling": [50], "emit_every": "1s"},
    "reference": {"warm_up": 100},
    "detectors": [
        {"on": "error", "use": "page_hinkley", "severity": "critical", "threshold": 5.0},
        {"on": "features", "use": "windowed_ks", "severity": "info"},
    ],
    "rules": [{"metric": "accuracy", "below": 0.9, "window": "10s", "min_count": 5}],
}
SECRETS = [DROPPED_TEXT, DROPPED_NUMBER, HASHED_TEXT, HASHED_NUMBER, ATTRIBUTION, KEY]


def world(**privacy: object) -> PrivateWorld:
    config = {"outcomes_partitions": 1, "privacy": {**PRIVACY, **privacy}, "defaults": DEFAULTS}
    made = PrivateWorld(Config.model_validate(config))
    traffic(made, 0, 300)
    made.run(40)
    traffic(made, 300, 300)
    made.run(80)  # restored from what the first ones wrote
    return made


@pytest.fixture(scope="module")
def written() -> tuple[dict[str, bytes], str]:
    """Every byte that was written, by topic, and everything that was said, with --verbose."""
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("sys.stderr", _Kept(said))
        set_up_logs(verbose=True)
        made = world()
        return made.written(), "".join(said)


class _Kept:
    """A stderr that keeps what is written to it."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def write(self, text: str) -> int:
        self._said.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return False


def digest(value: str | float) -> bytes:
    """The keyed hash of a value, by the standard library."""
    text = canonical_class(value).encode()
    return hashlib.blake2b(text, digest_size=16, key=KEY.encode()).hexdigest().encode()


def test_the_traffic_reaches_every_topic_else_nothing_would_be_proven(written: tuple[dict[str, bytes], str]) -> None:
    topics, said = written
    for name in ("metrics", "alerts", "dead-letters", "streamgauge-outcomes", "streamgauge-journal",
                 "streamgauge-snapshots", "offsets", "/metrics"):  # fmt: skip
        assert len(topics[name]) > 100, name
    assert b'"status":"firing"' in topics["alerts"]
    assert "assigned" in said


def test_dropped_and_hashed_values_and_the_key_are_nowhere_in_what_is_written(
    written: tuple[dict[str, bytes], str],
) -> None:
    topics, said = written
    for secret in SECRETS:
        for trace in traces(secret):
            assert [name for name, data in topics.items() if trace in data] == [], secret
        assert str(secret) not in said


def test_a_hashed_value_is_a_keyed_blake2_hash_that_can_be_told_from_others(
    written: tuple[dict[str, bytes], str],
) -> None:
    outcomes = written[0]["streamgauge-outcomes"]
    for i in range(3):
        assert digest(f"{HASHED_TEXT}-{i}") in outcomes
    assert digest(HASHED_NUMBER) in outcomes
    assert hashlib.blake2b(HASHED_TEXT.encode(), digest_size=16).hexdigest().encode() not in outcomes


def test_features_that_are_not_private_are_still_watched(written: tuple[dict[str, bytes], str]) -> None:
    topics, _ = written
    assert b"features.amount" in topics["metrics"]
    assert b"features.iban" in topics["metrics"]
    assert b"features.ssn" not in topics["metrics"]


def test_a_category_that_is_not_listed_and_was_seen_five_times_is_named_in_no_event(
    written: tuple[dict[str, bytes], str],
) -> None:
    topics, said = written
    assert topics["streamgauge-outcomes"].count(RARE.encode()) > 0
    for name in ("metrics", "alerts", "dead-letters", "/metrics"):
        assert RARE.encode() not in topics[name]
    assert RARE not in said


def test_dead_letters_hold_neither_key_nor_payload(written: tuple[dict[str, bytes], str]) -> None:
    topics, said = written
    letters = [json.loads(line) for line in topics["dead-letters"].splitlines() if line.startswith(b"{")]
    assert {letter["error"]["code"] for letter in letters} >= {"invalid_json", "invalid_type", "out_of_range"}
    assert all((letter["key"], letter["value"]) == (None, None) for letter in letters)
    assert not any(PAYLOAD in json.dumps(letter) for letter in letters)
    assert PAYLOAD not in said
    for name in ("metrics", "alerts", "streamgauge-outcomes", "streamgauge-journal", "streamgauge-snapshots"):
        assert PAYLOAD.encode() not in topics[name], name


def test_asked_for_dead_letters_quote_the_record_as_it_came() -> None:
    made = world(dead_letter_value="full")
    letters = [line for line in made.written()["dead-letters"].splitlines() if line.startswith(b"{")]
    assert all(json.loads(line)["value"] for line in letters)


@pytest.mark.parametrize(
    "fields",
    [
        {"segments.region": "features.iban"},
        {"features.iban": "person.account", "segments.region": "person.account"},
        {"features": "inputs", "features.copy": "inputs.ssn"},
        {"segments": "features"},
        {"features.iban": "version"},
    ],
)
def test_a_private_feature_cannot_be_read_under_another_name(fields: dict[str, str]) -> None:
    segments = {"segments": ["iban", "region"]}
    with pytest.raises(ValueError, match="which privacy keeps from being written in the clear"):
        Config.model_validate({"privacy": PRIVACY, "fields": fields, "defaults": segments})


@pytest.mark.parametrize(
    "fields",
    [
        {"features.iban": "features.account"},
        {"features": "inputs", "features.ssn": "inputs.number"},
        {"features.ssn": "attributions.ssn"},
    ],
)
def test_a_private_feature_cannot_stay_in_a_map_under_the_name_it_was_taken_from(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="which stays there under its own name"):
        Config.model_validate({"privacy": PRIVACY, "fields": fields})


def test_private_features_may_have_their_own_names_in_maps_of_any_name() -> None:
    Config.model_validate({"privacy": PRIVACY, "fields": {"features": "inputs", "features.iban": "inputs.iban"}})
