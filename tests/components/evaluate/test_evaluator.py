"""The Evaluator on models with known losses: which are blessed, and the reasons for those that are not."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx.components.util import model_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.beam import LOCAL
from components.evaluate import extractors, generalization, hardest, reference
from components.evaluate.evaluation import Figures, read_figures
from components.evaluate.evaluator import Executor, eval_config, with_settings
from pipeline.config.run import CorpusConfig
from serving.graph import scoring
from tests import numeric

pytestmark = pytest.mark.integration

# The first character of a text is not a target.
EASY, HARD = "e" * 301, "h" * 101
RECORDS = [("easy.txt", EASY), ("hard.txt", HARD), ("hard.txt", HARD)]
REFERENCE = 2.0  # nats per character of the trigram model
MEASURED = generalization.Generalization(1.0, 1.5, 20_480, {20: 0.2, 50: 0.1, 100: 0.0}, "a copy", "easy.txt")
# Up to three nats per character, multiplied in float32 by the characters of a passage. The absolute error of the nats
# is the relative error of their exponential.
ROUNDED = 3 * numeric.relative(4)


class Known(tf.Module):
    """A model with a loss of `easy` nats for "e" and `hard` nats for "h"."""

    def __init__(self, easy: float, hard: float) -> None:
        super().__init__()
        self.easy, self.hard = tf.Variable(easy), tf.Variable(hard)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")], autograph=False)
    def eval_nll(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        text = tf.io.parse_example(examples, {"text": tf.io.FixedLenFeature([], tf.string)})["text"]
        chars = tf.cast(tf.strings.length(text) - 1, tf.float32)
        is_hard = tf.cast(tf.strings.substr(text, 0, 1) == "h", tf.float32)
        nats = is_hard * self.hard + (1 - is_hard) * self.easy
        return {
            "nll_sum": chars * nats,
            "num_chars": chars,
            "num_unknown": is_hard,
            "nll": tf.sequence_mask(chars, dtype=tf.float32) * nats[:, None],
        }


class Batches(tf.Module):
    """A model that reports the number of passages of its call in place of unknown characters."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")], autograph=False)
    def eval_nll(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(examples)[:1]
        return {
            "nll_sum": tf.ones(rows),
            "num_chars": tf.ones(rows),
            "num_unknown": tf.fill(rows, tf.cast(rows[0], tf.float32)),
        }


def mean(easy: float, hard: float) -> float:
    return (300 * easy + 200 * hard) / 500


def artifact(kind: Any, folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(folder)
    return made


def model(folder: Path, nats: tuple[float, float] | tf.Module | None) -> Any:
    """Return a Model artifact with this model or these nats; with None it is empty, like LastBlessed's without one."""
    made = artifact(standard_artifacts.Model, folder)
    if nats is not None:
        known = nats if isinstance(nats, tf.Module) else Known(*nats)
        export = path_utils.serving_model_path(made.uri)
        tf.saved_model.save(known, export, signatures={"eval_nll": known.eval_nll})
        reference.write(export, REFERENCE)
    return made


def example(document: str, text: str) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        for name, value in (("document", document), ("text", text))
    }
    features["position"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[7]))
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


@dataclasses.dataclass(frozen=True)
class Evaluated:
    blessed: bool
    figures: Figures
    eval_text: str  # on a change of the eval text
    hardest: list[hardest.Passage]


