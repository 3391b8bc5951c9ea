"""What a gauge task is configured with."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import Config, config_hash
from streams.outcomes import UNKNOWN_MODEL
from streams.partitioner import partition_of


@dataclass(frozen=True, slots=True)
class GaugeSettings:
    """Names of topics and times in milliseconds; `config` says how each model is monitored."""

    config: Config
    config_hash: str
    application_id: str
    metrics_topic: str
    alerts_topic: str
    snapshots_topic: str
    labels_topic: str
    predictions_topic: str
    nobodys_partition: int = 0  # the outcomes partition of records that name no model
    snapshot_every: int = 30_000
    snapshot_bytes: int = 64 * 2**20
    events_per_tick: int = 5_000
    armed_at_once: int = 160_000  # values of long references, for each detector, at one tick: some 100 ms

    @classmethod
    def from_config(cls, config: Config) -> GaugeSettings:
        """The settings of every gauge task."""
        return cls(
            config=config,
            config_hash=config_hash(config),
            application_id=config.kafka.application_id,
            metrics_topic=config.topics.metrics,
            alerts_topic=config.topics.alerts,
            snapshots_topic=config.snapshots_topic,
            labels_topic=config.topics.labels,
            predictions_topic=config.topics.predictions,
            nobodys_partition=partition_of(UNKNOWN_MODEL.encode(), config.outcomes_partitions),
        )
