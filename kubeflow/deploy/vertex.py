"""Runs and schedules on Vertex AI Pipelines, through google-cloud-aiplatform."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from components.errors import UserError
from kubeflow.deploy.backend import Backend, Package

_STATES = {1: "active", 2: "paused", 3: "completed"}
_SHOWN_RUNS = 5


class _Schedule(NamedTuple):
    package: Package
    cron: str
    display_name: str


class Vertex(Backend):
    """The pipelines of one project and region. Example: tests/kubeflow/deploy/test_vertex.py."""

    def __init__(self, project: str | None, region: str, report: Callable[[str], None] = print) -> None:
        super().__init__(report)
        try:
            from google.cloud import aiplatform
        except ImportError as error:
            raise UserError(
                f"The package google-cloud-aiplatform is needed for this: uv sync --extra vertex. Received: {error}"
            ) from error
        self._api = aiplatform
        _call(aiplatform.init, project=project, location=region)

    def status(self, name: str) -> None:
        """Print the schedules and the last runs."""
        schedules = self._schedules(name)
        for schedule in schedules:
            self._report(f"schedule {schedule.cron!r}: {_state(schedule)}, {schedule.display_name}")
        if not schedules:
            self._report(f"{name} has no schedule")
        jobs = _call(
            self._api.PipelineJob.list,
            filter=f'display_name="{name}"',
            order_by="create_time desc",
            enable_simple_view=True,
        )
        for job in jobs[:_SHOWN_RUNS]:
            self._report(f"run {job.resource_name}: {job.state.name}, {job.create_time}")

    def _start_run(self, package: Package) -> str:
        job = self._job(package)
        _call(job.submit, service_account=package.service_account)
        return str(job.resource_name)

    def _prepare(self, package: Package, cron: str) -> _Schedule:
        return _Schedule(package, cron, f"{package.name}-{_digest(package, cron)}")

    def _schedules(self, name: str) -> list[Any]:
        pattern = re.compile(re.escape(name) + "-[0-9a-f]{16}")
        schedules = _call(self._api.PipelineJobSchedule.list)
        return [one for one in schedules if pattern.fullmatch(one.display_name) and _state(one) != "completed"]

    def _is_active(self, schedule: Any) -> bool:
        return _state(schedule) != "paused"

    def _is_equal(self, schedule: Any, wanted: _Schedule) -> bool:
        return bool(schedule.display_name == wanted.display_name)

    def _label(self, schedule: Any) -> str:
        return str(schedule.display_name)

    def _create(self, wanted: _Schedule, paused: bool) -> None:
        job = self._job(wanted.package)
        schedule = self._api.PipelineJobSchedule(pipeline_job=job, display_name=wanted.display_name)
        _call(
            schedule.create,
            cron=wanted.cron,
            max_concurrent_run_count=1,
            allow_queueing=False,
            service_account=wanted.package.service_account,
        )
        if paused:
            _call(schedule.pause)

    def _set_active(self, schedule: Any, active: bool) -> None:
        if active:
            _call(schedule.resume, catch_up=False)
        else:
            _call(schedule.pause)

    def _delete(self, schedule: Any) -> None:
        _call(schedule.delete)

    def _job(self, package: Package) -> Any:
        return _call(
            self._api.PipelineJob,
            display_name=package.name,
            template_path=package.file,
            pipeline_root=package.pipeline_root,
            parameter_values=package.parameters,
            # None: as compiled. True or False would override it, and True would cache the ingest.
            enable_caching=None,
        )


def _digest(package: Package, cron: str) -> str:
    values = [package.version, cron, package.parameters, package.pipeline_root, package.service_account]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _state(schedule: Any) -> str:
    return _STATES.get(int(schedule.state), "unknown")


def _call(call: Any, **arguments: Any) -> Any:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        return call(**arguments)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        # OSError: raised by the requests library; ValueError: an impossible region, name or bucket.
        first = str(error).splitlines()[0][:300] if str(error) else ""
        raise UserError(
            "Vertex AI refused the request or cannot be reached. Log in with `gcloud auth application-default login` "
            "or GOOGLE_APPLICATION_CREDENTIALS, enable aiplatform.googleapis.com in the project, and give --project "
            f"and --region. Received: {type(error).__name__}: {first}"
        ) from error
