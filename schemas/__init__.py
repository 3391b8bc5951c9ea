"""The public contract in code: configuration, events, control records, and what is exported from them."""

from schemas.alert_event import AlertEvent
from schemas.catalogue import DETECTORS, Adwin, ChiSquared, Detector, PageHinkley, WindowedKs
from schemas.config import (
    LABEL_FIELDS,
    PREDICTION_FIELDS,
    SESSION_TIMEOUT_MS,
    TRANSACTION_TIMEOUT_MS,
    Config,
    HttpConfig,
    KafkaConfig,
    LimitsConfig,
    PrivacyConfig,
    StateConfig,
    TopicsConfig,
)
from schemas.control import (
    Acknowledgement,
    Baseline,
    Calendar,
    ControlRecord,
    Rebaseline,
    Silence,
    parse_control,
)
from schemas.detection import METRICS, Quantile, Rule, Sigmas
from schemas.events import DeadLetter, MonitorEvent
from schemas.export import exported
from schemas.export import write as write_exports
from schemas.inputs import (
    ERROR_CODES,
    MAX_IDENTIFIER_BYTES,
    MAX_VALUE_BYTES,
    InputError,
    LabelEvent,
    PredictionEvent,
    read_json,
)
from schemas.loading import ConfigError, load_config
from schemas.metric_event import MetricEvent
from schemas.monitoring import BudgetConfig, ExpiryLabel, JoinConfig, ModelConfig, ReferenceConfig, WindowsConfig
from schemas.outputs import ALERT_TYPE, DEAD_LETTER_TYPE, METRIC_TYPE, MONITOR_TYPE
from schemas.showing import MASK, config_hash, is_secret, show_config
from schemas.units import (
    LARGEST_EXACT,
    MAX_NUMBER,
    canonical_class,
    class_number,
    format_duration,
    parse_duration,
    parse_timestamp,
)
from schemas.watching import WatchedDetector

__all__ = [
    "ALERT_TYPE",
    "DEAD_LETTER_TYPE",
    "DETECTORS",
    "ERROR_CODES",
    "LABEL_FIELDS",
    "LARGEST_EXACT",
    "MASK",
    "MAX_IDENTIFIER_BYTES",
    "MAX_NUMBER",
    "MAX_VALUE_BYTES",
    "METRICS",
    "METRIC_TYPE",
    "MONITOR_TYPE",
    "PREDICTION_FIELDS",
    "SESSION_TIMEOUT_MS",
    "TRANSACTION_TIMEOUT_MS",
    "Acknowledgement",
    "Adwin",
    "AlertEvent",
    "Baseline",
    "BudgetConfig",
    "Calendar",
    "ChiSquared",
    "Config",
    "ConfigError",
    "ControlRecord",
    "DeadLetter",
    "Detector",
    "ExpiryLabel",
    "HttpConfig",
    "InputError",
    "JoinConfig",
    "KafkaConfig",
    "LabelEvent",
    "LimitsConfig",
    "MetricEvent",
    "ModelConfig",
    "MonitorEvent",
    "PageHinkley",
    "PredictionEvent",
    "PrivacyConfig",
    "Quantile",
    "Rebaseline",
    "ReferenceConfig",
    "Rule",
    "Sigmas",
    "Silence",
    "StateConfig",
    "TopicsConfig",
    "WatchedDetector",
    "WindowedKs",
    "WindowsConfig",
    "canonical_class",
    "class_number",
    "config_hash",
    "exported",
    "format_duration",
    "is_secret",
    "load_config",
    "parse_control",
    "parse_duration",
    "parse_timestamp",
    "read_json",
    "show_config",
    "write_exports",
]
