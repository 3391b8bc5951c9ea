"""What a join task needs to know: topics, times, limits and decoders. Built once, frozen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from schemas import Config, ExpiryLabel, JoinConfig, class_number
from streams.decode import (
    DecodedLabels,
    DecodedPredictions,
    LabelDecoder,
    PredictionDecoder,
    Privacy,
    Refusal,
    Strings,
    dead_letter,
)
from streams.partitioner import Partitioner
from streams.records import OutputRecord, RecordBatch

_HOUR = 3_600_000
_DAY = 24 * _HOUR


class DecodesPredictions(Protocol):
    """Bytes of the predictions topic to columns; total: bad data becomes refusals."""

    def decode(self, batch: RecordBatch, strings: Strings) -> DecodedPredictions: ...


class DecodesLabels(Protocol):
    """Bytes of the labels topic to columns; total: bad data becomes refusals."""

    def decode(self, batch: RecordBatch, strings: Strings) -> DecodedLabels: ...


@dataclass(frozen=True, slots=True)
class Decoders:
    """How a task reads its input. `dead_letter(refusal, batch)` makes the record of a refusal."""

    predictions: DecodesPredictions
    labels: DecodesLabels
    dead_letter: Callable[[Refusal, RecordBatch], OutputRecord]


@dataclass(frozen=True, slots=True)
class ModelJoin:
    """The times of one model, in milliseconds, and the label a prediction gets when none came (None: unlabelled)."""

    horizon: int = 7 * _DAY
    grace: int = _DAY
    on_expiry: float | str | None = None


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """What is the same for all join tasks of an application. Times are milliseconds.

    `default` holds for every model that `models` does not name. A label that names no model is held for the
    longest horizon + grace of all of them.
    """

    decoders: Decoders
    application_id: str = "streamgauge"
    predictions: str = "predictions"
    labels: str = "labels"
    control: str = "control"
    outcomes: str = "streamgauge-outcomes"
    outcomes_partitions: int = 8
    partitioner: Partitioner = "murmur2"
    segment_keys: tuple[str, ...] = ()
    default: ModelJoin = ModelJoin()
    models: Mapping[str, ModelJoin] = field(default_factory=dict)
    disorder: int = 60_000
    idle_after: int = 30_000
    records_per_key: int = 64
    privacy: Privacy = field(default_factory=Privacy)

    @classmethod
    def from_config(cls, config: Config) -> JoinSettings:
        """What a configuration asks for."""
        join = config.defaults.join
        return cls(
            decoders=Decoders(
                PredictionDecoder.from_config(config),
                LabelDecoder.from_config(config),
                lambda refusal, batch: dead_letter(refusal, batch, config),
            ),
            application_id=config.kafka.application_id,
            predictions=config.topics.predictions,
            labels=config.topics.labels,
            control=config.topics.control,
            outcomes=config.outcomes_topic,
            outcomes_partitions=config.outcomes_partitions,
            partitioner=config.partitioner,
            segment_keys=config.segment_keys,
            default=_model_join(join),
            models={name: _model_join(config.model(name).join) for name in config.models},
            disorder=join.disorder,
            idle_after=join.idle_after,
            records_per_key=config.limits.records_per_key,
            privacy=Privacy.from_config(config),
        )

    def join_of(self, model: str) -> ModelJoin:
        """The times of `model`."""
        return self.models.get(model, self.default)

    @property
    def longest_hold(self) -> int:
        """The longest horizon + grace of any model."""
        return max(each.horizon + each.grace for each in (self.default, *self.models.values()))


def _model_join(join: JoinConfig) -> ModelJoin:
    label = join.on_expiry.label if isinstance(join.on_expiry, ExpiryLabel) else None
    return ModelJoin(join.horizon, join.grace, None if label is None else _class_of(label))


def _class_of(text: str) -> float | str:
    number = class_number(text)
    return text if math.isnan(number) else number
