"""Delete what executions that did not finish have left below the root.

TFX gives every execution new directories and does not delete those of one that was killed or interrupted: with a large
corpus, gigabytes each time.
"""

import contextlib
import shutil
from pathlib import Path
from typing import Any

from ml_metadata import ListOptions
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from pipeline.config.places import Places


def delete(connection: Any, places: Places) -> None:
    """Delete directories of unfinished executions, mark these as failed, and delete files that were being written.

    Call it with the root locked: then no execution is running.

    Args:
      connection: TFX's connection configuration of ML Metadata.
      places: local ones.
    """
    nodes = Path(places.pipeline)
    dead = [*nodes.glob("*/.system/stateful_working_dir/*"), *Path(places.corpus).glob(".*")]
    with metadata.Metadata(connection) as handle:
        unfinished = handle.store.get_executions(ListOptions(filter_query="last_known_state = RUNNING"))
        for execution in unfinished:
            dead += [*nodes.glob(f"*/*/{execution.id}"), *nodes.glob(f"*/.system/executor_execution/{execution.id}")]
            execution.last_known_state = metadata_store_pb2.Execution.FAILED
        for directory in dead:
            shutil.rmtree(directory, ignore_errors=True)
        handle.store.put_executions(unfinished)
    for directory in map(Path, (places.reports, places.registry, places.schema)):
        for partial in directory.rglob(".*.partial"):  # see `components.files`
            with contextlib.suppress(OSError):
                partial.unlink()
