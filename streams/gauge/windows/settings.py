"""What a model's windows are made of: sizes, segments, limits. Plain values, no configuration file behind them."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Literal

from schemas import LimitsConfig, ModelConfig

TaskType = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """All durations in milliseconds; `rolling` in outcomes. `task` None: not decided yet.

    `categories` bounds the classes of a model. `open_windows` bounds its panes: beyond it, segments' panes are not
    opened any more, and beyond twice as many neither are the whole model's.
    """

    task: TaskType | None = None
    positive_label: str = "1"
    tumbling: tuple[int, ...] = (3_600_000, 86_400_000)
    rolling: tuple[int, ...] = (1000,)
    cumulative: bool = True
    emit_every: int = 10_000
    revise_every: int = 300_000
    horizon: int = 7 * 86_400_000
    grace: int = 86_400_000
    segments: tuple[str, ...] = ()
    min_coverage: float = 0.9
    level: float = 0.95
    versions: int = 10
    segments_per_key: int = 100
    features: int = 500
    categories: int = 1000
    open_windows: int = 20_000

    @property
    def pane(self) -> int:
        """The greatest common divisor of the tumbling sizes; 0 where there are none."""
        return gcd(*self.tumbling) if self.tumbling else 0

    @classmethod
    def from_config(cls, config: ModelConfig, limits: LimitsConfig) -> WindowSettings:
        """The windows of one model, from its merged configuration and the limits."""
        return cls(
            task=None if config.task == "auto" else config.task,
            positive_label=config.positive_label,
            tumbling=tuple(config.windows.tumbling),
            rolling=tuple(config.windows.rolling),
            cumulative=config.windows.cumulative,
            emit_every=config.windows.emit_every,
            revise_every=config.windows.revise_every,
            horizon=config.join.horizon,
            grace=config.join.grace,
            segments=tuple(config.segments),
            min_coverage=config.min_coverage,
            versions=limits.versions,
            segments_per_key=limits.segments_per_key,
            features=limits.features,
            categories=limits.categories,
            open_windows=limits.open_windows,
        )
