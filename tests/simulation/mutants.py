"""Deliberate bugs: patches in `bugs/` that change what functions of the shipped code do, while a test looks.

A patch is a unified diff of the tree. It is applied to the source as it is, and the code of the functions that come out
other is put in the place of theirs, in this process, until the context ends; the tree itself is never touched. So a
bug must lie in the body of a function. Of a kernel another one is compiled, which is called in its place wherever
Python does so: kernels that call it go on calling the shipped one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any
from unittest import mock

import numba

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).parent / "bugs"


@dataclass(frozen=True, slots=True)
class Bug:
    """A patch, and what its first lines say: what is wrong, the seed and the checker that catches it.

    `# what`, `# seed: 12 keep: 0-3,9`, `# checker: name`.
    """

    name: str
    what: str
    seed: int
    keep: str
    checker: str
    diff: str


def bugs() -> list[Bug]:
    """All of them, by name."""
    return [read_bug(path) for path in sorted(BUGS.glob("*.patch"))]


def read_bug(path: Path) -> Bug:
    """One of them."""
    text = path.read_text()
    head, _, diff = text.partition("\n--- ")
    notes = [line.removeprefix("# ") for line in head.splitlines()]
    told = dict(line.split(": ", 1) for line in notes[1:])
    seed, _, keep = told["seed"].partition(" keep ")
    return Bug(path.stem, notes[0], int(seed), keep, told["checker"], "--- " + diff)


class DoesNotApply(Exception):
    """The source is no longer what the patch was made for."""


def patched(diff: str) -> dict[str, str]:
    """Path and new source of each file of a unified diff. Each hunk must fit in exactly one place."""
    found: dict[str, str] = {}
    for part in diff.split("--- a/")[1:]:
        head, *hunks = part.split("\n@@ ")
        path = head.splitlines()[0].split("\t")[0]
        source = (ROOT / path).read_text()
        for hunk in hunks:
            lines = hunk.split("\n")[1:]
            old = "".join(line[1:] + "\n" for line in lines if line[:1] in {" ", "-"})
            new = "".join(line[1:] + "\n" for line in lines if line[:1] in {" ", "+"})
            if source.count(old) != 1:
                raise DoesNotApply(f"{path}: the hunk fits in {source.count(old)} places:\n{old}")
            source = source.replace(old, new)
        found[path] = source
    return found


@contextmanager
def planted(bug: Bug) -> Iterator[list[str]]:
    """The bug is in the running code until the context ends. Gives the names of the functions that differ."""
    with ExitStack() as stack:
        changed: list[str] = []
        for path, source in patched(bug.diff).items():
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            for function, code in _changed(module, source):
                kernel = vars(module).get(function.__name__)
                if kernel is function or not hasattr(kernel, "py_func"):
                    stack.callback(setattr, function, "__code__", function.__code__)
                    function.__code__ = code
                else:
                    _plant_kernel(kernel, code, stack)
                changed.append(f"{module.__name__}.{function.__qualname__}")
        yield changed


def _plant_kernel(kernel: Any, code: CodeType, stack: ExitStack) -> None:
    """Compile another, which no cache may know: it would be taken for the shipped one."""
    function = FunctionType(code, kernel.py_func.__globals__, kernel.py_func.__name__)
    other = numba.jit(**kernel.targetoptions)(function)
    for module in [each for name, each in sys.modules.items() if name.startswith("streams.")]:
        for name, value in list(vars(module).items()):
            if value is kernel:
                stack.enter_context(mock.patch.object(module, name, other))


def _changed(module: ModuleType, source: str) -> list[tuple[FunctionType, CodeType]]:
    """The functions that differ, and their other code."""
    before, after = _functions(module, (ROOT / _path(module)).read_text()), _functions(module, source)
    if before.keys() != after.keys():
        raise DoesNotApply(f"{module.__name__}: a bug may not add or remove functions")
    mine = _defined(vars(module), module.__name__)
    return [
        (mine[name], function.__code__)
        for name, function in after.items()
        if _text(function.__code__) != _text(before[name].__code__)
    ]


def _path(module: ModuleType) -> str:
    return module.__name__.replace(".", "/") + ".py"


def _functions(module: ModuleType, source: str) -> dict[str, FunctionType]:
    """The functions of a source, defined aside."""
    aside: dict[str, Any] = {
        "__name__": module.__name__,
        "__package__": module.__package__,
        "__file__": module.__file__,
    }
    exec(compile(source, str(module.__file__), "exec", dont_inherit=True), aside)
    return _defined(aside, module.__name__)


def _defined(names: dict[str, Any], module: str) -> dict[str, FunctionType]:
    """Functions, methods and what kernels are made of, by qualified name."""
    found: dict[str, FunctionType] = {}
    for value in names.values():
        for each in (value, *vars(value).values()) if isinstance(value, type) else (value,):
            inner = each.fget if isinstance(each, property) else getattr(each, "__func__", each)
            inner = getattr(inner, "py_func", inner)
            if isinstance(inner, FunctionType) and inner.__module__ == module:
                found[inner.__qualname__] = inner
    return found


def _text(code: CodeType) -> tuple[Any, ...]:
    """What a code does, without where it stands."""
    constants = tuple(_text(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames
