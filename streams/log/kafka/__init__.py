"""The transactional log over Apache Kafka."""

from streams.log.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
