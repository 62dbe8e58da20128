"""Every figure is a ratio of sums over the complete slice, for any batching of its records."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_model_analysis.metrics import metric_specs, metric_types

from components.evaluate import evaluator, metrics

pytestmark = pytest.mark.integration

SUMS = {"nll_sum": 120.0, "num_chars": 80.0, "num_unknown": 4.0}
METRICS = {
    "perplexity": math.exp(1.5),
    "bits_per_character": 1.5 / math.log(2),
    "out_of_vocabulary_rate": 0.05,
    "character_count": 80.0,
}

record = st.fixed_dictionaries(
    {
        "nll_sum": st.floats(0, 1e4, width=32),
        "num_chars": st.integers(0, 2000).map(float),
        "num_unknown": st.integers(0, 2000).map(float),
    }
)


@pytest.mark.parametrize("name", METRICS)
def test_formula_of_each_metric(name: str) -> None:
    assert metrics.FORMULAS[name](SUMS) == pytest.approx(METRICS[name], rel=1e-12)


def test_perplexity_of_a_uniform_choice_is_the_number_of_choices() -> None:
    sums = {**SUMS, "nll_sum": 80 * math.log(65)}
    assert metrics.perplexity(sums) == pytest.approx(65)
    assert metrics.bits_per_character(sums) == pytest.approx(math.log2(65))


def test_without_characters_no_figure_lets_a_model_be_blessed() -> None:
    nothing = dict.fromkeys(metrics.OUTPUTS, 0.0)
    assert metrics.perplexity(nothing) == math.inf
    assert math.isnan(metrics.bits_per_character(nothing))
    assert math.isnan(metrics.out_of_vocabulary_rate(nothing))
    assert metrics.character_count(nothing) == 0


@pytest.mark.parametrize("nats", [80 * 1e6, math.inf, math.nan])
def test_overflow_and_nan_give_infinite_perplexity(nats: float) -> None:
    assert metrics.perplexity({**SUMS, "nll_sum": nats}) == math.inf


def computed(name: str, batches: dict[str, list[dict[str, Any]]]) -> dict[metric_types.MetricKey, float]:
    """Run a metric's computations as TFMA does, for records of each model in two accumulators."""
    models = list(batches)
    results: dict[Any, Any] = {}
    derived = []
    for computation in metrics.FromSums(name).computations(model_names=models):
        if isinstance(computation, metric_types.DerivedMetricComputation):
            derived.append(computation)
            continue
        combiner = computation.combiner
        parts = [combiner.create_accumulator(), combiner.create_accumulator()]
        for i in range(len(batches[models[0]])):
            outputs = {model: batches[model][i] for model in models}
            element = metric_types.StandardMetricInputs(prediction=outputs if models != [""] else outputs[""])
            parts[i % 2] = combiner.add_input(parts[i % 2], element)
        results.update(combiner.extract_output(combiner.merge_accumulators(parts)))
    assert derived
    return {key: value for one in derived for key, value in one.result(results).items()}


@pytest.mark.parametrize("name", METRICS)
@given(records=st.lists(record, min_size=1, max_size=6))
def test_figure_is_that_of_the_sums_over_all_records(name: str, records: list[dict[str, float]]) -> None:
    batches = [{output: np.array([value], np.float32) for output, value in one.items()} for one in records]
    sums = {output: sum(float(one[output][0]) for one in batches) for output in metrics.OUTPUTS}
    ((key, figure),) = computed(name, {"": batches}).items()
    assert key.name == name
    assert figure == pytest.approx(metrics.FORMULAS[name](sums), rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_candidate_and_baseline_have_separate_figures(name: str) -> None:
    candidate = {output: np.array([value], np.float32) for output, value in SUMS.items()}
    baseline = {**candidate, "nll_sum": np.array([100.0]), "num_unknown": np.array([0.0])}
    figures = computed(name, {"candidate": [candidate], "baseline": [baseline]})
    assert {key.model_name: value for key, value in figures.items()} == {
        "candidate": pytest.approx(metrics.FORMULAS[name](SUMS)),
        "baseline": pytest.approx(metrics.FORMULAS[name]({**SUMS, "nll_sum": 100.0, "num_unknown": 0.0})),
    }


def test_all_metrics_of_a_model_share_one_computation() -> None:
    combiners = {
        computation.combiner
        for name in METRICS
        for computation in metrics.FromSums(name).computations(model_names=["candidate", "baseline"])
        if isinstance(computation, metric_types.MetricComputation)
    }
    assert len(combiners) == 2


def test_tfma_makes_each_metric_from_the_configuration_of_the_evaluator() -> None:
    config = evaluator.eval_config(None, 0.0, by_document=False, max_copied=None, sources="digest")
    made = [metric_specs.metric_instance(metric) for metric in config.metrics_specs[0].metrics]
    assert all(isinstance(metric, metrics.FromSums) for metric in made)
    assert [metric.name for metric in made] == [*METRICS]
