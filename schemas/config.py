"""The configuration file, section by section: every key, its default, and what it means.

Durations become whole milliseconds, sizes bytes, classes canonical text. `Config()` is what holds with no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from schemas.monitoring import ModelConfig, check_detectors, check_rules
from schemas.sections import Section, unknown_key
from schemas.units import PositiveDuration, Size, format_duration, parse_timestamp

_OWNED = {
    "bootstrap.servers": "set kafka.bootstrap_servers",
    "group.id": "set kafka.application_id",
    "transactional.id": "set kafka.application_id",
    "auto.offset.reset": "set kafka.start",
    "group.instance.id": "use run --instance",
    "group.protocol": "streamgauge sets it itself",
    "enable.auto.commit": "streamgauge sets it itself",
    "enable.auto.offset.store": "streamgauge sets it itself",
    "enable.idempotence": "streamgauge sets it itself",
    "isolation.level": "streamgauge sets it itself",
    "partition.assignment.strategy": "streamgauge sets it itself",
    "enable.partition.eof": "streamgauge sets it itself",
    "message.max.bytes": "streamgauge sets it itself",
    "metadata.broker.list": "set kafka.bootstrap_servers",
    "partitioner": "set partitioner, beside kafka",
}

SESSION_TIMEOUT_MS = 12_000
TRANSACTION_TIMEOUT_MS = 8_000
"""Shorter than the session, so that a dead member's transaction has ended before its successor starts."""


def _start(value: str) -> str:
    if value not in {"earliest", "latest"}:
        try:
            parse_timestamp(value)
        except ValueError:
            raise PydanticCustomError(
                "start", "must be earliest, latest or an RFC 3339 time such as 2026-11-22T08:00:00Z"
            ) from None
    return value


