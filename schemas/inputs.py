"""Events that come in: predictions and labels, with strict types, and what is said of a record that is not one.

These models decide. The hot decoder (`streams.decode`) takes what it is sure of and asks them about the rest; they
accept with a value, or raise `InputError` with the code, the message and the field of the dead letter.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from schemas.units import LARGEST_EXACT, MAX_NUMBER, parse_timestamp

ErrorCode = Literal[
    "invalid_json",
    "invalid_utf8",
    "missing_field",
    "invalid_type",
    "out_of_range",
    "future_timestamp",
    "too_large",
    "unknown",
]
ERROR_CODES: tuple[str, ...] = get_args(ErrorCode)

MAX_VALUE_BYTES = 640 * 1024
"""A record's value beyond this is `too_large`: what becomes of it must fit a message of a megabyte, with the offsets of
its lists, or in base64."""
MAX_IDENTIFIER_BYTES = 256
_BEYOND = 10**400  # stands for a number too long to be worth reading: out of every range


class InputError(ValueError):
    """A record that is not an event: the dead letter's code, message (which quotes no values) and field."""

    def __init__(self, code: ErrorCode, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


def read_json(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`; NaN and Infinity are read as Python writes them. Raises InputError."""
    if len(data) > MAX_VALUE_BYTES:
        raise InputError("too_large", "the value is larger than 640 KiB")
    try:
        document = json.loads(data.decode(), parse_int=_integer, parse_float=_float)
    except UnicodeDecodeError:
        raise InputError("invalid_utf8", "the value is not UTF-8") from None
    except json.JSONDecodeError as problem:
        raise InputError("invalid_json", f"the value is not JSON: {problem.msg}, character {problem.pos}") from None
    except RecursionError:
        raise InputError("invalid_json", "the value is nested too deeply") from None
    if not isinstance(document, dict):
        raise InputError("invalid_type", "the value must be a JSON object")
    return document


def _integer(token: str) -> int:
    # Python refuses to read integers of more than 4,300 digits; ours are out of range long before.
    return int(token) if len(token) <= 310 else (-_BEYOND if token[0] == "-" else _BEYOND)


def _float(token: str) -> float | int:
    # "1e400" is a number out of range, not the token Infinity.
    value = float(token)
    return value if math.isfinite(value) else (-_BEYOND if value < 0 else _BEYOND)


def _missing() -> PydanticCustomError:
    return PydanticCustomError("missing_field", "is required")


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("invalid_type", "must be text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError("invalid_utf8", "must be text without lone surrogates") from None
    return value


def _name(value: Any) -> str:
    if value is None:
        raise _missing()
    text: str = _text(value)
    if not 1 <= len(text.encode()) <= MAX_IDENTIFIER_BYTES:
        raise PydanticCustomError("out_of_range", "must be 1 to 256 bytes of UTF-8")
    return text


def _identifier(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    elif value is not None and not isinstance(value, str):
        raise PydanticCustomError("invalid_type", "must be text or an integer")
    return _name(value)


def _timestamp(value: Any) -> int:
    if value is None:
        raise _missing()
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_EXACT:
            raise PydanticCustomError("out_of_range", "must be epoch milliseconds: this is too large")
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("invalid_type", "must be an RFC 3339 time with offset, or integer epoch milliseconds")
    try:
        return parse_timestamp(value)
    except ValueError as problem:
        raise PydanticCustomError("invalid_type", "{why}", {"why": str(problem)}) from None


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise PydanticCustomError("invalid_type", "must be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("invalid_type", "must be a number")
    if abs(value) > MAX_NUMBER:
        raise PydanticCustomError("out_of_range", "must be between -1e100 and 1e100")
    return float(value)


def _class(value: Any) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(_text(value))
    if not isinstance(value, int | float):
        raise PydanticCustomError("invalid_type", "must be text, a number, true or false")
    _number(value)
    return value


def _feature(value: Any) -> float | str | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(_text(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None  # Python's json.dumps writes NaN and Infinity: they count as missing
    if not isinstance(value, int | float):
        raise PydanticCustomError("invalid_type", "must be a number, text, true, false or null")
    return _number(value)


def _optional_number(value: Any) -> float | None:
    return None if value is None else _number(value)


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(_text(value))


def _score(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    try:
        return _number(value)
    except PydanticCustomError as problem:
        if problem.type == "invalid_type":
            raise PydanticCustomError("invalid_type", "must be a number or a map of class to probability") from None
        raise


_NUMBER = WithJsonSchema({"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER})
_ANY_CLASS = WithJsonSchema({"type": ["string", "number", "boolean"]})

Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256})]
Identifier = Annotated[
    str,
    BeforeValidator(_identifier),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256}, {"type": "integer"}]}),
]
Timestamp = Annotated[
    int,
    BeforeValidator(_timestamp),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "minimum": -LARGEST_EXACT, "maximum": LARGEST_EXACT},
            ]
        }
    ),
]
Number = Annotated[float, BeforeValidator(_number), _NUMBER]
ClassValue = Annotated[Any, BeforeValidator(_class), _ANY_CLASS]
FeatureValue = Annotated[
    Any,
    BeforeValidator(_feature),
    WithJsonSchema({"anyOf": [{"type": ["string", "boolean", "null"]}, _NUMBER.json_schema or {}]}),
]
OptionalNumber = Annotated[
    float | None, BeforeValidator(_optional_number), WithJsonSchema({"anyOf": [_NUMBER.json_schema, {"type": "null"}]})
]
OptionalText = Annotated[str | None, BeforeValidator(_optional_text), WithJsonSchema({"type": ["string", "null"]})]


class InputEvent(BaseModel):
    """Base of the events that come in. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Any:
        """The event in a JSON object. Raises InputError, which names the first field that is wrong."""
        try:
            return cls.model_validate(document)
        except ValidationError as problem:
            raise _input_error(problem) from None


class PredictionEvent(InputEvent):
    """A prediction, as a model service publishes it."""

    prediction_id: Identifier
    """The prediction's id; an integer is taken as its decimal text."""
    model: Name
    """The model's name."""
    timestamp: Timestamp
    """Event time: RFC 3339 with offset, or integer epoch milliseconds."""
    prediction: ClassValue | None = None
    """The class (text, integer, boolean) or number predicted; required unless error is set."""
    label_key: Identifier | None = None
    """What a label refers to, where it is not the prediction_id."""
    score: Annotated[Number | dict[Text, Number], BeforeValidator(_score)] | None = None
    """Probability of the positive class, or {class: probability}."""
    version: Text | None = None
    """The model's version."""
    variant: Text | None = None
    """champion, challenger, shadow or any other."""
    features: dict[Text, FeatureValue] | None = None
    """{name: number, text, boolean or null}; null and NaN count as missing."""
    segments: dict[Text, OptionalText] | None = None
    """{name: text}: what metrics are also sliced by."""
    latency_ms: Number | None = None
    """How long the service took."""
    error: Text | None = None
    """An error text where the service failed to predict; an empty one is none."""
    attributions: dict[Text, OptionalNumber] | None = None
    """{feature: number}: SHAP or LIME values."""
    weight: Number | None = None
    """Sample weight; 1 where there is none."""

    @model_validator(mode="after")
    def _predicts_or_failed(self) -> PredictionEvent:
        if self.prediction is None and not self.error:
            raise PydanticCustomError("missing_field", "is required where error is not set", {"field": "prediction"})
        return self


class LabelEvent(InputEvent):
    """A label, as whoever learns the truth publishes it. label_key may stand for prediction_id."""

    prediction_id: Identifier | None = None
    """The prediction's id, or its label_key."""
    label: ClassValue | None = Field(...)
    """The true class or number; null withdraws."""
    timestamp: Timestamp | None = None
    """When the label became known; where there is none, the Kafka record's timestamp."""
    model: Name | None = None
    """Where given, the label counts for this model alone."""
    weight: Number | None = None
    """Sample weight, in place of the prediction's."""
    label_key: Identifier | None = None
    """Goes before prediction_id."""

    @model_validator(mode="after")
    def _has_a_key(self) -> LabelEvent:
        if self.prediction_id is None and self.label_key is None:
            raise PydanticCustomError("missing_field", "is required", {"field": "prediction_id"})
        return self

    @property
    def key(self) -> str:
        """label_key, or prediction_id where there is none."""
        key = self.prediction_id if self.label_key is None else self.label_key
        assert key is not None
        return key


_NAMED = ("features", "attributions", "segments")


def _input_error(problem: ValidationError) -> InputError:
    """The first error, in the words of a dead letter: no values, and of names only those that are published anyway."""
    error, *others = problem.errors(include_url=False, include_input=False)
    if error["loc"][:1] == ("score",):  # a number or a map: of a map that is wrong, what is wrong inside it
        error = next((each for each in others if each["loc"][:1] == ("score",) and len(each["loc"]) > 2), error)
    location = error["loc"]
    field = error.get("ctx", {}).get("field") or (str(location[0]) if location else None)
    if field in _NAMED and len(location) > 1 and location[-1] != "[key]":
        field = f"{field}.{location[1]}"[:MAX_IDENTIFIER_BYTES].encode(errors="replace").decode()
    kind = error["type"]
    if kind == "missing":
        return InputError("missing_field", f"{field} is required", field)
    if kind in ERROR_CODES:
        code: ErrorCode = kind  # type: ignore[assignment]
        return InputError(code, f"{field} {error['msg']}", field)
    return InputError("invalid_type", f"{field} must be a map of names to values", field)
