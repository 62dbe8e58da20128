"""Run a pipeline's components one after the other in this process, and watch them."""

import datetime
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils, tfx_runner
from tfx.types import artifact_utils

EXECUTED, CACHED, FAILED, INTERRUPTED = "executed", "cached", "failed", "interrupted"


@dataclass(frozen=True)
class Outcome:
    """How a component ended.

    Attributes:
      seconds: from start to end.
      how: "executed", "cached" or "failed".
      outputs: the first artifact of each output, produced now or taken from the cache.
    """

    seconds: float
    how: str
    outputs: dict[str, Any]


class WatchedRunner(tfx_runner.IrBasedRunner):
    """TFX's LocalDagRunner, which tells before and after each component and what came out of it."""

    def __init__(
        self, watch: Callable[[str], AbstractContextManager[None]], ended: Callable[[str, float, str], None]
    ) -> None:
        """Take a context that spans a component, and a callback with its name, seconds and how it ended."""
        self._watch, self._ended = watch, ended
        self.outcomes: dict[str, Outcome] = {}

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:  # noqa: ARG002 - TFX's signature
        """Run all components; an exception of one stops the run."""
        run_id = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.datetime.now().isoformat()}
        runtime_parameter_utils.substitute_runtime_parameter(pipeline, run_id)
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        connection = getattr(connection, connection.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            node_id = node.pipeline_node.node_info.id
            step = _Launcher(
                pipeline_node=node.pipeline_node,
                mlmd_connection=metadata.Metadata(connection),
                pipeline_info=pipeline.pipeline_info,
                pipeline_runtime_spec=pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
            )
            self._launch(node_id, step, connection)

    def _launch(self, node_id: str, step: "_Launcher", connection: Any) -> None:
        began = time.monotonic()
        how = FAILED
        try:
            with self._watch(node_id):
                info = step.launch()
            how = EXECUTED if step.executed else CACHED
        except KeyboardInterrupt:
            how = INTERRUPTED
            raise
        finally:
            seconds = time.monotonic() - began
            self._ended(node_id, seconds, how)
        self.outcomes[node_id] = Outcome(seconds, how, _outputs(connection, info.execution_id))


class _Launcher(launcher.Launcher):
    """TFX's launcher, which remembers whether the executor had to run."""

    executed = False

    def _run_executor(self, execution_info: Any) -> Any:
        self.executed = True
        return super()._run_executor(execution_info)


def _outputs(connection: Any, execution_id: int) -> dict[str, Any]:
    with metadata.Metadata(connection) as handle:
        events = handle.store.get_events_by_execution_ids([execution_id])
        produced = [event for event in events if event.type == event.OUTPUT]
        artifacts = {a.id: a for a in handle.store.get_artifacts_by_id([event.artifact_id for event in produced])}
        types = {t.id: t for t in handle.store.get_artifact_types_by_id([a.type_id for a in artifacts.values()])}
    outputs: dict[str, Any] = {}
    for event in produced:
        artifact = artifacts[event.artifact_id]
        outputs[event.path.steps[0].key] = artifact_utils.deserialize_artifact(types[artifact.type_id], artifact)
    return outputs
