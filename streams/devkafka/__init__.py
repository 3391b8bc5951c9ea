"""A real Apache Kafka for development, tests, the demo and the benchmarks."""

from streams.devkafka.jars import DevKafkaUnavailable, fetch_jars, locked
from streams.devkafka.local import local_kafka
from streams.devkafka.provide import DevKafka, dev_kafka

__all__ = ["DevKafka", "DevKafkaUnavailable", "dev_kafka", "fetch_jars", "local_kafka", "locked"]
