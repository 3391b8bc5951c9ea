"""The compiled way of the decoder: a batch of plain records from bytes to columns, with no Python object for any event.

It knows JSON's grammar, not all of its freedom: where it is not sure of a single record (an escape, a key twice, a
number on the edge, a type that the contract does not name), it leaves the whole batch to the careful way.
"""

from streams.decode.scan.batches import LabelScan, PredictionScan

__all__ = ["LabelScan", "PredictionScan"]
