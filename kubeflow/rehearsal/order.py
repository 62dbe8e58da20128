"""All tasks of a run, in the order of their dependencies."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import UserError
from kubeflow.compile import spec as specification
from kubeflow.rehearsal.backends import BACKENDS
from kubeflow.rehearsal.task import Outcome, Task

_PARALLEL_TASKS = 2


def run(
    text: str,
    backend: str,
    workspace: Path,
    parameters: dict[str, str] | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Run all tasks in the order of their dependencies and return their outcomes by name.

    The exit task is the last one, and also runs after a failure.

    Args:
      text: the compiled file.
      backend: a name in `BACKENDS`.
      workspace: its directory `bucket/` stands for the object store and is kept; everything else is deleted.
      parameters: run parameters that differ from the defaults.

    Raises:
      UserError: a task failed; the message begins with the reason and ends with the end of the task's log.

    Example: tests/kubeflow/rehearsal/test_order.py.
    """
    spec = specification.load(text)
    # As strict as the server: an unknown field is an error.
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    values = specification.run_parameters(spec)
    if unknown := (parameters or {}).keys() - values.keys():
        raise UserError(f"The pipeline has no such parameter. Known: {', '.join(values)}. Received: {unknown}")
    values |= parameters or {}
    run_id = f"run-{time.time_ns()}"

    def task(name: str) -> Task:
        return Task(spec, name, BACKENDS[backend], workspace, run_id)

    def start(name: str, outcomes: dict[str, Outcome]) -> Outcome:
        return task(name).run(values, outcomes)

    last = specification.exit_task(spec)
    tasks = {name: of for name, of in specification.tasks(spec).items() if name != last}

    def run_last(failure: str) -> dict[str, Outcome]:
        if not last:
            return {}
        status = BACKENDS[backend].final_status(failure)
        given = {specification.FINAL_STATUS: status, **dict.fromkeys(specification.PLACEHOLDERS, run_id)}
        return _run_in_order({last: {}}, lambda *_: task(last).run(given, {}), report)

    try:
        outcomes = _run_in_order(tasks, start, report)
    except UserError as error:
        try:
            run_last(str(error).partition("\n")[0])
        except UserError as second:  # it must not hide the first one
            report(str(second))
        raise
    return outcomes | run_last("")


def _run_in_order(
    tasks: dict[str, Any], start: Callable[[str, dict[str, Outcome]], Outcome], report: Callable[[str], None]
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    waiting = {name: set(task.get("dependentTasks", [])) for name, task in tasks.items()}
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(max_workers=_PARALLEL_TASKS) as pool:
        while waiting or running:
            for name in [name for name, needed in waiting.items() if needed <= outcomes.keys()]:
                del waiting[name]
                running[pool.submit(start, name, dict(outcomes))] = name
            if not running:
                raise UserError(f"Dependency cycle between tasks. Received: {sorted(waiting)}")
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                outcomes[name] = future.result()
                report(f"{name}: {outcomes[name].seconds:.1f} s")
    return outcomes
