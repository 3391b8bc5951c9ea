"""A real Apache Kafka for development, tests, the demo and the benchmarks."""

from streams.devkafka.jars import DevKafkaUnavailable, fetch_jars, locked
from streams.devkafka.local import LocalCluster, local_cluster, local_kafka
from streams.devkafka.provide import DevKafka, dev_kafka

__all__ = [
    "DevKafka",
    "DevKafkaUnavailable",
    "LocalCluster",
    "dev_kafka",
    "fetch_jars",
    "local_cluster",
    "local_kafka",
    "locked",
]
