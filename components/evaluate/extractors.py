"""TFMA's steps before the metrics, with a fixed number of passages in each call of a model.

A separate module, because TFX reloads the module that it takes `custom_extractors` from.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import default_extractors
from tensorflow_model_analysis.extractors.extractor import Extractor
from tensorflow_model_analysis.utils import util

from components.evaluate import hardest

CANDIDATE = "candidate"  # name of the evaluated model
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
    batched = Extractor(stage_name="Batches", ptransform=batches)
    target = hardest.DESTINATION.get("")
    found = [Extractor(stage_name="Hardest", ptransform=_Hardest(target))] if target else []
    return [features, batched, *others, *found]


class _Hardest(beam.PTransform):
    """Writes the hardest passages beside the figures, and passes on what it gets.

    Example: `test_hardest_passages_are_written` in tests/components/evaluate/test_evaluator.py.
    """

    def __init__(self, target: str) -> None:
        """Write into this directory of a ModelEvaluation artifact."""
        super().__init__()
        self._target = target

    def expand(self, extracts: Any) -> Any:
        _ = (
            extracts
            | "Parts" >> beam.FlatMap(_parts)
            | "Top" >> beam.combiners.Top.Of(hardest.COUNT, key=lambda part: part.mean)
            | "Write" >> beam.Map(partial(hardest.write, self._target))
        )
        return extracts


def _parts(extracts: Any) -> Iterator[hardest.Passage]:
    features, predicted = extracts[tfma.FEATURES_KEY], extracts[tfma.PREDICTIONS_KEY]
    nats = predicted.get(CANDIDATE, predicted).get("nll")
    if nats is None:  # an export of an earlier release
        return
    # TFMA has divided the batches into passages by now.
    names = ("document", "position", "text")
    for document, position, text, row in zip(*(np.ravel(features[name]) for name in names), np.atleast_2d(nats)):
        yield hardest.part(document.decode(), int(position), text.decode(), row)
