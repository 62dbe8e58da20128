"""Runs and schedules on Kubeflow Pipelines, which calls a schedule a recurring run."""

import datetime
import itertools
import re
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import kfp_server_api
from google.protobuf import json_format

from components.command_line import counted
from components.errors import UserError
from kubeflow.deploy.backend import Backend, Package
from kubeflow.deploy.connection import generated
from kubeflow.deploy.server import ServerError, call, pages

_NOT_FOUND, _CONFLICTS = 404, (400, 409, 500)  # HTTP statuses
_SHOWN_RUNS = 5


class _Schedule(NamedTuple):
    package: Package
    cron: str
    pipeline_id: str | None  # None: a dry run has not created it
    version_id: str | None


class KubeflowPipelines(Backend):
    """The pipelines of one experiment. Example: tests/kubeflow/deploy/test_kubeflow_pipelines.py."""

    def __init__(self, client: Any, experiment: str, report: Callable[[str], None] = print) -> None:
        super().__init__(report)
        self._client, self._experiment = client, experiment
        # kfp takes the namespace from its options, from its settings file, or from the pod that it runs in.
        self._namespace = client.get_user_namespace() or None

    def status(self, name: str) -> None:
        """Print the number of versions, the schedules and the last runs."""
        pipeline = self._pipeline_id(name)
        if not pipeline:
            self._report(f"pipeline {name} does not exist")
            return
        names = {version_id: version for version, version_id in self._version_ids(pipeline).items()}
        self._report(f"pipeline {name}: {counted(len(names), 'version')}")
        for run in self._schedules(name):
            version = names.get(_version_id(run), _version_id(run))
            self._report(f"schedule {_cron(run)!r}: {'active' if self._is_active(run) else 'paused'}, runs {version}")
        for run in self._last_runs(pipeline, name):
            self._report(f"run {run.run_id} {run.display_name!r}: {run.state or 'unknown'}, {run.created_at}")

    def _start_run(self, package: Package) -> str:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        try:
            run = call(
                self._client.run_pipeline,
                self._find_or_create_experiment(),
                f"{package.name} {now}",
                pipeline_package_path=package.file,
                params=package.parameters,
                pipeline_root=package.pipeline_root,
                service_account=package.service_account,
            )
        except json_format.ParseError as error:
            raise UserError(
                f"The installed kfp does not know a setting of this file: {' '.join(str(error).split())} Use `deploy`, "
                "which uploads the file as it is, or Python 3.11 or newer: its kfp knows cluster.run_timeout_seconds. "
                f"Received: kfp {metadata.version('kfp')}"
            ) from error
        return str(run.run_id)

    def _prepare(self, package: Package, cron: str) -> _Schedule:
        name, version = package.name, package.version
        pipeline = self._pipeline_id(name) or self._change(
            f"pipeline {name}",
            "created",
            lambda: _create_or_find(lambda: self._create_pipeline(name), lambda: self._pipeline_id(name)),
        )
        version_id = pipeline and self._version_ids(pipeline).get(version)
        if version_id:
            self._report(f"version {version} exists already")
        else:
            version_id = self._change(
                f"version {version}",
                "uploaded",
                lambda: _create_or_find(
                    lambda: self._upload(package, pipeline), lambda: self._version_ids(pipeline).get(version)
                ),
            )
        return _Schedule(package, cron, pipeline, version_id)

    def _schedules(self, name: str) -> list[Any]:
        experiment = self._experiment_id()
        if not experiment:
            return []
        runs = pages(self._client.list_recurring_runs, "recurring_runs", experiment_id=experiment)
        return [run for run in runs if run.display_name == name]

    def _is_active(self, schedule: Any) -> bool:
        if schedule.status in ("ENABLED", "DISABLED"):
            return bool(schedule.status == "ENABLED")
        return bool(schedule.mode == "ENABLE")

    def _is_equal(self, schedule: Any, wanted: _Schedule) -> bool:
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

    def _id(self, schedule: Any) -> str:
        return str(schedule.recurring_run_id)

    _label = _id

    def _number(self, schedule: Any) -> int:
        number = re.fullmatch(r"deployment (\d+)", schedule.description or "")
        return int(number.group(1)) if number else 0

    def _create(self, wanted: _Schedule, paused: bool, number: int) -> Any:
        package = wanted.package
        return call(
            self._client.create_recurring_run,
            self._find_or_create_experiment(),
            package.name,
            description=f"deployment {number}",
            cron_expression=wanted.cron,
            max_concurrency=1,
            no_catchup=True,
            params=package.parameters,
            pipeline_id=wanted.pipeline_id,
            version_id=wanted.version_id,
            enabled=not paused,
            pipeline_root=package.pipeline_root,
            service_account=package.service_account,
        )

    def _set_active(self, schedule: Any, active: bool) -> None:
        _unless_deleted(
            self._client.enable_recurring_run if active else self._client.disable_recurring_run, self._id(schedule)
        )

    def _delete(self, schedule: Any) -> None:
        _unless_deleted(self._client.delete_recurring_run, self._id(schedule))

    def _delete_pipeline(self, name: str) -> bool:
        pipeline = self._pipeline_id(name)
        if not pipeline:
            return False
        for version_id in self._version_ids(pipeline).values():
            call(self._client.delete_pipeline_version, pipeline, version_id)
        call(self._client.delete_pipeline, pipeline)
        return True

    def _pipeline_id(self, name: str) -> str | None:
        pipelines = pages(self._client.list_pipelines, "pipelines", namespace=self._namespace)
        return next((pipeline.pipeline_id for pipeline in pipelines if pipeline.display_name == name), None)

    def _create_pipeline(self, name: str) -> str:
        body = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=self._namespace)
        if "name" in body.attribute_map:  # since 2.14 servers distinguish the name from the displayed name
            body.name = name
        create = generated(self._client._pipelines_api, "pipeline_service", "create_pipeline")
        return str(call(create, body).pipeline_id)

    def _version_ids(self, pipeline: str) -> dict[str, str]:
        """Return the ids of a pipeline's versions by name."""
        versions = pages(self._client.list_pipeline_versions, "pipeline_versions", pipeline_id=pipeline)
        return {version.display_name: version.pipeline_version_id for version in versions}

    def _upload(self, package: Package, pipeline: str) -> str:
        upload = self._client.upload_pipeline_version
        version = call(upload, package.file, pipeline_version_name=package.version, pipeline_id=pipeline)
        return str(version.pipeline_version_id)

    def _experiment_id(self) -> str | None:
        experiments = pages(self._client.list_experiments, "experiments", namespace=self._namespace)
        return next((one.experiment_id for one in experiments if one.display_name == self._experiment), None)

    def _find_or_create_experiment(self) -> str:
        return self._experiment_id() or _create_or_find(self._create_experiment, self._experiment_id)

    def _create_experiment(self) -> str:
        body = kfp_server_api.V2beta1Experiment(display_name=self._experiment, namespace=self._namespace)
        create = generated(self._client._experiment_api, "experiment_service", "create_experiment")
        return str(call(create, body).experiment_id)

    def _last_runs(self, pipeline: str, name: str) -> list[Any]:
        """Return the newest runs of a pipeline; other pipelines may have runs in the same experiment."""
        experiment = self._experiment_id()
        if not experiment:
            return []
        runs = pages(self._client.list_runs, "runs", experiment_id=experiment, sort_by="created_at desc")
        # `submit` starts runs without a version, whose names begin with the pipeline's name.
        own = (run for run in runs if run.display_name.startswith(f"{name} ") or _pipeline_of(run) == pipeline)
        return list(itertools.islice(own, _SHOWN_RUNS))


def _create_or_find(create: Callable[[], str], find: Callable[[], str | None]) -> str:
    """Create an object, or find the one that another client has created meanwhile.

    Servers answer a name that exists with HTTP 409, older ones also with 400 or 500.
    """
    try:
        return create()
    except ServerError as error:
        found = find() if error.status in _CONFLICTS else None
        if found is None:
            raise
        return found


def _unless_deleted(change: Callable[[str], Any], schedule: str) -> None:
    """Change a schedule, unless another client has deleted it meanwhile."""
    try:
        call(change, schedule)
    except ServerError as error:
        if error.status != _NOT_FOUND:
            raise


def _pipeline_of(run: Any) -> str:
    return str(run.pipeline_version_reference and run.pipeline_version_reference.pipeline_id)


def _version_id(run: Any) -> str:
    return str(run.pipeline_version_reference and run.pipeline_version_reference.pipeline_version_id)


def _cron(run: Any) -> str:
    return str(run.trigger and run.trigger.cron_schedule and run.trigger.cron_schedule.cron)
