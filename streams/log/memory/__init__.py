"""The transactional log in memory, for tests, simulation and the demo."""

from streams.log.memory.consumer import MemoryConsumer
from streams.log.memory.faults import Faults
from streams.log.memory.log import MemoryAdmin, MemoryLog, MemoryReader
from streams.log.memory.partition import Entry
from streams.log.memory.producer import MemoryProducer

__all__ = ["Entry", "Faults", "MemoryAdmin", "MemoryConsumer", "MemoryLog", "MemoryProducer", "MemoryReader"]
