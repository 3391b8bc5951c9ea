"""Reading the configuration: a YAML file, environment variables over it, and errors that name file, line and key.

YAML is read with 1.2's scalars, so that `on: error` is a key named on, and 12:30 is not a number. An environment
variable is STREAMGAUGE_ and the path of the key, parts joined by two underscores, in capitals:
STREAMGAUGE_KAFKA__BOOTSTRAP_SERVERS. In STREAMGAUGE_KAFKA__CLIENT__SASL_PASSWORD single underscores are the dots of
librdkafka's names. Lists and mappings are written as in YAML: [a, b].
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.catalogue import DETECTORS, SEVERAL
from schemas.config import Config
from schemas.sections import Section

PREFIX = "STREAMGAUGE_"
_OF_KUBERNETES = re.compile(
    r".*_(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=(tcp|udp|sctp)://|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=).*",
    re.S,
)
"""Set for services whose names begin with ours: STREAMGAUGE_SERVICE_HOST=…, STREAMGAUGE_KAFKA_PORT=tcp://…"""
_QUOTED = re.compile(r"""(['"])(?!<)[^'"]{4,}\1""")
"""What PyYAML quotes of the file beyond a sign or two: it may be a secret."""
KeyPath = tuple[str | int, ...]


class ConfigError(ValueError):
    """The configuration is wrong. Its text is one sentence: file, line, key, and what is allowed."""


_LONGEST_NAME = 100
"""Characters of a key that an error shows."""
_DEEPEST = 50
"""Levels of a file. PyYAML's time grows with the square of the depth, and its stack with the depth."""
_MOST_NODES = 100_000
"""Places in a file, aliases followed: a few lines of aliases of aliases are billions."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own way of being told)
    _depth = 0

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _DEEPEST:
            raise yaml.scanner.ScannerError(None, None, f"it is nested deeper than {_DEEPEST} levels", self.get_mark())
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"it is nested deeper than {_DEEPEST} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        text: str = super().construct_scalar(node)
        if not _is_unicode(text):  # an escape may say so
            raise yaml.constructor.ConstructorError(None, None, "text with a lone surrogate", node.start_mark)
        return text


for _tag, _pattern, _first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", "<<", "<"),
]:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "bool", "null", "int", "float", "merge", "map", "seq")
)
_NUMBERS: dict[str, Callable[[str], int | float]] = {"int": int, "float": float}


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    try:
        return _NUMBERS[node.tag.rpartition(":")[2]](loader.construct_scalar(node))
    except ValueError:  # !!int x; and Python reads no integer of more than 4,300 digits
        raise yaml.constructor.ConstructorError(
            None, None, "a number that is none, or too long", node.start_mark
        ) from None


for _tag in _NUMBERS:
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _number)


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration of the file (every default without one) with `environ` over it. Raises ConfigError."""
    data: dict[str, Any] = {}
    lines: dict[KeyPath, int] = {}
    if path is not None:
        data, lines = _read(path)
    variables = _overlay(data, environ)
    try:
        return Config.model_validate(data)
    except ValidationError as problem:
        raise ConfigError(_sentence(problem.errors(include_url=False)[0], path, data, lines, variables)) from problem


