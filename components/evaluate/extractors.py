"""TFMA's steps before the metrics, with a fixed number of passages in each call of a model.

A separate module, because TFX reloads the module that it takes `custom_extractors` from.
"""

from typing import Any

import apache_beam as beam
from tensorflow_model_analysis import default_extractors
from tensorflow_model_analysis.extractors.extractor import Extractor
from tensorflow_model_analysis.utils import util

# Passages in one call of a model. TFMA sends as many as take a second: one or two for GRU 1024 on two cores.
# `serving.graph.scoring.MAX_EVAL_CHARS` allows this many of the longest that the configuration allows.
BATCH_SIZE = 64


def custom_extractors(eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any) -> list[Any]:
    """Return TFMA's extractors, and between those for features and predictions one that makes new batches.

    TFX calls it by this name, see `components.evaluate.evaluator.Executor`. `ModelSpec.inference_batch_size` would be
    the setting for it, but tfx_bsl (1.16, 1.21) does not pass it on to Beam.

    Example: `test_model_evaluates_passages_in_batches_of_a_fixed_size` in tests/components/evaluate/test_evaluator.py.
    """
    features, *others = default_extractors(
        eval_shared_model=eval_shared_model, eval_config=eval_config, tensor_adapter_config=tensor_adapter_config
    )
    batches = (
        "Split" >> beam.FlatMap(util.split_extracts, expand_zero_dims=False)
        | "Batch" >> beam.BatchElements(min_batch_size=BATCH_SIZE, max_batch_size=BATCH_SIZE)
        | "Merge" >> beam.Map(util.merge_extracts, squeeze_two_dim_vector=False)
    )
    return [features, Extractor(stage_name="Batches", ptransform=batches), *others]