def _client(value: dict[str, Any]) -> dict[str, Any]:
    for key in value:
        if key in _OWNED:
            raise PydanticCustomError("client", "cannot be set here: {remedy}", {"key": key, "remedy": _OWNED[key]})
    session = value.get("session.timeout.ms", SESSION_TIMEOUT_MS)
    transaction = value.get("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
    if _whole(session) and _whole(transaction) and int(transaction) >= int(session):
        key = "transaction.timeout.ms" if "transaction.timeout.ms" in value else "session.timeout.ms"
        raise PydanticCustomError(
            "client", "keeps transactions ({transaction} ms) open as long as a session lasts ({session} ms): "
            "transaction.timeout.ms must be below session.timeout.ms",
            {"key": key, "transaction": int(transaction), "session": int(session)},
        )  # fmt: skip
    return value


def _whole(value: object) -> bool:
    return str(value).isascii() and str(value).isdigit() and len(str(value)) < 12


def _topic(value: str) -> str:
    if value in {".", ".."}:
        raise PydanticCustomError("topic", "must be a name that Kafka takes, not . or ..")
    return value


TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$"), AfterValidator(_topic)]
LONGEST_COMMIT_INTERVAL = 10_000


def _commit_interval(value: int) -> int:
    if value > LONGEST_COMMIT_INTERVAL:
        longest = format_duration(LONGEST_COMMIT_INTERVAL)
        raise PydanticCustomError("commit_interval", "must be at most {longest}", {"longest": longest})
    return value


class KafkaConfig(Section):
    """How to reach Kafka, and under which name."""

    bootstrap_servers: str = Field(default="localhost:9092", min_length=1)
    """host:port, several separated by commas."""
    application_id: str = Field(default="streamgauge", pattern=r"^[A-Za-z0-9._-]{1,200}$")
    """Prefix of consumer groups, transactional ids and internal topics."""
    client: Annotated[dict[str, str | bool | int | float], AfterValidator(_client)] = Field(default_factory=dict)
    """Any librdkafka property: security.protocol, sasl.mechanism, …"""
    start: Annotated[str, AfterValidator(_start)] = "earliest"
    """Where the first start begins, and only the first: earliest, latest or an RFC 3339 time."""


class TopicsConfig(Section):
    """Names of the topics."""

    predictions: TopicName = "predictions"
    """Prediction events, in."""
    labels: TopicName = "labels"
    """Label events, in."""
    metrics: TopicName = "metrics"
    """Metric and monitor events, out."""
    alerts: TopicName = "alerts"
    """Alert events, out."""
    dead_letters: TopicName = "dead-letters"
    """What could not be read, out."""
    control: TopicName = "control"
    """Silences, acknowledgements, baselines; one partition, in."""

    @model_validator(mode="after")
    def _distinct(self) -> TopicsConfig:
        names = [getattr(self, key) for key in TopicsConfig.model_fields]
        if len(set(names)) < len(names):
            raise PydanticCustomError("topics", "must be six different names")
        return self


class StateConfig(Section):
    """Where the join stage holds predictions that wait for labels."""

    memory: Size = 2 * 2**30
    """Memory for it."""
    directory: Path | None = None
    """Where to spill beyond memory."""


class PrivacyConfig(Section):
    """What must not leave, or not in the clear."""

    dead_letter_value: Literal["none", "full"] = "none"
    """Whether dead letters carry the record's key and value (base64, cut at 64 KiB)."""
    drop_features: list[str] = Field(default_factory=list)
    """Features and attributions dropped at decoding."""
    hash_features: list[str] = Field(default_factory=list)
    """Features whose values become keyed hashes at decoding, and so categories."""
    hash_key: SecretStr | None = None
    """The key of these hashes, 1 to 64 bytes of UTF-8."""
    categories: list[str] = Field(default_factory=list)
    """Categorical features whose categories may be named in metric and alert events."""

    @model_validator(mode="after")
    def _hashing_has_a_key(self) -> PrivacyConfig:
        if self.hash_features and self.hash_key is None:
            raise PydanticCustomError("privacy", "lists hash_features, so it must give hash_key too")
        if self.hash_key is not None and not 1 <= len(self.hash_key.get_secret_value().encode()) <= 64:
            raise PydanticCustomError("privacy", "must be 1 to 64 bytes of UTF-8", {"at": "hash_key"})
        return self


MOST = 100_000_000
"""The largest limit: what fits 32 bits and no memory."""


class LimitsConfig(Section):
    """Bounds on what a model may make streamgauge hold; what is beyond goes to __other__."""

    versions: int = Field(default=10, ge=1, le=MOST)
    """Versions of a model; one that is settled makes room for a new one."""
    segments_per_key: int = Field(default=100, ge=1, le=MOST)
    """Values of a segment key."""
    features: int = Field(default=500, ge=1, le=MOST)
    """Features of a model."""
    categories: int = Field(default=1000, ge=2, le=MOST)
    """Categories of a feature."""
    records_per_key: int = Field(default=64, ge=2, le=10_000)
    """Predictions and labels held under one key; each record looks through those of its key."""
    open_windows: int = Field(default=20_000, ge=1, le=MOST)
    """Windows open at a time, of a model's segments; twice as many of all. What would open more counts in cumulative
    and rolling windows alone."""
    models: int = Field(default=1_000, ge=1, le=MOST)
    """Models of a partition of the outcomes topic."""


class HttpConfig(Section):
    """Where /livez, /readyz and /metrics are served while running."""

    host: str = "127.0.0.1"
    """Address; 0.0.0.0 for all."""
    port: int = Field(default=9464, ge=0, le=65_535)
    """Port, for both stages; 0 for a free one."""


PREDICTION_FIELDS = (
    "prediction_id", "model", "timestamp", "prediction", "label_key", "score", "version", "variant", "features",
    "segments", "latency_ms", "error", "attributions", "weight",
)  # fmt: skip
LABEL_FIELDS = ("prediction_id", "label_key", "label", "timestamp", "model", "weight")
FIELDS_OF_ENTRIES = ("features", "segments", "attributions")
"""Fields that are maps of names to values: `fields` can say of one entry where it is (segments.region: country)."""
_WRITTEN_WHOLE = ("features", "attributions", "score")
"""Maps of which every entry is written on, under its own name."""


def _mapping(value: dict[str, str], allowed: tuple[str, ...]) -> dict[str, str]:
    for key, path in value.items():
        map_name, _, entry = key.partition(".")
        if key not in allowed and not (entry and map_name in allowed and map_name in FIELDS_OF_ENTRIES):
            raise unknown_key(key, sorted(allowed))
        if not all(path.split(".")):
            raise PydanticCustomError("fields", "must be names joined by dots, such as request.id", {"at": key})
    return value


class Config(Section):
    """streamgauge's configuration. Every key has a default: with no file, every model that appears is monitored."""

    kafka: KafkaConfig = KafkaConfig()
    """How to reach Kafka."""
    topics: TopicsConfig = TopicsConfig()
    """Names of the topics."""
    commit_interval: Annotated[PositiveDuration, AfterValidator(_commit_interval)] = 200
    """How often a transaction is committed while records come in."""
    partitioner: Literal["murmur2", "crc32"] = "murmur2"
    """What puts predictions and labels on partitions: murmur2 (Java's default) or crc32 (librdkafka's)."""
    outcomes_partitions: int = Field(default=8, ge=1, le=1000)
    """Partitions of the outcomes topic, fixed at its birth: the most gauge tasks there can be."""
    max_skew: PositiveDuration = 3_600_000
    """A partition further ahead of its task's slowest, in event time, is paused."""
    state: StateConfig = StateConfig()
    """Where the join stage holds predictions."""
    privacy: PrivacyConfig = PrivacyConfig()
    """What must not leave."""
    limits: LimitsConfig = LimitsConfig()
    """Bounds on what is held."""
    http: HttpConfig = HttpConfig()
    """Where /livez, /readyz and /metrics are served."""
    fields: Annotated[dict[str, str], AfterValidator(lambda value: _mapping(value, PREDICTION_FIELDS))] = Field(
        default_factory=dict
    )
    """Where prediction events of your own format keep each field, nested ones with dots:
    {prediction_id: request.id, score: output.proba, segments.region: country}. Fields not named here keep the
    contract's names."""
    label_fields: Annotated[dict[str, str], AfterValidator(lambda value: _mapping(value, LABEL_FIELDS))] = Field(
        default_factory=dict
    )
    """The same for label events: {prediction_id: request.id, label: outcome.fraud}."""
    defaults: ModelConfig = ModelConfig()
    """How every model is monitored."""
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    """What is different for one model. Sections are merged over defaults key by key; lists are replaced."""

    @model_validator(mode="after")
    def _models_fit(self) -> Config:
        for name, override in self.models.items():
            shared = override.join.model_fields_set - {"horizon", "grace", "on_expiry"}
            if shared:
                key = min(shared)
                raise PydanticCustomError(
                    "shared", "cannot differ between models: set defaults.join.{key}",
                    {"path": ("models", name, "join", key), "key": key},
                )  # fmt: skip
        for path, model in [(("defaults",), self.defaults), *((("models", n), self.model(n)) for n in self.models)]:
            check_detectors(path, model)
            check_rules(path, model)
        return self

    @model_validator(mode="after")
    def _topics_are_not_our_own(self) -> Config:
        """What is read or published must not lie among the internal topics, which are written and deleted as ours."""
        for key in TopicsConfig.model_fields:
            if getattr(self.topics, key) in self.internal_topics:
                raise PydanticCustomError(
                    "topics", "is the name of an internal topic of kafka.application_id {ours}: change one of the two",
                    {"path": ("topics", key), "ours": self.kafka.application_id},
                )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _private_features_have_no_second_name(self) -> Config:
        """A dropped or hashed feature must not be written in the clear as a segment, or as another feature."""
        features, segments = self.fields.get("features", "features"), self.fields.get("segments", "segments")
        private = {self.fields.get(f"features.{name}", f"{features}.{name}"): f"features.{name}"
                   for name in (*self.privacy.drop_features, *self.privacy.hash_features)}  # fmt: skip
        own = {name: name for name in PREDICTION_FIELDS}
        read = own | {f"segments.{key}": f"{segments}.{key}" for key in self.segment_keys} | self.fields
        for path, field in private.items():
            within = next((each for each in _WRITTEN_WHOLE if path.startswith(f"{read[each]}.")), None)
            if within is not None and f"{within}.{path.removeprefix(f'{read[within]}.')}" != field:
                raise PydanticCustomError(
                    "private", "takes {taken}, which stays there under its own name: give privacy that name instead",
                    {"path": ("fields", field), "taken": path},
                )  # fmt: skip
        for field, path in read.items():
            if path in private and field != private[path]:
                raise PydanticCustomError(
                    "private", "takes {taken}, which privacy keeps from being written in the clear",
                    {"path": ("fields", field), "taken": path},
                )  # fmt: skip
        return self

    def model(self, name: str) -> ModelConfig:
        """How the model `name` is monitored: models.<name> merged over defaults."""
        override = self.models.get(name)
        return self.defaults if override is None else _merged(self.defaults, override)

    @property
    def segment_keys(self) -> tuple[str, ...]:
        """The segment keys of any model: those of defaults first, then the others in the file's order."""
        every = [self.defaults, *(self.model(name) for name in self.models)]
        return tuple(dict.fromkeys(key for model in every for key in model.segments))

    @property
    def outcomes_topic(self) -> str:
        """<application_id>-outcomes"""
        return f"{self.kafka.application_id}-outcomes"

    @property
    def journal_topic(self) -> str:
        """<application_id>-journal"""
        return f"{self.kafka.application_id}-journal"

    @property
    def snapshots_topic(self) -> str:
        """<application_id>-snapshots"""
        return f"{self.kafka.application_id}-snapshots"

    @property
    def internal_topics(self) -> tuple[str, str, str]:
        """The topics that state is restored from."""
        return self.outcomes_topic, self.journal_topic, self.snapshots_topic

    @property
    def join_group(self) -> str:
        """<application_id>-join"""
        return f"{self.kafka.application_id}-join"

    @property
    def gauge_group(self) -> str:
        """<application_id>-gauge"""
        return f"{self.kafka.application_id}-gauge"

    @property
    def source(self) -> str:
        """CloudEvents' source of every output record."""
        return f"/streamgauge/{self.kafka.application_id}"


S = TypeVar("S", bound=Section)


def _merged(base: S, override: S) -> S:
    changes: Mapping[str, Any] = {
        key: _merged(getattr(base, key), getattr(override, key))
        if isinstance(getattr(base, key), Section) and isinstance(getattr(override, key), Section)
        else getattr(override, key)
        for key in override.model_fields_set
    }
    return base.model_copy(update=changes)
