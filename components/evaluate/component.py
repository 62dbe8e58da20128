"""The Evaluator as a component of a pipeline.

A separate module, because a task needs the executor only.
"""

from tfx.components.evaluator.component import Evaluator
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

from components.evaluate.evaluator import Executor


class PerplexityEvaluator(Evaluator):
    """TFX's Evaluator with this project's executor."""

    EXECUTOR_SPEC = BeamExecutorSpec(Executor)
