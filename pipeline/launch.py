"""Run the components of a pipeline one after the other in this process, and record how each of them ended."""

import functools
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from absl import logging as absl_logging
from ml_metadata.proto.metadata_store_pb2 import Execution
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.portable import (
    launcher,
    python_executor_operator,
    runtime_parameter_utils,
    tfx_runner,
)
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration.executable_spec_pb2 import BeamExecutableSpec, PythonClassExecutableSpec

from components import beam
from components.errors import UserError
from pipeline import failure, unfinished
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.console import ProgressHandler, Screen
from pipeline.create import Inputs, create_pipeline

EXECUTED, CACHED, FAILED, INTERRUPTED = "executed", "cached", "failed", "interrupted"
_PROGRESS = logging.getLogger("char_rnn.progress")


@dataclass(frozen=True)
class Outcome:
    """Result of a component.

    Attributes:
      seconds: duration.
      how: "executed", "cached", "failed" or "interrupted".
      outputs: the first artifact of each output, new or from the cache; none of a component without a result.
    """

    seconds: float
    how: str
    outputs: dict[str, Any]


TrainFunction = Callable[[dict[str, Any]], None]


def launch(
    config: Config,
    places: Places,
    inputs: Inputs,
    screen: Screen,
    name: str,
    outcomes: dict[str, Outcome],
    train: TrainFunction | None = None,
) -> None:
    """Run the pipeline with its progress on a screen.

    Args:
      outcomes: gets the outcome of each component by name, at last that of one that failed or was interrupted.
      name: of the run, in ML Metadata.
      train: trains in place of this process, see `WatchedRunner`.
    """
    absl_logging.set_verbosity(absl_logging.INFO)  # into the log file, see pipeline.console.redirect_output
    _PROGRESS.setLevel(logging.DEBUG)
    _PROGRESS.propagate = False
    _PROGRESS.handlers = [ProgressHandler(screen)]
    pipeline = create_pipeline(config, places, inputs)
    connection = sqlite_metadata_connection_config(places.metadata)
    unfinished.delete(connection, places)
    pipeline.metadata_connection_config = connection
    runner = WatchedRunner(screen.component, screen.component_ended, name, train)
    runner.outcomes = outcomes
    runner.run(pipeline)


class WatchedRunner(tfx_runner.IrBasedRunner):
    """TFX's LocalDagRunner with callbacks around each component and a record of their outcomes.

    Example: tests/pipeline/test_launch.py.
    """

    def __init__(
        self,
        watch: Callable[[str], AbstractContextManager[None]],
        ended: Callable[[str, float, str], None],
        name: str,
        train: TrainFunction | None = None,
    ) -> None:
        """Initialize the runner.

        Args:
          watch: makes the context in which the component of this name runs.
          ended: called with name, seconds and "executed", "cached", "failed" or "interrupted".
          name: of the run, in ML Metadata.
          train: called with the fields of `FnArgs` in place of the Trainer's `run_fn`. It is no parameter of the
            Trainer, so the cache does not depend on it.
        """
        self._watch, self._ended, self._name = watch, ended, name
        self._trainer = functools.partial(_TrainerOperator, train=train) if train else None
        self.outcomes: dict[str, Outcome] = {}

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:  # noqa: ARG002 - TFX's signature
        """Run all components; an exception in one stops the run."""
        run_id = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self._name}
        runtime_parameter_utils.substitute_runtime_parameter(pipeline, run_id)
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        connection = getattr(connection, connection.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            node_id = node.pipeline_node.node_info.id
            replaced = self._trainer if node_id == "Trainer" else None
            spec = runner_utils.extract_executor_spec(deployment, node_id)
            make = functools.partial(
                _Launcher,
                pipeline_node=node.pipeline_node,
                mlmd_connection=metadata.Metadata(connection),
                pipeline_info=pipeline.pipeline_info,
                pipeline_runtime_spec=pipeline.runtime_spec,
                executor_spec=spec,
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
                custom_executor_operators={PythonClassExecutableSpec: replaced} if replaced else None,
            )
            self._launch(node_id, make, connection, retries=_retries(spec))

    def _launch(self, node_id: str, make: Callable[[], "_Launcher"], connection: Any, retries: int = 0) -> None:
        start = time.monotonic()
        how = FAILED
        try:
            with self._watch(node_id):
                step, info = _attempt(make, retries)
            how = EXECUTED if step.executed else CACHED
        except BaseException as error:
            if not failure.is_interrupt(error):
                raise
            how = INTERRUPTED
            raise KeyboardInterrupt from error
        finally:
            seconds = time.monotonic() - start
            self._ended(node_id, seconds, how)
            self.outcomes[node_id] = Outcome(seconds, how, {})
        self.outcomes[node_id] = Outcome(seconds, how, _outputs(connection, info.execution_id))


class _Launcher(launcher.Launcher):
    """TFX's launcher with a record of whether the executor ran."""

    executed = False

    def _run_executor(self, execution_info: Any) -> Any:
        self.executed = True
        if isinstance(self._executor_spec, BeamExecutableSpec):  # the job service may have ended since the start
            beam.check_job_service(self._executor_spec.beam_pipeline_args)
        return super()._run_executor(execution_info)

    def _register_or_reuse_execution(self, metadata_handle: Any, *arguments: Any, **keywords: Any) -> Any:
        execution = super()._register_or_reuse_execution(metadata_handle, *arguments, **keywords)
        if execution.last_known_state == Execution.FAILED:  # executed once more: if it is killed, `unfinished` finds it
            execution.last_known_state = Execution.RUNNING
            metadata_handle.store.put_executions([execution])
        return execution


class _TrainerOperator(python_executor_operator.PythonExecutorOperator):
    """TFX's way to run an executor, for a Trainer whose `run_fn` another function replaces."""

    def __init__(self, *arguments: Any, train: TrainFunction, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._train = train

    def run_executor(self, execution_info: Any) -> Any:
        return python_executor_operator.run_with_executor(execution_info, _TrainerExecutor(self._train))


class _TrainerExecutor(GenericExecutor):
    def __init__(self, train: TrainFunction) -> None:
        super().__init__()
        self._train = train

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802 - TFX's name
        arguments = self._GetFnArgs(input_dict, output_dict, exec_properties)
        self._train({name: value for name, value in vars(arguments).items() if name != "data_accessor"})


def _retries(spec: Any) -> int:
    """Return how often to repeat a component that fails: once, if it uses Beam workers on other machines.

    Engines repeat the work of a lost worker, but tf.Transform's last step cannot be repeated: it moves its result to a
    directory that must be empty. After a failure TFX deletes the component's directories.
    """
    is_beam = isinstance(spec, BeamExecutableSpec)
    return int(is_beam and beam.runner(spec.beam_pipeline_args) is not None)


def _attempt(make: Callable[[], "_Launcher"], retries: int) -> tuple["_Launcher", Any]:
    while True:
        step = make()  # TFX's launchers work once
        try:
            return step, step.launch()
        except Exception as error:
            if retries == 0 or isinstance(error, UserError) or failure.is_interrupt(error):
                raise
            logging.exception("This component is executed again.")
            _PROGRESS.warning("the job on the Beam engine failed; executing the component once more")
            retries -= 1


def _outputs(connection: Any, execution_id: int) -> dict[str, Any]:
    with metadata.Metadata(connection) as handle:
        outputs = execution_lib.get_output_artifacts(handle, execution_id)
    return {name: artifacts[0] for name, artifacts in outputs.items()}
