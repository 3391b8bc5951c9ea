"""The join stage: predictions and labels held by key, rows of the outcomes topic out, a journal to restore from.

What the contract's join semantics leave open is decided so:

- A late label is counted for each prediction of its key (and model) that it does not count for, in that
  prediction's windows; `orphan_labels` and `lost_labels` count the label itself.
- A null label where no label stands takes nothing back, and is not counted. After a withdrawal the next label is an
  outcome with no place to replace (`refers_to` -1).
- A prediction that failed (an error and no prediction) is a row at arrival and guards against duplicates; it takes
  no label, and is never unlabelled. An error beside a prediction changes nothing in the join.
- A record on a partition where its key does not belong is counted under its model and goes no further.
- `on_expiry` gives an outcome without label timestamp and label offset (-1).
- Records of one key beyond `limits.records_per_key` (predictions and labels apart) are counted, and dropped.
- Tombstones and dead letters are counted under no model, with the timestamp of the batch's last record.
"""

from streams.join.control import ControlTask
from streams.join.room import Memory, Room
from streams.join.settings import Decoders, JoinSettings, ModelJoin
from streams.join.step import JoinStep
from streams.join.task import JoinTask

__all__ = ["ControlTask", "Decoders", "JoinSettings", "JoinStep", "JoinTask", "Memory", "ModelJoin", "Room"]
