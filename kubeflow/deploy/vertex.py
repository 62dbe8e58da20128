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
_NUMBER = "deployment"  # label of a schedule's runs


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
            self._report(f"schedule {schedule.gca_resource.cron!r}: {_state(schedule)}, {schedule.display_name}")
        if not schedules:
            self._report(f"{name} has no schedule")
        jobs = _call(
            self._api.PipelineJob.list,
            filter=f'display_name="{name}"',
            order_by="create_time desc",
            enable_simple_view=True,
        )
        for job in jobs[:_SHOWN_RUNS]:
            self._report(f"run {job.resource_name}: {job.gca_resource.state.name}, {job.create_time}")

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

    def _id(self, schedule: Any) -> str:
        return str(schedule.resource_name)

    def _number(self, schedule: Any) -> int:
        labels = schedule.gca_resource.create_pipeline_job_request.pipeline_job.labels
        number = labels.get(_NUMBER, "")
        return int(number) if number.isdecimal() else 0

    def _create(self, wanted: _Schedule, paused: bool, number: int) -> Any:
        job = self._job(wanted.package, {_NUMBER: str(number)})
        schedule = self._api.PipelineJobSchedule(pipeline_job=job, display_name=wanted.display_name)
        _call(
            schedule.create,
            cron=wanted.cron,
            max_concurrent_run_count=1,
            allow_queueing=False,
            service_account=wanted.package.service_account,
        )
        if paused:
            self._set_active(schedule, False)
        return schedule

    def _set_active(self, schedule: Any, active: bool) -> None:
        if active:
            _unless_deleted(schedule.resume, catch_up=False)
        else:
            _unless_deleted(schedule.pause)

    def _delete(self, schedule: Any) -> None:
        _unless_deleted(schedule.delete)

    def _job(self, package: Package, labels: dict[str, str] | None = None) -> Any:
        return _call(
            self._api.PipelineJob,
            display_name=package.name,
            template_path=package.file,
            pipeline_root=package.pipeline_root,
            parameter_values=package.parameters,
            labels=labels,
            # None: as compiled. True or False would override it, and True would cache the ingest.
            enable_caching=None,
        )


def _digest(package: Package, cron: str) -> str:
    values = [package.version, cron, package.parameters, package.pipeline_root, package.service_account]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _state(schedule: Any) -> str:
    """Return the state when the schedule was listed; its property `state` would send a request."""
    return _STATES.get(int(schedule.gca_resource.state), "unknown")


def _unless_deleted(change: Any, **arguments: Any) -> None:
    """Change a schedule, unless another client has deleted it meanwhile."""
    from google.api_core.exceptions import NotFound

    try:
        _call(change, **arguments)
    except UserError as error:
        if not isinstance(error.__cause__, NotFound):
            raise


def _call(call: Any, **arguments: Any) -> Any:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.protobuf.json_format import ParseError

    try:
        return call(**arguments)
    except (GoogleAPIError, GoogleAuthError, ParseError, OSError, ValueError) as error:
        # ParseError: an unreadable response; OSError: raised by the requests library; ValueError: an impossible region,
        # name or bucket.
        first = str(error).splitlines()[0][:300] if str(error) else ""
        raise UserError(
            "Vertex AI refused the request or cannot be reached. Log in with `gcloud auth application-default login` "
            "or GOOGLE_APPLICATION_CREDENTIALS, enable aiplatform.googleapis.com in the project, and give --project "
            f"and --region. Received: {type(error).__name__}: {first}"
        ) from error
