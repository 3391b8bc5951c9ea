"""The public contract in code: configuration, events, control records, and what is exported from them."""

from schemas.config import (
    BudgetConfig,
    Config,
    ExpiryLabel,
    HttpConfig,
    JoinConfig,
    KafkaConfig,
    LimitsConfig,
    ModelConfig,
    PrivacyConfig,
    ReferenceConfig,
    StateConfig,
    TopicsConfig,
    WindowsConfig,
)
from schemas.detection import METRICS, Adwin, ChiSquared, Detector, PageHinkley, Quantile, Rule, Sigmas, WindowedKs
from schemas.loading import ConfigError, load_config
from schemas.units import canonical_class, class_number, format_duration, parse_duration, parse_timestamp

__all__ = [
    "METRICS",
    "Adwin",
    "BudgetConfig",
    "ChiSquared",
    "Config",
    "ConfigError",
    "Detector",
    "ExpiryLabel",
    "HttpConfig",
    "JoinConfig",
    "KafkaConfig",
    "LimitsConfig",
    "ModelConfig",
    "PageHinkley",
    "PrivacyConfig",
    "Quantile",
    "ReferenceConfig",
    "Rule",
    "Sigmas",
    "StateConfig",
    "TopicsConfig",
    "WindowedKs",
    "WindowsConfig",
    "canonical_class",
    "class_number",
    "format_duration",
    "load_config",
    "parse_duration",
    "parse_timestamp",
]
