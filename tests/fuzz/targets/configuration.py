"""Configuration: a file and environment variables are a `Config` or one sentence; and what is accepted can be used."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import yaml

from schemas import Config, ConfigError, load_config, show_config
from streams.gauge import GaugeSettings, GaugeTask
from streams.join import ControlTask, JoinSettings, JoinTask
from tests.fuzz.mutation import bytes_changed, tree_changed
from tests.fuzz.target import Target

_CONTRACT = Path(__file__).parents[2] / "schemas" / "contract.yaml"
_SMALL = [
    "kafka: {bootstrap_servers: 'a:9092', client: {sasl.password: x, security.protocol: SASL_SSL}}\n",
    "defaults:\n  windows: &w {tumbling: [1h], rolling: [10, 100]}\n  segments: [region, shop]\n"
    "models:\n  fraud: {windows: *w}\n  1: {task: regression}\n",
    "privacy: {drop_features: [a], hash_features: [b], hash_key: 0123456789abcdef}\nfields: {model: a.b}\n",
    "defaults:\n  rules:\n    - {metric: accuracy, below: 0.9, window: 1h, for: 2h}\n"
    "    - {metric: log_loss, above: {sigmas: 3, over: 7d}, window: 1h}\n",
    "defaults: {detectors: [{on: error, use: adwin, delta: 0.001}, {on: features, use: windowed_ks}]}\n",
    "# nothing\n", "", "[]", "a", "&a [*a]", "? {a: b}\n: c",
]  # fmt: skip
_VARIABLES = [
    b"STREAMGAUGE_KAFKA__BOOTSTRAP_SERVERS=b:1", b"STREAMGAUGE_KAFKA__CLIENT__SASL_PASSWORD=[x",
    b"STREAMGAUGE_DEFAULTS__SEGMENTS=[a, b]", b"STREAMGAUGE_DEFAULTS__WINDOWS={tumbling: [1h]}",
    b"STREAMGAUGE_LIMITS__VERSIONS=3", b"STREAMGAUGE_PRIVACY__HASH_KEY={x", b"STREAMGAUGE_SERVICE_HOST=h",
    b"STREAMGAUGE_MODELS__FRAUD__TASK=binary", b"STREAMGAUGE_COMMIT_INTERVAL=1s", b"STREAMGAUGE_KAFKA=~",
]  # fmt: skip
_TOKENS = [
    b"- ", b": ", b"? ", b"&a ", b"*a", b"*a, *a, *a", b"<<: *a", b"!!python/object:os.system ", b"!!binary ",
    b"!!set ",
    b"!!int ", b"!!float ", b"!!timestamp ", b"!x ", b"|\n ", b">\n ", b"---\n", b"...\n", b"%YAML 1.1\n", b"#", b"'",
    b'"', b"\t", b"\n", b"\n  ", b"{", b"}", b"[", b"]", b",", b"~", b"null", b"1e400", b"0x1f", b"0o7", b"1_000",
    b"9" * 5000, b".inf", b".nan", b"2026-01-01", b"\xef\xbb\xbf", b"\xff", b"\x00", b"\x85", b"\\x", b"[" * 100,
    b"{a: " * 100, b"on", b"yes", b"1h", b"-1h", b"1e3d", b"999999999999d", b"5GiB", b"\xe2\x80\xa8", b"\x1b[2J",
]  # fmt: skip


class Configuration(Target):
    """A YAML text, then environment variables NAME=VALUE, each after a NUL byte."""

    name = "configuration"
    about = "YAML files and environment variables: a Config that can be used, else one sentence"
    children = 3
    largest = 3072

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self._path = Path(self._folder.name) / "streamgauge.yaml"
        self._pieces = [line.encode() + b"\n" for line in _CONTRACT.read_text().splitlines()]

    def seeds(self) -> list[bytes]:
        texts = [_CONTRACT.read_text(), *_SMALL]
        return [each.encode() for each in texts] + [b"\0" + b"\0".join(_VARIABLES[:5]), b"\0" + b"\0".join(_VARIABLES)]

    def changed(self, data: bytes, random: Random) -> bytes:
        text, *variables = data.split(b"\0")
        kind = random.random()
        if kind < 0.2:
            if variables and random.random() < 0.5:
                at = random.randrange(len(variables))
                variables[at] = bytes_changed(variables[at], random, _TOKENS)
            else:
                variables.append(random.choice(_VARIABLES))
        elif kind < 0.5:
            text = bytes_changed(text, random, _TOKENS)
        elif kind < 0.7:
            lines = text.splitlines(keepends=True) or [b""]
            at = random.randrange(len(lines))
            lines[at : at + random.randrange(2)] = [random.choice(self._pieces)]
            text = b"".join(lines)
        else:
            try:
                text = yaml.safe_dump(tree_changed(yaml.safe_load(text), random), allow_unicode=True).encode()
            except (yaml.YAMLError, UnicodeError, ValueError, RecursionError, AttributeError, TypeError, KeyError):
                text = bytes_changed(text, random, _TOKENS)
        return b"\0".join([text, *variables])

    def judge(self, inputs: Sequence[bytes]) -> int:
        return sum(map(self._one, inputs))

    def _one(self, data: bytes) -> bool:
        text, *variables = data.split(b"\0")
        environ: dict[str, str] = {}
        for each in variables:
            name, _, value = each.decode(errors="surrogateescape").partition("=")
            environ[name] = value
        self._path.write_bytes(text)
        try:
            config = load_config(self._path, environ)
        except ConfigError as problem:
            said = str(problem)
            assert said and len(said) < 2_000, f"a sentence of {len(said)} characters"
            return False
        self._use(config)
        return True

    @staticmethod
    def _use(config: Config) -> None:
        """What starts with it must start; what it shows must be a configuration again."""
        settings = JoinSettings.from_config(config)
        JoinTask(settings, 0, 2)
        ControlTask(settings, 1, 2)
        gauge = GaugeTask(GaugeSettings.from_config(config), 0)
        for name in [*config.models, "another"]:
            gauge._model(name)
        shown = yaml.safe_load(show_config(config))
        assert isinstance(shown, dict)
