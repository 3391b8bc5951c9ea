"""The configuration: the contract's file as it stands, merging, the environment, and sentences for people."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schemas import Adwin, Config, ConfigError, ExpiryLabel, PageHinkley, config_hash, load_config, show_config

CONTRACT = Path(__file__).parent / "contract.yaml"
HOUR, DAY = 3_600_000, 86_400_000


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "streamgauge.yaml"
    path.write_text(text)
    return load_config(path, environ)


def complaint(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as problem:
        load(tmp_path, text, **environ)
    return str(problem.value).replace(str(tmp_path), "…")


def test_the_contracts_file_loads_as_it_stands() -> None:
    config = load_config(CONTRACT, {})
    assert config.commit_interval == 200
    assert config.state.memory == 2 * 2**30
    assert config.defaults.join.horizon == 7 * DAY
    assert [rule.rule for rule in config.defaults.rules] == [
        "accuracy_below_0.9_1h",
        "log_loss_above_3sigmas_7d_1h",
        "f1_below_quantile0.01_30d_1h",
    ]
    assert config.defaults.rules[0].for_ == 2 * HOUR
    assert [detector.rule for detector in config.defaults.detectors] == [
        "error/adwin",
        "error/page_hinkley",
        "score/windowed_ks",
        "features/windowed_ks",
    ]


def test_the_contracts_file_says_the_defaults_except_for_rules_and_models() -> None:
    said = load_config(CONTRACT, {}).model_dump()
    default = Config().model_dump()
    said["models"] = {}
    said["defaults"]["rules"] = []
    assert said == default


def test_there_are_no_threshold_rules_and_no_models_without_a_file() -> None:
    config = load_config(None, {})
    assert config == Config()
    assert config.defaults.rules == []
    assert config.model("anything") == config.defaults


def test_a_model_is_merged_over_the_defaults_key_by_key_and_lists_are_replaced() -> None:
    config = load_config(CONTRACT, {})
    fraud, demand = config.model("fraud"), config.model("demand")
    assert fraud.budget.per == 7 * DAY
    assert fraud.budget.false_alarms == 1
    assert fraud.rules == config.defaults.rules
    assert demand.task == "regression"
    assert len(demand.detectors) == 1
    assert demand.join == config.defaults.join


def test_a_section_of_a_model_keeps_what_the_defaults_changed(tmp_path: Path) -> None:
    config = load(tmp_path, "defaults: {join: {grace: 2d}}\nmodels: {m: {join: {horizon: 1d, on_expiry: {label: 0}}}}")
    join = config.model("m").join
    assert (join.horizon, join.grace, join.on_expiry) == (DAY, 2 * DAY, ExpiryLabel(label="0"))


def test_a_detector_has_params_only_where_it_was_given_some() -> None:
    config = load_config(CONTRACT, {})
    assert [detector.params for detector in config.defaults.detectors] == [None] * 4
    assert config.model("demand").detectors[0].params == {
        "min_instances": 30, "delta": 0.005, "threshold": 50, "alpha": 0.9999,
    }  # fmt: skip
    assert isinstance(config.defaults.detectors[0], Adwin)
    assert isinstance(config.defaults.detectors[1], PageHinkley)


def test_segment_keys_are_those_of_every_model(tmp_path: Path) -> None:
    config = load(tmp_path, "defaults: {segments: [region]}\nmodels: {m: {segments: [device, region]}}")
    assert config.segment_keys == ("region", "device")


def test_internal_names_follow_the_application_id(tmp_path: Path) -> None:
    config = load(tmp_path, "kafka: {application_id: team-a}")
    assert config.outcomes_topic == "team-a-outcomes"
    assert config.journal_topic == "team-a-journal"
    assert config.snapshots_topic == "team-a-snapshots"
    assert (config.join_group, config.gauge_group) == ("team-a-join", "team-a-gauge")


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "kafka: {bootstrap_servers: file:1}\ndefaults: {segments: [a]}",
        STREAMGAUGE_KAFKA__BOOTSTRAP_SERVERS="env:2",
        STREAMGAUGE_COMMIT_INTERVAL="1s",
        STREAMGAUGE_HTTP__PORT="8080",
        STREAMGAUGE_DEFAULTS__SEGMENTS="[b, c]",
        STREAMGAUGE_DEFAULTS__WINDOWS__CUMULATIVE="false",
    )
    assert config.kafka.bootstrap_servers == "env:2"
    assert config.commit_interval == 1000
    assert config.http.port == 8080
    assert config.defaults.segments == ["b", "c"]
    assert config.defaults.windows.cumulative is False


def test_a_librdkafka_property_is_written_with_underscores_in_the_environment_and_stays_text() -> None:
    config = load_config(None, {"STREAMGAUGE_KAFKA__CLIENT__SASL_PASSWORD": "0123"})
    assert config.kafka.client == {"sasl.password": "0123"}


def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_not_ours() -> None:
    assert load_config(None, {"STREAMGAUGE_PORT": "tcp://10.0.0.1:9464", "STREAMGAUGE_SERVICE_HOST": "x"}) == Config()


def test_yaml_words_that_once_meant_booleans_are_words(tmp_path: Path) -> None:
    config = load(tmp_path, "defaults: {segments: [on, no, 12:30]}\nmodels: {1: {task: binary}, true: {}}")
    assert config.defaults.segments == ["on", "no", "12:30"]
    assert set(config.models) == {"1", "true"}


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Config()
    assert load(tmp_path, "# nothing\n") == Config()


def test_a_section_with_all_its_keys_commented_out_is_the_default(tmp_path: Path) -> None:
    assert load(tmp_path, "models:\nkafka:\n  # start: latest\nstate: {memory:, directory: null}\n") == Config()


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    config = load(tmp_path, "models:\n  a: &a {budget: {per: 7d}}\n  b: {<<: *a, task: binary}\n")
    assert config.model("b").budget.per == 7 * DAY
    assert config.model("b").task == "binary"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "defaults:\n  join:\n    horizion: 7d",
            "…/streamgauge.yaml, line 3: defaults.join.horizion is not a known key; did you mean horizon? "
            "allowed: disorder, grace, horizon, idle_after, max_future, max_past, on_expiry",
        ),
        ("kafak: {}", "…/streamgauge.yaml, line 1: kafak is not a known key; did you mean kafka? allowed: commit_"),
        (
            "defaults:\n  join:\n    horizon: 7",
            "…/streamgauge.yaml, line 3: defaults.join.horizon must say its unit: one of ms, s, m, h, d, w",
        ),
        (
            "commit_interval: soon",
            "…/streamgauge.yaml, line 1: commit_interval must be a duration: a number and one of ms",
        ),
        ("commit_interval: 0s", "…/streamgauge.yaml, line 1: commit_interval must be longer than 0"),
        (
            f"defaults: {{join: {{horizon: {'9' * 400}d}}}}",
            "…/streamgauge.yaml, line 1: defaults.join.horizon must be at most 36525d, a century",
        ),
        (
            "defaults: {detectors: [{on: error, use: page_hinkley, threshold: inf}]}",
            "…/streamgauge.yaml, line 1: defaults.detectors[0].threshold must be a finite number",
        ),
        (
            "defaults: {budget: {false_alarms: nan}}",
            "…/streamgauge.yaml, line 1: defaults.budget.false_alarms must be a finite number",
        ),
        (
            "defaults: {detectors: [{on: score, use: windowed_ks, window: 1000000000000}]}",
            "…/streamgauge.yaml, line 1: defaults.detectors[0].window must be less than or equal to 1000000",
        ),
        (
            f"limits: {{records_per_key: {10**30}}}",
            "…/streamgauge.yaml, line 1: limits.records_per_key must be",
        ),
        ("state: {memory: 2}", "…/streamgauge.yaml, line 1: state.memory must be a size: a number and one of B, kB"),
        (
            "kafka:\n  client:\n    group.id: x",
            "…/streamgauge.yaml, line 3: kafka.client.group.id cannot be set here: set kafka.application_id",
        ),
        ("kafka: {start: noon}", "…/streamgauge.yaml, line 1: kafka.start must be earliest, latest or an RFC 3339"),
        ("kafka: 1", "…/streamgauge.yaml, line 1: kafka must be a mapping of keys to values"),
        (
            "defaults:\n  task: regresion",
            "…/streamgauge.yaml, line 2: defaults.task must be 'auto', 'binary', 'multiclass' or 'regression', "
            "not 'regresion'",
        ),
        (
            "defaults:\n  detectors:\n    - {on: error, use: adwin, dleta: 1}",
            "…/streamgauge.yaml, line 3: defaults.detectors[0].dleta is not a known key; did you mean delta?",
        ),
        (
            "defaults:\n  detectors:\n    - {on: error, use: adwn}",
            "…/streamgauge.yaml, line 3: defaults.detectors[0] must have use: one of 'adwin', 'chi_squared'",
        ),
        (
            "defaults: {detectors: [{on: error}]}",
            "…/streamgauge.yaml, line 1: defaults.detectors[0] must have the key use: adwin, chi_squared",
        ),
        (
            "defaults: {detectors: [{on: errors, use: adwin}]}",
            "…/streamgauge.yaml, line 1: defaults.detectors[0].on must be error, residual, score, features",
        ),
        (
            "defaults: {detectors: [{on: error, use: adwin, delta: 2}]}",
            "…/streamgauge.yaml, line 1: defaults.detectors[0].delta must be less than 1",
        ),
        (
            "defaults: {rules: [{metric: acuracy, below: 1, window: 1h}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[0].metric acuracy is not a metric a rule can judge; "
            "did you mean accuracy?",
        ),
        (
            "defaults: {rules: [{metric: accuracy, window: 1h}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[0] must have either below or above",
        ),
        (
            "defaults: {rules: [{metric: accuracy, below: {sigma: 1}, window: 1h}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[0].below must be a number, {sigmas, over} or {quantile, over}",
        ),
        (
            "defaults: {rules: [{metric: accuracy, below: {sigmas: 3, over: 2h}, window: 1h}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[0].below.over must hold at least three windows of 1h",
        ),
        (
            "defaults: {windows: {tumbling: [1m]}, rules: [{metric: f1, below: {sigmas: 3, over: 30d}, window: 1m}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[0].below.over must hold at most twenty thousand windows of 1m: "
            "all are looked at when one is judged",
        ),
        (
            "defaults: {rules: [{metric: accuracy, below: 1, window: 2h}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[0].window must be one of windows.tumbling: 1h, 1d",
        ),
        (
            "models:\n  m:\n    windows: {tumbling: [2h]}\n"
            "defaults: {rules: [{metric: accuracy, below: 1, window: 1h}]}",
            "…/streamgauge.yaml, line 2: models.m.rules[0].window must be one of windows.tumbling: 2h",
        ),
        (
            "defaults: {rules: [{metric: f1, below: 1, window: 1h}, {metric: f1, below: 1.0, window: 1h}]}",
            "…/streamgauge.yaml, line 1: defaults.rules[1] is the second rule called f1_below_1_1h: give it a name",
        ),
        (
            "defaults: {join: {on_expiry: {lable: 0}}}",
            "…/streamgauge.yaml, line 1: defaults.join.on_expiry.lable is not a known key; did you mean label?",
        ),
        (
            "models: {m: {join: {disorder: 1m}}}",
            "…/streamgauge.yaml, line 1: models.m.join.disorder cannot differ between models: "
            "set defaults.join.disorder",
        ),
        (
            "kafka: {application_id: fraud}\ntopics: {labels: fraud-outcomes}",
            "…/streamgauge.yaml, line 2: topics.labels is the name of an internal topic of kafka.application_id fraud",
        ),
        ("topics: {labels: ..}", "…/streamgauge.yaml, line 1: topics.labels must be a name that Kafka takes"),
        ("commit_interval: 70s", "…/streamgauge.yaml, line 1: commit_interval must be at most 10s"),
        (
            "kafka: {client: {transaction.timeout.ms: 3600000}}",
            "…/streamgauge.yaml, line 1: kafka.client.transaction.timeout.ms keeps transactions (3600000 ms) open as "
            "long as a session lasts (12000 ms)",
        ),
        (
            "kafka: {client: {session.timeout.ms: 8000}}",
            "…/streamgauge.yaml, line 1: kafka.client.session.timeout.ms keeps transactions (8000 ms) open as long as "
            "a session lasts (8000 ms)",
        ),
        (
            "kafka: {client: {sasl.password: !!bool hunter2}}",
            "…/streamgauge.yaml: is not YAML: a tag does not fit its value",
        ),
        ("topics: {labels: predictions}", "…/streamgauge.yaml, line 1: topics must be six different names"),
        (
            "privacy: {hash_features: [iban]}",
            "…/streamgauge.yaml, line 1: privacy lists hash_features, so it must give hash_key too",
        ),
        ("fields: {prediction: a..b}", "…/streamgauge.yaml, line 1: fields.prediction must be names joined by dots"),
        ("fields: {weight.a: x}", "…/streamgauge.yaml, line 1: fields.weight.a is not a known key"),
        ("label_fields: {lable: a}", "…/streamgauge.yaml, line 1: label_fields.lable is not a known key; did you"),
        ("a: [", "…/streamgauge.yaml, line 1: is not YAML: expected the node content"),
        ("kafka: {}\nkafka: {}", "…/streamgauge.yaml, line 2: kafka is given twice"),
        ("models: &a {m: *a}", "…/streamgauge.yaml, line 1: an anchor must not hold itself"),
        ("- 1", "…/streamgauge.yaml: must be a mapping of sections: commit_interval, defaults"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_key_and_what_is_allowed(tmp_path: Path, text: str, sentence: str) -> None:
    said = complaint(tmp_path, text)
    assert said.startswith(sentence)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("STREAMGAUGE_KAFKA_BOOTSTRAP_SERVERS", "STREAMGAUGE_KAFKA__BOOTSTRAP_SERVERS"),
        ("STREAMGAUGE_KAFKA_CLIENT_SASL_PASSWORD", "STREAMGAUGE_KAFKA__CLIENT__SASL_PASSWORD"),
        ("STREAMGAUGE_DEFAULTS_JOIN_HORIZON", "STREAMGAUGE_DEFAULTS__JOIN__HORIZON"),
        ("STREAMGAUGE_COMMITINTERVAL", "STREAMGAUGE_COMMIT_INTERVAL"),
        ("STREAMGAUGE_HTTP_PORT", "STREAMGAUGE_HTTP__PORT"),
    ],
)
def test_a_variable_that_nearly_names_a_key_is_refused(tmp_path: Path, name: str, meant: str) -> None:
    assert complaint(tmp_path, "", **{name: "x"}) == (
        f"environment variable {name}: is not a known key; did you mean {meant}?"
    )


@pytest.mark.parametrize(
    "variable",
    [
        "STREAMGAUGE_KAFKA_SERVICE_HOST=10.0.0.1",
        "STREAMGAUGE_KAFKA_SERVICE_PORT_HTTP=80",
        "STREAMGAUGE_HTTP_PORT=tcp://10.0.0.1:80",
        "STREAMGAUGE_PORT_9464_TCP_ADDR=10.0.0.1",
        "STREAMGAUGE_IMAGE_TAG=1",
        "STREAMGAUGE_KAFKA_VERSION=4",
        "STREAMGAUGE_HTTP_PROXY=x",
        "STREAMGAUGE_STATE_DIR=/x",
        "STREAMGAUGE_MODELS_PATH=/x",
        "STREAMGAUGE_TOPIC=x",
    ],
)
def test_variables_of_kubernetes_and_of_others_are_left_alone(variable: str) -> None:
    assert load_config(None, dict([variable.split("=")])) == Config()


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path, "", STREAMGAUGE_KAFKA__STRAT="x").startswith(
        "environment variable STREAMGAUGE_KAFKA__STRAT: kafka.strat is not a known key; did you mean start?"
    )
    assert complaint(tmp_path, "", STREAMGAUGE_COMMIT_INTERVAL="5").startswith(
        "environment variable STREAMGAUGE_COMMIT_INTERVAL: commit_interval must be a duration"
    )
    assert "is not YAML" in complaint(tmp_path, "", STREAMGAUGE_DEFAULTS__SEGMENTS="[a")
    assert "kafka has no keys" in complaint(tmp_path, "kafka: 1", STREAMGAUGE_KAFKA__START="latest")


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "none.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"kafka: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(path, {})


def test_shown_secrets_are_masked(tmp_path: Path) -> None:
    secrets = {"sasl.password": "s3cret-1", "ssl.key.pem": "s3cret-2", "sasl.oauthbearer.client.secret": "s3cret-3"}
    text = yaml.safe_dump(
        {
            "kafka": {"client": {**secrets, "sasl.username": "ann"}},
            "privacy": {"hash_features": ["iban"], "hash_key": "s3cret-4"},
        }
    )
    config = load(tmp_path, text)
    shown = show_config(config)
    assert "s3cret" not in shown
    assert "s3cret" not in repr(config.privacy)
    assert "ann" in shown


def test_what_is_shown_means_what_was_loaded(tmp_path: Path) -> None:
    config = load_config(CONTRACT, {})
    again = load(tmp_path, show_config(config))
    assert config_hash(again) == config_hash(config)
    assert [d.params for d in again.defaults.detectors] == [None] * 4
    assert again.model("demand") == config.model("demand")
    assert again.model_dump() == config.model_dump()


def test_the_hash_changes_with_what_affects_results_and_with_nothing_else(tmp_path: Path) -> None:
    base = config_hash(Config())
    assert config_hash(load(tmp_path, "kafka: {client: {sasl.password: x}, bootstrap_servers: other:9}")) == base
    assert config_hash(load(tmp_path, "defaults: {join: {horizon: 168h}}")) == base
    assert config_hash(load(tmp_path, "defaults: {join: {horizon: 6d}}")) != base
    assert config_hash(load(tmp_path, "models: {m: {task: binary}}")) != base
    given = "defaults: {detectors: [{on: error, use: adwin, severity: critical, delta: 0.002}]}"
    not_given = "defaults: {detectors: [{on: error, use: adwin, severity: critical}]}"
    assert config_hash(load(tmp_path, given)) != config_hash(load(tmp_path, not_given))