Evaluate = Callable[..., Evaluated]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    def run(
        candidate: tuple[float, float] | tf.Module,
        baseline: tuple[float, float] | None = None,
        threshold: float | None = None,
        max_increase: float = 0.02,
        by_document: bool = True,
        max_copied: float | None = None,
        records: Sequence[tuple[str, str]] = RECORDS,
        eval_digests: tuple[str, str] = ("", ""),
    ) -> Evaluated:
        examples = artifact(standard_artifacts.Examples, tmp_path / "examples")
        examples.split_names = '["train", "eval"]'
        (tmp_path / "examples" / "Split-eval").mkdir()
        path = str(tmp_path / "examples" / "Split-eval" / "data_tfrecord-00000-of-00001.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for record in records:
                writer.write(example(*record))
        outputs = {
            "evaluation": [artifact(standard_artifacts.ModelEvaluation, tmp_path / "evaluation")],
            "blessing": [artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing")],
        }
        made, last = model(tmp_path / "candidate", candidate), model(tmp_path / "baseline", baseline)
        for one, digest in zip((examples, last), eval_digests):
            one.set_string_custom_property("eval_digest", digest)
        last.set_int_custom_property("version", 7)
        export = path_utils.serving_model_path(made.uri)
        generalization.write(export, MEASURED)
        configuration = eval_config(threshold, max_increase, by_document, max_copied, "digest")
        Executor(BaseBeamExecutor.Context(beam_pipeline_args=[*LOCAL], tmp_dir=str(tmp_path / "temporary"))).Do(
            {
                "examples": [examples],
                "model": [made],
                "baseline_model": [last],
            },
            outputs,
            {
                "eval_config": json_format.MessageToJson(configuration, preserving_proto_field_name=True),
                "example_splits": json.dumps(["eval"]),
                "fairness_indicator_thresholds": "null",
            },
        )
        (evaluation,), (blessing,) = outputs.values()
        assert evaluation.get_string_custom_property("eval_digest") == eval_digests[0]
        return Evaluated(
            model_utils.is_model_blessed(blessing),
            read_figures(str(tmp_path / "evaluation"), export),
            evaluation.get_string_custom_property("eval_text"),
            hardest.read(str(tmp_path / "evaluation")),
        )

    return run


def test_model_better_than_the_reference_model_is_blessed_despite_a_hard_document(evaluate: Evaluate) -> None:
    result = evaluate(candidate=(1.0, 3.0))
    assert result.blessed
    figures = result.figures
    assert figures.perplexity == pytest.approx(math.exp(mean(1.0, 3.0)), rel=ROUNDED)
    assert figures.bits_per_character == pytest.approx(mean(1.0, 3.0) / math.log(2), rel=ROUNDED)
    assert figures.reference_perplexity == math.exp(REFERENCE)
    assert figures.eval_chars == 500
    assert figures.out_of_vocabulary_rate == pytest.approx(2 / 500)
    assert figures.baseline_perplexity is None
    assert figures.by_document == {
        "easy.txt": pytest.approx(math.exp(1.0), rel=ROUNDED),
        "hard.txt": pytest.approx(math.exp(3.0), rel=ROUNDED),
    }
    assert figures.reasons == ()
    hard = hardest.Passage("hard.txt", 8, HARD[1:], (3.0,) * 100)
    assert result.hardest == [hard, hard, hardest.Passage("easy.txt", 8, EASY[1:], (1.0,) * 300)]


def test_model_is_not_blessed_for_each_reason(evaluate: Evaluate) -> None:
    result = evaluate((REFERENCE, REFERENCE), (1.2, 0.7), max_copied=0.09, eval_digests=("a", "b"))
    assert not result.blessed
    assert mean(1.2, 0.7) == pytest.approx(1.0)
    figures = result.figures
    assert figures.baseline_perplexity == pytest.approx(math.e, rel=ROUNDED)
    assert figures.generalization == MEASURED
    assert figures.reasons == (
        "perplexity is 1.000 times that of a character trigram model, it must be below 1",
        "10.0% of the generated spans of 50 characters occur in the training text, more than evaluation.max_copied "
        "allows, 9.0%; more text, fewer steps or more dropout lower that share",
        f"perplexity rose by {math.exp(REFERENCE) - math.e:.3f} over the last blessed model, more than 2.0%",
    )
    assert result.eval_text.startswith("version 7 was evaluated on another text")


def test_model_above_the_configured_threshold_is_not_blessed(evaluate: Evaluate) -> None:
    result = evaluate((0.736, 1.45), (1.2, 0.7), threshold=2.5, by_document=False, eval_digests=("a", ""))
    assert not result.blessed
    rise = math.exp(mean(0.736, 1.45)) - math.e
    assert result.figures.reasons == (
        f"perplexity {math.e + rise:.3f} is above the threshold 2.5",
        f"perplexity rose by {rise:.3f} over the last blessed model, more than 2.0%",
    )
    assert result.figures.by_document == {}
    assert result.eval_text == "", "the registry does not state the text"


def test_configured_values_up_to_their_bounds_are_blessed(evaluate: Evaluate) -> None:
    """The threshold replaces the reference model's perplexity, and the baseline's is exceeded by less than 2%."""
    result = evaluate((2.231, 2.95), (2.7, 2.2), threshold=13.0, max_copied=0.1, eval_digests=("a", "a"))
    figures = result.figures
    assert result.blessed, figures.reasons
    assert figures.perplexity == pytest.approx(math.exp(mean(2.231, 2.95)), rel=ROUNDED)
    assert figures.perplexity > 1.018 * math.exp(mean(2.7, 2.2))
    assert figures.perplexity > figures.reference_perplexity
    assert figures.by_document["hard.txt"] == pytest.approx(math.exp(2.95), rel=ROUNDED)
    assert result.eval_text == ""


def test_model_evaluates_passages_in_batches_of_a_fixed_size(evaluate: Evaluate) -> None:
    size = extractors.BATCH_SIZE
    passages = 2 * size + 3
    result = evaluate(candidate=Batches(), records=[("a.txt", EASY)] * passages, by_document=False)
    assert result.figures.eval_chars == passages
    assert result.figures.out_of_vocabulary_rate == pytest.approx((2 * size * size + 3 * 3) / passages)


def test_batch_of_the_longest_passages_is_within_the_bound_of_the_export() -> None:
    longest = CorpusConfig.model_json_schema()["properties"]["passage_length"]["maximum"]
    assert extractors.BATCH_SIZE * (longest + 1) <= scoring.MAX_EVAL_CHARS


def test_thresholds_apply_to_the_entire_split_and_code_changes_the_configuration() -> None:
    made = eval_config(None, 0.02, True, 0.1, "digest")
    bounded = [metric for spec in made.metrics_specs for metric in spec.metrics if metric.per_slice_thresholds]
    assert [json.loads(metric.config)["name"] for metric in bounded] == ["perplexity", "copied"]
    for spec in made.metrics_specs:
        for metric in spec.metrics:
            assert not metric.HasField("threshold")
            for bound in metric.per_slice_thresholds:
                assert list(bound.slicing_specs) == [tfma.SlicingSpec()]
    assert eval_config(None, 0.02, True, 0.1, "edited") != made


@pytest.mark.parametrize(("threshold", "bound"), [(5, 5.0), (5.5, 5.5), ("auto", None)])
def test_settings_of_a_run_replace_thresholds_and_slices(threshold: float | str, bound: float | None) -> None:
    compiled = json_format.MessageToJson(eval_config(4.0, 0.02, True, None, "s"), preserving_proto_field_name=True)
    changed = with_settings(compiled, threshold=threshold, max_increase=0.5, by_document=False, max_copied=0.3)
    assert json_format.Parse(changed, tfma.EvalConfig()) == eval_config(bound, 0.5, False, 0.3, "s")
