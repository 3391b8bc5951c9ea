"""Coverage of the rooms' own Python. Kernels are left as they are, for numba cannot compile what reports coverage: so
modules that hold one are imported plain, and their other functions are instrumented afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import atheris

_ROOT = Path(__file__).parents[2]
_ROOMS = ("streams", "schemas", "detectors", "metrics")


def _with_kernels() -> list[str]:
    """Names of the modules that hold kernels."""
    paths = [path for room in _ROOMS for path in (_ROOT / room).rglob("*.py")]
    return [
        ".".join(path.relative_to(_ROOT).with_suffix("").parts) for path in paths if "numba.njit" in path.read_text()
    ]


def imports() -> Any:
    """The context in which the rooms are imported."""
    return atheris.instrument_imports(include=[*_ROOMS, "yaml"], exclude=_with_kernels())


def the_rest() -> int:
    """Instrument what stands beside kernels in the modules imported so far; how many functions."""
    kernels = set(_with_kernels())
    found = {id(each): each for name in kernels & sys.modules.keys() for each in _functions(sys.modules[name])}
    for function in found.values():
        atheris.instrument_func(function)
    return len(found)


def _functions(module: Any) -> Iterator[FunctionType]:
    for each in vars(module).values():
        if getattr(each, "__module__", None) != module.__name__:
            continue
        if isinstance(each, FunctionType):
            yield each
        elif isinstance(each, type):
            for inner in vars(each).values():
                plain = getattr(inner, "__func__", None) or getattr(inner, "fget", None) or inner
                if isinstance(plain, FunctionType) and plain.__module__ == module.__name__:
                    yield plain
