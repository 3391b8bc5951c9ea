"""What all sections of the configuration share: frozen, and a wrong key is an error that names the nearest one."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A section of the configuration file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, coerce_numbers_to_str=True, use_attribute_docstrings=True,
        hide_input_in_errors=True, defer_build=True,  # it may be a secret
        allow_inf_nan=False,  # a threshold that nothing reaches would be a silent detector
    )  # fmt: skip

    @classmethod
    def keys(cls) -> list[str]:
        """The keys that a file may use, in alphabetical order."""
        return sorted(field.alias or name for name, field in cls.model_fields.items())

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        allowed = cls.keys()
        for key in data:
            if key not in allowed and key not in cls.model_fields:
                raise unknown_key(str(key), allowed)
        # A section whose keys are all commented out is null in YAML: it is the default.
        return {key: value for key, value in data.items() if value is not None or cls._nullable(key)}

    @classmethod
    def _nullable(cls, key: str) -> bool:
        return any(field.default is None for name, field in cls.model_fields.items() if key in (name, field.alias))


def unknown_key(key: str, allowed: list[str]) -> PydanticCustomError:
    """The error of a key that is not there; `ctx["key"]` lets the loader point at its line."""
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return PydanticCustomError(
        "unknown_key",
        "is not a known key; {hint}allowed: {allowed}",
        {"key": key, "hint": hint, "allowed": ", ".join(allowed)},
    )