def _read(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        text = path.read_bytes().decode()
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{path}: is not UTF-8 text") from problem
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[KeyPath, int] = {}
        if node is not None:
            _mark(node, (), lines, path, (), count(1))
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        said = _QUOTED.sub("…", problem.problem or problem.context or "")
        raise ConfigError(f"{where}: is not YAML: {said}") from None  # PyYAML's own text quotes the line
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        raise ConfigError(f"{path}, line {line}: is not YAML: a control character") from None
    except KeyError:  # !!bool x, which may be a password
        raise ConfigError(f"{path}: is not YAML: a tag does not fit its value") from None
    except yaml.YAMLError as problem:
        raise ConfigError(f"{path}: is not YAML: {problem}") from problem
    finally:
        if loader is not None:
            loader.dispose()
    if data is None:
        return {}, lines
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of sections: {', '.join(Config.keys())}")
    return data, lines


def _mark(
    node: yaml.Node,
    at: KeyPath,
    lines: dict[KeyPath, int],
    path: Path,
    inside: tuple[yaml.Node, ...],
    nodes: Iterator[int],
) -> None:
    """Notes the line of every key; refuses a key given twice, an anchor that holds itself, a tag that is not JSON's,
    and aliases of aliases that would never end."""
    lines.setdefault(at, node.start_mark.line + 1)
    if node in inside:
        raise ConfigError(f"{path}, line {node.start_mark.line + 1}: an anchor must not hold itself")
    if node.tag not in _TAGS:
        raise ConfigError(f"{path}, line {node.start_mark.line + 1}: tags have no meaning here")
    if next(nodes) > _MOST_NODES:
        raise ConfigError(f"{path}: its aliases stand for more than {_MOST_NODES:,} values")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{path}, line {key.start_mark.line + 1}: a key must be plain text")
            if key.value in seen:
                raise ConfigError(f"{path}, line {key.start_mark.line + 1}: {_dotted((*at, key.value))} is given twice")
            seen.add(key.value)
            if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                key.tag = "tag:yaml.org,2002:str"  # a model may be called 1 or true
            lines[*at, key.value] = key.start_mark.line + 1
            _mark(value, (*at, key.value), lines, path, (*inside, node), nodes)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _mark(value, (*at, i), lines, path, (*inside, node), nodes)


def _overlay(data: dict[str, Any], environ: Mapping[str, str]) -> dict[KeyPath, str]:
    """Puts the environment's values into `data`; returns which variable set which key."""
    variables: dict[KeyPath, str] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        if not _is_unicode(name + environ[name]):
            raise ConfigError(f"environment variable {name!a}: is not UTF-8 text")
        parts = [part.lower() for part in name[len(PREFIX) :].split("__")]
        if len(parts) == 1 and parts[0] not in Config.model_fields:
            meant = None if _OF_KUBERNETES.fullmatch(f"{name}={environ[name]}") else _meant(name)
            if meant is None:
                continue
            raise ConfigError(f"environment variable {name}: is not a known key; did you mean {meant}?")
        if parts[:2] == ["kafka", "client"] and len(parts) == 3 and parts[2] != "log_level":
            parts[2] = parts[2].replace("_", ".")
        section = data
        for depth, part in enumerate(parts[:-1]):
            below = section.get(part)
            if below is None:
                section[part] = below = {}
            if not isinstance(below, dict):
                raise ConfigError(f"environment variable {name}: {_dotted(tuple(parts[: depth + 1]))} has no keys")
            section = below
        verbatim = (parts[:2] == ["kafka", "client"] and len(parts) == 3) or parts == ["privacy", "hash_key"]
        # A password may begin with a bracket.
        section[parts[-1]] = environ[name] if verbatim else _scalar(name, environ[name])
        variables[tuple(parts)] = name
    return variables


def _meant(name: str) -> str | None:
    """The variable that was meant by one that names no key: a section's key after one underscore, or nearly a key of
    the file's first level. What is neither is somebody else's."""
    rest = name[len(PREFIX) :].lower()
    for section, field in Config.model_fields.items():
        kind = field.annotation
        if rest.startswith(f"{section}_") and isinstance(kind, type) and issubclass(kind, Section):
            key = rest[len(section) + 1 :]
            first, _, below = key.partition("_")
            if key in kind.model_fields:
                return f"{PREFIX}{section.upper()}__{key.upper()}"
            if below and first in kind.model_fields and _has_keys(kind, first):
                return f"{PREFIX}{section.upper()}__{first.upper()}__{below.upper()}"
    plain = [key for key, field in Config.model_fields.items() if field.annotation in (int, str)]
    near = difflib.get_close_matches(rest, plain, n=1, cutoff=0.85)
    return f"{PREFIX}{near[0].upper()}" if near else None


def _has_keys(kind: type[Section], name: str) -> bool:
    """Whether a key of a section is a section or a map itself."""
    inner = kind.model_fields[name].annotation
    return get_origin(inner) is dict or (isinstance(inner, type) and issubclass(inner, Section))


def _is_unicode(text: str) -> bool:
    """Whether it can be written out: bytes of the environment that are not UTF-8 come as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _scalar(name: str, text: str) -> Any:
    if text.lstrip()[:1] not in {"[", "{"}:
        return None if text in {"null", "~"} else text
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(f"environment variable {name}: is not YAML, though it begins like a list or a map") from None


def _sentence(
    error: ErrorDetails,
    path: Path | None,
    data: dict[str, Any],
    lines: Mapping[KeyPath, int],
    variables: Mapping[KeyPath, str],
) -> str:
    context = error.get("ctx", {})
    at = tuple(context["path"]) if "path" in context else _place(error, data)
    if "path" not in context and ("key" in context or "at" in context):
        at = (*at, context.get("at", context.get("key")))
    near = at
    while near and near not in variables and near not in lines:
        near = near[:-1]
    if near in variables:
        where = f"environment variable {variables[near]}"
    elif path is None:
        where = "configuration"
    else:
        where = f"{path}, line {lines[near]}" if near in lines else str(path)
    return f"{where}: {_dotted(at) or 'the configuration'} {_said(error)}"


def _place(error: ErrorDetails, data: dict[str, Any]) -> KeyPath:
    """The error's location without pydantic's own steps (the tag of a union's member)."""
    at: list[str | int] = []
    node: Any = data
    for part in error["loc"]:
        if part in node if isinstance(node, dict) else isinstance(node, list) and isinstance(part, int):
            node = node[part]
            at.append(part)
    if error["type"] == "missing":
        at.append(error["loc"][-1])
    return tuple(at)


def _said(error: ErrorDetails) -> str:
    """What is wrong, to be read after the key's name."""
    kind, context = error["type"], error.get("ctx", {})
    match kind:
        case "missing":
            return "is missing"
        case "literal_error":
            return f"must be {context['expected']}, not {error['input']!r}"
        case "union_tag_invalid":
            if context["tag"] in SEVERAL:
                return f"has {context['tag']}, which looks at several features at once; here one series is watched"
            return f"must have use: one of {context['expected_tags']}, not {context['tag']!r}"
        case "union_tag_not_found":
            return f"must have the key use: {', '.join(DETECTORS)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a mapping of keys to values"
    message = error["msg"].removeprefix("Input ").removeprefix("Value error, ").replace("should", "must")
    return message[:1].lower() + message[1:]


def _dotted(at: KeyPath) -> str:
    text = ""
    for part in at:
        if isinstance(part, str) and len(part) > _LONGEST_NAME:
            part = f"{part[:_LONGEST_NAME]}…"
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
