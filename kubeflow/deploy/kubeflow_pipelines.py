"""Runs and schedules on Kubeflow Pipelines, which calls a schedule a recurring run."""

import datetime
from collections.abc import Callable
from typing import Any

from kubeflow.deploy.backend import Backend
from kubeflow.deploy.package import Package
from kubeflow.deploy.server import Schedule, Server, ServerError

_CONFLICT = 409
_SHOWN_RUNS = 5


class KubeflowPipelines(Backend):
    """The pipelines of one experiment. Example: tests/kubeflow/deploy/test_kubeflow_pipelines.py."""

    def __init__(self, server: Server, experiment: str, say: Callable[[str], None] = print) -> None:
        super().__init__(say)
        self._server, self._experiment = server, experiment

    def status(self, name: str) -> None:
        """Print the versions, when the pipeline runs and how the last runs ended."""
        pipeline = self._server.pipeline_id(name)
        if not pipeline:
            self._say(f"pipeline {name} does not exist")
            return
        names = {version_id: version for version, version_id in self._server.version_ids(pipeline).items()}
        self._say(f"pipeline {name}: {len(names)} version(s)")
        experiment = self._server.experiment_id(self._experiment)
        if not experiment:
            return
        for run in self._server.recurring_runs(experiment, name):
            version = names.get(_version_id(run), _version_id(run))
            self._say(f"schedule {_cron(run)!r}: {'active' if self._is_active(run) else 'paused'}, runs {version}")
        for run in self._server.last_runs(experiment, pipeline, name, _SHOWN_RUNS):
            self._say(f"run {run.run_id} {run.display_name!r}: {run.state or 'unknown'}, {run.created_at}")

    def _start_run(self, package: Package) -> str:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        return self._server.create_run(self._experiment_id(), f"{package.name} {now}", package)

    def _prepare(self, package: Package, cron: str) -> Schedule:
        server, name, version = self._server, package.name, package.version
        pipeline = _find_or_create(lambda: server.pipeline_id(name), lambda: server.create_pipeline(name))
        version_id = server.version_ids(pipeline).get(version)
        if version_id:
            self._say(f"version {version} exists already")
        else:
            version_id = _create_or_find(
                lambda: server.version_ids(pipeline).get(version),
                lambda: server.upload_version(package.file, version, pipeline),
            )
            self._say(f"version {version} uploaded")
        return Schedule(package, cron, pipeline, version_id)

    def _schedules(self, name: str) -> list[Any]:
        experiment = self._server.experiment_id(self._experiment)
        return self._server.recurring_runs(experiment, name) if experiment else []

    def _is_active(self, schedule: Any) -> bool:
        if schedule.status in ("ENABLED", "DISABLED"):
            return bool(schedule.status == "ENABLED")
        return bool(schedule.mode == "ENABLE")

    def _is_equal(self, schedule: Any, wanted: Schedule) -> bool:
        runtime, package = schedule.runtime_config, wanted.package
        return (
            _version_id(schedule) == wanted.version_id
            and _cron(schedule) == wanted.cron
            and dict((runtime and runtime.parameters) or {}) == package.parameters
            and ((runtime and runtime.pipeline_root) or None) == package.pipeline_root
            # Where none was given, the server sets its default service account.
            and package.service_account in (None, schedule.service_account)
            and int(schedule.max_concurrency or 0) == 1
            and bool(schedule.no_catchup)
        )

    def _label(self, schedule: Any) -> str:
        return str(schedule.recurring_run_id)

    def _create(self, wanted: Schedule, paused: bool) -> None:
        self._server.create_recurring_run(self._experiment_id(), wanted, enabled=not paused)

    def _set_active(self, schedule: Any, active: bool) -> None:
        self._server.enable(schedule.recurring_run_id, active)

    def _delete(self, schedule: Any) -> None:
        self._server.delete_recurring_run(schedule.recurring_run_id)

    def _delete_pipeline(self, name: str) -> bool:
        pipeline = self._server.pipeline_id(name)
        if pipeline:
            self._server.delete_pipeline(pipeline)
        return bool(pipeline)

    def _experiment_id(self) -> str:
        server, name = self._server, self._experiment
        return _find_or_create(lambda: server.experiment_id(name), lambda: server.create_experiment(name))


def _find_or_create(find: Callable[[], str | None], create: Callable[[], str]) -> str:
    return find() or _create_or_find(find, create)


def _create_or_find(find: Callable[[], str | None], create: Callable[[], str]) -> str:
    """Create an object, or find the one that another client has created meanwhile."""
    try:
        return create()
    except ServerError as error:
        found = find() if error.status == _CONFLICT else None
        if found is None:
            raise
        return found


def _version_id(run: Any) -> str:
    return str(run.pipeline_version_reference and run.pipeline_version_reference.pipeline_version_id)


def _cron(run: Any) -> str:
    return str(run.trigger and run.trigger.cron_schedule and run.trigger.cron_schedule.cron)
