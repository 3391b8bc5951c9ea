"""Records of the control topic: silences, acknowledgements, baselines, re-baseline requests, calendar entries.

The key is `kind/name`; in a name of several parts (a model and its version) a slash of a part's own is written %2F.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from schemas.inputs import InputError, InputEvent, Text, Timestamp, read_json
from schemas.units import MAX_NUMBER

MATCHABLE = (
    "alert_id", "episode_id", "group_id", "kind", "model", "rule", "severity", "subject", "variant", "version",
)  # fmt: skip


LONGEST = 1_000
"""Characters of what an alert event tells of a record, and what every model keeps of it."""


def _short(text: str) -> str:
    if len(text) > LONGEST:
        raise PydanticCustomError("out_of_range", "must have at most 1,000 characters")
    return text


MOST_MATCHERS = 100
Short = Annotated[Text, AfterValidator(_short), WithJsonSchema({"type": "string", "maxLength": LONGEST})]


class ControlEvent(InputEvent):
    """Base of the control topic's values."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", defer_build=True, populate_by_name=True, use_attribute_docstrings=True
    )


class Silence(ControlEvent):
    """`silence/<id>`: alerts that match are published with muted_by, from starts_at to ends_at."""

    matchers: Annotated[dict[Short, Short], Field(min_length=1)]
    """{field of the alert: text}, all of which must be equal; segment.<key> matches a segment's value."""
    starts_at: Timestamp
    """By the clock of the ticks."""
    ends_at: Timestamp
    """By the clock of the ticks."""
    by: Short = ""
    """Who said so."""

    @model_validator(mode="after")
    def _sensible(self) -> Silence:
        for name in self.matchers:
            if name not in MATCHABLE and not name.startswith("segment."):
                raise PydanticCustomError("out_of_range", "must name fields of an alert", {"field": "matchers"})
        if len(self.matchers) > MOST_MATCHERS:
            raise PydanticCustomError("out_of_range", "must have at most 100 entries", {"field": "matchers"})
        if self.ends_at <= self.starts_at:
            raise PydanticCustomError("out_of_range", "must be after starts_at", {"field": "ends_at"})
        return self


class Acknowledgement(ControlEvent):
    """`ack/<episode_id>`: someone has seen it. It never resolves an alert and never moves a reference."""

    by: Short
    """Who has seen it."""
    comment: Text = ""
    """What they say."""


MOST_COUNTED = 1_000_000
"""What the counts of a baseline may come to: more says nothing more of a distribution, and costs memory."""


def _profile(profile: dict[str, Any]) -> dict[str, Any]:
    """A profile whose every subject can be a reference: the gauge meets it again at each replay, so it must not
    stumble over it then. What else is in it is left out, and numbers are floats."""
    found: dict[str, Any] = {}
    for subject, body in profile.items():
        if not isinstance(body, dict):
            raise PydanticCustomError("invalid_type", "must map each subject to its values or counts")
        values, counts, rate, lag_one = (body.get(name) for name in ("values", "counts", "rate", "lag_one"))
        whole = isinstance(counts, dict) and all(type(n) is int and n >= 0 for n in counts.values())
        if not (counts is None or whole):
            raise PydanticCustomError("invalid_type", "must have counts as {category: whole number}")
        if counts and not 1 <= sum(counts.values()) <= MOST_COUNTED:
            raise PydanticCustomError("out_of_range", "must have counts of one to a million in all")
        if not (
            values is None or (isinstance(values, list) and all(each is None or _sensible(each) for each in values))
        ):
            raise PydanticCustomError("invalid_type", "must have values as a list of numbers")
        if "rate" in body and not _within(rate, _SLOWEST, _FASTEST):
            raise PydanticCustomError("out_of_range", "must have a rate in values a second")
        if lag_one is not None and not _within(lag_one, -1, 1):
            raise PydanticCustomError("out_of_range", "must have a lag_one between -1 and 1")
        if not _unicode([subject, *(counts or ())]):
            raise PydanticCustomError("invalid_utf8", "must be text without lone surrogates")
        told = {
            "values": values and [None if each is None else float(each) for each in values],
            "counts": counts,
            "rate": None if rate is None else float(rate),
            "lag_one": None if lag_one is None else float(lag_one),
        }
        found[subject] = {name: each for name, each in told.items() if each is not None}
    return found


_SLOWEST, _FASTEST = 1e-9, 1e9


def _sensible(value: Any) -> bool:
    """Whether it is a number that can be reckoned with; NaN and Infinity count as missing, as in events."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return True
    return abs(value) <= MAX_NUMBER  # of an integer of any length too


def _within(value: Any, least: float, most: float) -> bool:
    return _sensible(value) and least <= value <= most


def _unicode(texts: Iterable[str]) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


class Baseline(ControlEvent):
    """`baseline/<model>/<version>`: what a version's series are compared with."""

    profile: Annotated[dict[str, Any], AfterValidator(_profile)]
    """The profile, as `streamgauge baseline build` writes it."""


class Rebaseline(ControlEvent):
    """`rebaseline/<model>/<version>/<subject>`: the new state is normal."""

    from_: Timestamp | None = Field(default=None, alias="from")
    """Event time from which values are the new reference; without it, from now on."""


class Calendar(ControlEvent):
    """`calendar/<id>`: something known in advance: a release, a holiday, a maintenance."""

    at: Timestamp
    """When it begins."""
    until: Timestamp | None = None
    """When it ends; without it, it is a moment."""
    kind: Text
    """What it is."""
    mute: bool = False
    """Whether alerts are muted while it lasts."""


Kind = Literal["silence", "ack", "baseline", "rebaseline", "calendar"]
_KINDS: dict[str, tuple[type[ControlEvent], int]] = {
    "silence": (Silence, 1),
    "ack": (Acknowledgement, 1),
    "baseline": (Baseline, 2),
    "rebaseline": (Rebaseline, 3),
    "calendar": (Calendar, 1),
}


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A control record: its kind, the parts of its name, and its value, None where it is deleted."""

    kind: Kind
    name: tuple[str, ...]
    body: Silence | Acknowledgement | Baseline | Rebaseline | Calendar | None


def parse_control(key: str, value: bytes | None) -> ControlRecord:
    """The control record of a key and a value. Raises InputError where it is none."""
    kind, _, rest = key.partition("/")
    if kind not in _KINDS:
        raise InputError("invalid_type", "the key must begin with silence/, ack/, baseline/, rebaseline/ or calendar/")
    model, parts = _KINDS[kind]
    name = tuple(unquote(part) for part in rest.split("/"))
    if len(name) != parts or not all(name):
        shape = {1: "<id>", 2: "<model>/<version>", 3: "<model>/<version>/<subject>"}[parts]
        raise InputError("invalid_type", f"the key must be {kind}/{shape}")
    if value is not None and max(map(len, name)) > LONGEST:  # what an older version has let in may be taken back
        raise InputError("out_of_range", f"a name in the key must have at most {LONGEST:,} characters")
    body = None if value is None else model.read(read_json(value))
    return ControlRecord(kind, name, body)  # type: ignore[arg-type]


CONTROL_EVENTS: tuple[type[BaseModel], ...] = tuple(model for model, _ in _KINDS.values())
