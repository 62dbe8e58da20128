"""Runs and schedules on Vertex AI Pipelines, through google-cloud-aiplatform."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from components.errors import UserError
from kubeflow.deploy.deploy import Package, Say

_STATES = {1: "active", 2: "paused", 3: "completed"}


class Vertex:
    """The commands of `kubeflow.deploy.deploy` for one project and region."""

    def __init__(self, project: str | None, region: str, say: Say) -> None:
        try:
            from google.cloud import aiplatform
        except ImportError as error:
            raise UserError(
                f"The package google-cloud-aiplatform is needed for this: uv sync --extra vertex. Received: {error}"
            ) from error
        self._api, self._say = aiplatform, say
        try:
            aiplatform.init(project=project, location=region)
        except Exception as error:
            raise _explained(error) from error

    def submit(self, package: Package) -> None:
        """Run once, now."""
        job = self._job(package)
        _call(job.submit, service_account=package.service_account)
        self._say(f"run {job.resource_name} of {package.version} started")

    def deploy(self, package: Package, cron: str) -> None:
        """Make the schedule unless this very one is there; then delete the others, and keep a pause."""
        existing = list(self._schedules(package.name))
        wanted = f"{package.name}-{_digest(package, cron)}"
        paused = bool(existing) and all(_state(schedule) == "paused" for schedule in existing)
        same = [schedule for schedule in existing if schedule.display_name == wanted]
        # Of several equal ones, left by an interruption, that which is active.
        kept = next((schedule for schedule in same if _state(schedule) == "active"), same[0] if same else None)
        if kept:
            if not paused and _state(kept) != "active":
                _call(kept.resume, catch_up=False)
            self._say(f"schedule {cron!r} is there already{' (paused)' if paused else ''}")
        else:
            schedule = self._api.PipelineJobSchedule(pipeline_job=self._job(package), display_name=wanted)
            _call(
                schedule.create,
                cron=cron,
                max_concurrent_run_count=1,
                allow_queueing=False,
                service_account=package.service_account,
            )
            if paused:
                _call(schedule.pause)
            self._say(f"schedule {cron!r} made{' (paused, as the one before)' if paused else ''}")
        for schedule in existing:
            if kept is None or schedule.resource_name != kept.resource_name:
                _call(schedule.delete)
                self._say(f"former schedule {schedule.display_name} deleted")

    def pause(self, name: str, resume: bool = False) -> None:
        """Stop or go on making runs; what was missed is not made up for."""
        found = list(self._schedules(name))
        if not found:
            raise UserError(f"There is no schedule of this pipeline: deploy it first. Received: {name}")
        for schedule in found:
            if _state(schedule) == ("active" if resume else "paused"):
                self._say(f"schedule {schedule.display_name} is {'active' if resume else 'paused'} already")
            elif resume:
                _call(schedule.resume, catch_up=False)
                self._say(f"schedule {schedule.display_name} resumed")
            else:
                _call(schedule.pause)
                self._say(f"schedule {schedule.display_name} paused")

    def delete(self, name: str) -> None:
        """Delete the schedules; runs and models stay."""
        schedules = list(self._schedules(name))
        for schedule in schedules:
            _call(schedule.delete)
            self._say(f"schedule {schedule.display_name} deleted")
        if not schedules:
            self._say(f"no schedule of {name} is there")

    def status(self, name: str) -> None:
        """Say what is scheduled and how the last runs ended."""
        schedules = list(self._schedules(name))
        for schedule in schedules:
            self._say(f"schedule {schedule.cron!r}: {_state(schedule)}, {schedule.display_name}")
        if not schedules:
            self._say(f"no schedule of {name} is there")
        jobs = _call(
            self._api.PipelineJob.list,
            filter=f'display_name="{name}"',
            order_by="create_time desc",
            enable_simple_view=True,
        )
        for job in jobs[:5]:
            self._say(f"run {job.resource_name}: {job.state.name}, {job.create_time}")

    def _job(self, package: Package) -> Any:
        return _call(
            self._api.PipelineJob,
            display_name=package.name,
            template_path=package.file,
            pipeline_root=package.pipeline_root,
            parameter_values=package.parameters,
            # None: as compiled. Anything else would cache the ingest.
            enable_caching=None,
        )

    def _schedules(self, name: str) -> Iterator[Any]:
        for schedule in _call(self._api.PipelineJobSchedule.list):
            if (
                re.fullmatch(re.escape(name) + "-[0-9a-f]{16}", schedule.display_name)
                and _state(schedule) != "completed"
            ):
                yield schedule


def _digest(package: Package, cron: str) -> str:
    decides = [package.version, cron, package.parameters, package.pipeline_root, package.service_account]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _state(schedule: Any) -> str:
    return _STATES.get(int(schedule.state), "unknown")


def _call(call: Any, **arguments: Any) -> Any:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        return call(**arguments)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        # OSError: those of the requests library; ValueError: a region, a name or a bucket that cannot be.
        raise _explained(error) from error


def _explained(error: Exception) -> UserError:
    return UserError(
        "Vertex AI refused the request or cannot be reached. Log in with `gcloud auth application-default login` or "
        "GOOGLE_APPLICATION_CREDENTIALS, enable aiplatform.googleapis.com in the project, and give --project and "
        f"--region. Received: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
    )
