"""The defaults are valid; a value out of its bounds or a contradiction between values is an error."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from components.errors import UserError
from pipeline.config import overrides
from pipeline.config.run import Config
from pipeline.config.section import Section

COUNTS = """
corpus.min_chars vocabulary.max_size vocabulary.min_count model.embedding model.units training.batch_size
training.shuffle_buffer training.steps training.epochs training.eval_every training.checkpoint_seconds
training.log_every training.logical_cpus training.memory_limit_chars tuner.trials tuner.steps serving.poll_seconds
serving.config_poll_seconds serving.request_timeout_seconds serving.start_seconds serving.stop_seconds
serving.max_request_bytes serving.max_concurrent_requests serving.user_id serving.batching.max_rows
serving.batching.max_waiting serving.batching.threads serving.resources.min_replicas serving.resources.max_replicas
cluster.workers
"""
COUNTS_FROM_ZERO = """
training.warmup_steps training.early_stopping training.sample_chars training.sampled_softmax export.top_k
serving.batching.timeout_microseconds serving.resources.gpus
"""
DROPOUTS = """
model.dropout model.input_dropout model.layer_dropout model.output_dropout model.recurrent_dropout
"""
TEXTS = "corpus.source root serving.host serving.image cluster.root cluster.experiment cluster.region"

# Keys with the same bounds; values at the bounds; values beyond them, each with the expected part of the message.
RANGES: list[tuple[str, list[str], dict[str, str]]] = [
    (COUNTS, ["1"], {"0": "greater than or equal to 1"}),
    (COUNTS_FROM_ZERO, ["0"], {"-1": "greater than or equal to 0"}),
    (DROPOUTS, ["0", "0.999"], {"-0.001": "greater than or equal to 0", "1.0": "less than 1"}),
    (
        "training.weight_decay training.clip_norm evaluation.max_increase",
        ["0"],
        {"-0.001": "greater than or equal to 0"},
    ),
    (
        "training.learning_rate training.epsilon training.max_minutes model.initial_embedding",
        ["1e-30"],
        {"0": "greater than 0"},
    ),
    (
        "evaluation.threshold",
        ["auto", "1e-30"],
        {"0": "'auto' or greater than 0", "automatic": "'auto' or a valid number"},
    ),
    (TEXTS, ["x"], {"": "at least 1 character"}),
    ("corpus.passage_length", ["100", "100_000"], {"99": "or equal to 100", "100_001": "or equal to 100000"}),
    ("corpus.eval_fraction", ["0.001", "0.5"], {"0": "greater than 0", "0.51": "or equal to 0.5"}),
    ("corpus.test_fraction", ["0", "0.4"], {"-0.1": "or equal to 0", "0.41": "or equal to 0.4"}),
    ("model.cell", ["rnn", "gru", "lstm", "layer_norm_lstm"], {"transformer": "'rnn', 'gru', 'lstm' or"}),
    ("model.layers", ["1", "8"], {"0": "or equal to 1", "9": "or equal to 8"}),
    ("training.sequence_length", ["2"], {"1": "or equal to 2"}),
    ("training.measured_chars", ["0", "10_000_000"], {"-1": "or equal to 0", "10_000_001": "or equal to 10000000"}),
    ("evaluation.max_copied", ["none", "0", "1"], {"-0.1": "or equal to 0", "1.1": "or equal to 1"}),
    ("training.final_fraction", ["0", "1"], {"-0.1": "or equal to 0", "1.1": "or equal to 1"}),
    ("training.beta_2", ["0.001", "0.999"], {"0": "greater than 0", "1": "less than 1"}),
    ("export.num_chars", ["1", "100_000"], {"0": "or equal to 1", "100_001": "or equal to 100000"}),
    ("export.temperature", ["0.001", "100"], {"0": "greater than 0"}),
    ("export.max_temperature", ["0.8"], {"0": "greater than 0"}),
    ("export.max_chars", ["100"], {"99": "or equal to 100"}),  # the infra check needs some
    ("export.max_score_chars", ["100"], {"99": "or equal to 100"}),
    ("export.max_batch_chars", ["100"], {"99": "or equal to 100"}),
    ("seed", ["0", "1_999_999_999"], {"-1": "or equal to 0", "2_000_000_000": "less than 2000000000"}),
    (
        "model_name",
        ["a", "A_b-9", "a" * 63],
        dict.fromkeys(("", "1st", "../elsewhere", "a b", "a" * 64), "pattern"),
    ),
    (
        "serving.rest_port serving.grpc_port serving.playground_port",
        ["1", "65_535"],
        {"0": "or equal to 1", "65_536": "or equal to 65535"},
    ),
    ("serving.resources.target_cpu_percent", ["1", "100"], {"0": "or equal to 1", "101": "or equal to 100"}),
    ("serving.resources.cpu", ["2", "0.5", "500m"], {"two": "pattern", "2 m": "pattern"}),
    ("serving.resources.memory", ["512Mi", "1Gi"], {"1G": "pattern", "Gi": "pattern"}),
    ("serving.volume_size", ["512Mi", "1Gi", "1Ti"], {"1T": "pattern", "Ti": "pattern"}),
    ("serving.mount_path", ["/models", "/a.b/c-d_e"], {"models": "pattern", "/": "pattern", "/a b": "pattern"}),
    (
        "serving.volume_claim cluster.state_claim",
        ["a", "a-1", "a" * 63],
        dict.fromkeys(("Not_A_Claim", "-a", "a-", "a" * 64), "pattern"),
    ),
    ("cluster.pods.Trainer.cpu", ["0.001", "1000"], {"0.0009": "or equal to 0.001", "1000.1": "or equal to 1000"}),
    ("cluster.pods.Trainer.memory_gb", ["0.01", "1e5"], {"0.009": "or equal to 0.01", "1.1e5": "or equal to 100000"}),
    ("cluster.pods.Trainer.gpus", ["0", "16"], {"-1": "or equal to 0", "17": "or equal to 16"}),
]
BESIDE = {"export.max_chars": ["export.num_chars=1"], "training.warmup_steps": ["training.max_minutes=none"]}


def sections(section: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [field.annotation for field in section.model_fields.values()]
    nested = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [section, *(deeper for kind in nested for deeper in sections(kind))]


def test_every_default_is_valid() -> None:
    defaults = Config()
    assert Config.model_validate(defaults.model_dump()) == defaults


def test_every_section_is_frozen_and_forbids_unknown_keys() -> None:
    for section in sections(Config):
        assert issubclass(section, Section)
        assert section.model_config == Section.model_config


@pytest.mark.parametrize(("keys", "inside", "outside"), RANGES, ids=[keys.split()[0] for keys, _, _ in RANGES])
def test_value_at_a_bound_is_valid_and_one_beyond_is_an_error(
    keys: str, inside: list[str], outside: dict[str, str]
) -> None:
    for key in keys.split():
        for value in inside:
            overrides.load("quick", [*BESIDE.get(key, []), f"{key}={value}"])
        for value, expected in outside.items():
            with pytest.raises(UserError) as refused:
                overrides.load("quick", [*BESIDE.get(key, []), f"{key}={value}"])
            message = str(refused.value)
            assert message.startswith(f"{key} should be ")
            assert expected in message
            assert f" Received: {key}=" in message


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"training": {"steps": 10, "epochs": 1}}, ["training.steps=10", "training.epochs=1"]),
        ({"training": {"steps": None}}, ["training.steps=None", "training.epochs=None"]),
        ({"training": {"max_minutes": 1, "warmup_steps": 19}}, ["max_minutes=1.0", "warmup_steps=19"]),
        (
            {"training": {"measured_chars": 0}, "evaluation": {"max_copied": 0.1}},
            ["evaluation.max_copied=0.1", "training.measured_chars=0"],
        ),
        ({"training": {"logical_cpus": 2}}, ["training.logical_cpus=2", "training.strategy=auto"]),
        ({"training": {"sequence_length": 1_000}, "corpus": {"passage_length": 100}}, ["1000", "passage_length=100"]),
        ({"corpus": {"eval_fraction": 0.5, "test_fraction": 0.2}}, ["0.5 and 0.2"]),
        (
            {"model": {"tied": True, "embedding": 64, "units": 128}},
            ["model.embedding=64", "model.units=128"],
        ),
        ({"export": {"num_chars": 200, "max_chars": 100}}, ["export.num_chars=200", "export.max_chars=100"]),
        ({"export": {"temperature": 100.1}}, ["export.temperature=100.1", "export.max_temperature=100.0"]),
    ],
)
def test_contradiction_is_an_error_that_names_the_values(values: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Config.model_validate(values)
    for words in named:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"training": {"steps": None, "epochs": 1}},
        {"training": {"logical_cpus": 2, "strategy": "mirrored"}},
        {"training": {"sequence_length": 999}, "corpus": {"passage_length": 100}},
        {"corpus": {"eval_fraction": 0.3, "test_fraction": 0.3}},
        {"export": {"num_chars": 200, "max_chars": 200}},
        {"export": {"temperature": 150.0, "max_temperature": 150.0}},
    ],
)
def test_values_just_short_of_a_contradiction_are_valid(values: dict[str, Any]) -> None:
    made = Config.model_validate(values)
    assert made.model_dump(include={key: set(inner) for key, inner in values.items()}) == values


def test_column_makes_rows_documents() -> None:
    assert overrides.load("quick", ["corpus.column=text"]).corpus.documents == "row"
    assert Config().corpus.documents == "file"
    for settings in (["corpus.column=text", "corpus.documents=line"], ["corpus.documents=row"]):
        with pytest.raises(UserError, match=r"With corpus\.column each row is a document"):
            overrides.load("quick", settings)
