"""What a run records about itself in ML Metadata, next to what TFX records about its components.

`python -m pipeline runs` shows it after the run's artifacts are deleted, too.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from ml_metadata.proto.metadata_store_pb2 import Context, ContextType, ParentContext

from pipeline import failure, metadata_store

_PROPERTY = "char_rnn_run"


@contextlib.contextmanager
def recorded(path: str, run: str, model: str, **values: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Record the start of a run, and after the block how it ended.

    Args:
      path: of ML Metadata's file.
      run: name that TFX gives to the run.
      model: its name.
      values: what is known at the start: `corpus`, the name that the user gave it, its `spans`, `run_key` and
        `training_key`.

    Yields:
      A function that takes the result, JSON values.

    Example: tests/pipeline/runs/test_record.py.
    """
    start = time.monotonic()
    known = {"model": model, **values}
    _write(path, run, known)
    result: dict[str, Any] = {}
    try:
        yield result.update
    except BaseException as error:
        result = {"interrupted": True} if failure.is_interrupt(error) else {"error": failure.reason(error)}
        raise
    finally:
        try:
            _write(path, run, {**known, **result, "seconds": round(time.monotonic() - start, 1)})
        except Exception:  # on a full disk, for example; the run's own error is the one to report
            logging.exception("The end of the run could not be recorded in %s", path)


def of(context: Context) -> dict[str, Any]:
    """Return what a run recorded; empty if it recorded nothing."""
    try:
        value = json.loads(context.custom_properties[_PROPERTY].string_value or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: str, run: str, values: dict[str, Any]) -> None:
    store = metadata_store.connect(path)
    context = store.get_context_by_type_and_name("pipeline_run", run)
    is_new = context is None
    if context is None:
        context = Context(name=run, type_id=store.put_context_type(ContextType(name="pipeline_run")))
    context.custom_properties[_PROPERTY].string_value = json.dumps(values, ensure_ascii=False)
    (number,) = store.put_contexts([context])
    if is_new:  # as TFX does when it creates one
        pipeline = store.get_context_by_type_and_name("pipeline", values["model"])
        if pipeline is None:
            kind = store.put_context_type(ContextType(name="pipeline"))
            (parent,) = store.put_contexts([Context(name=values["model"], type_id=kind)])
        else:
            parent = pipeline.id
        store.put_parent_contexts([ParentContext(parent_id=parent, child_id=number)])
