"""The join stage: predictions and labels held by key, rows of the outcomes topic out, a journal to restore from."""

from streams.join.control import ControlTask
from streams.join.settings import Decoders, JoinSettings, ModelJoin
from streams.join.step import JoinStep
from streams.join.task import JoinTask

__all__ = ["ControlTask", "Decoders", "JoinSettings", "JoinStep", "JoinTask", "ModelJoin"]
