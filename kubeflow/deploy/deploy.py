"""Runs and schedules on Kubeflow Pipelines; every command may be repeated and then does what is still missing."""

import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.errors import UserError
from kubeflow.deploy.server import Schedule, Server, ServerError

Say = Callable[[str], None]
_CONFLICT = 409


@dataclass(frozen=True)
class Package:
    """A compiled pipeline and how to run it.

    Attributes:
      name: of the pipeline, its experiment's recurring run and its versions' first part.
      file: path of the compiled YAML.
      parameters: of the runs, where they differ from what is compiled in.
    """

    name: str
    file: str
    experiment: str
    parameters: dict[str, str]
    pipeline_root: str | None = None
    service_account: str | None = None

    @property
    def version(self) -> str:
        """Name of the version: the same content has the same."""
        with open(self.file, "rb") as file:
            return f"{self.name}-{hashlib.sha256(file.read()).hexdigest()[:16]}"

    def schedule(self, pipeline_id: str, version_id: str, cron: str) -> Schedule:
        """What its recurring run does."""
        return Schedule(pipeline_id, version_id, cron, self.parameters, self.pipeline_root, self.service_account)


def submit(server: Server, package: Package, say: Say) -> str:
    """Run once, now; returns the run's id."""
    experiment = _experiment(server, package.experiment)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    run = server.create_run(experiment, f"{package.name} {now}", package.file, package.schedule("", "", ""))
    say(f"run {run} of {package.version} started")
    return run


def deploy(server: Server, package: Package, cron: str, say: Say) -> None:
    """Upload the version and let it recur; what is there already stays, what differs is replaced, pauses are kept.

    The new recurring run is made before the old one goes: an interruption leaves one too many, never none, and the next
    deployment clears up.
    """
    pipeline = server.pipeline_id(package.name) or _made(
        lambda: server.create_pipeline(package.name), lambda: server.pipeline_id(package.name)
    )
    versions = server.version_ids(pipeline)
    version = versions.get(package.version)
    if version:
        say(f"version {package.version} is there already")
    else:
        version = _made(
            lambda: server.upload_version(package.file, package.version, pipeline),
            lambda: server.version_ids(pipeline).get(package.version),
        )
        say(f"version {package.version} uploaded")
    experiment = _experiment(server, package.experiment)
    wanted = package.schedule(pipeline, version, cron)
    existing = server.recurring_runs(experiment, package.name)
    same = [run for run in existing if _is(run, wanted)]
    paused = bool(existing) and not any(_is_enabled(run) for run in existing)
    # Of several equal ones, left by an interruption, that which is active: deleting it would pause what was not paused.
    kept = next((run for run in same if _is_enabled(run)), same[0] if same else None)
    if kept is None:
        server.create_recurring_run(experiment, package.name, wanted, enabled=not paused)
        say(f"schedule {cron!r} made{' (paused, as the one before)' if paused else ''}")
    else:
        if not paused and not _is_enabled(kept):
            server.enable(kept.recurring_run_id, True)
        say(f"schedule {cron!r} is there already{' (paused)' if paused else ''}")
    for run in existing:
        if kept is None or run.recurring_run_id != kept.recurring_run_id:
            server.delete_recurring_run(run.recurring_run_id)
            say(f"former schedule {run.recurring_run_id} deleted")


def pause(server: Server, experiment: str, name: str, say: Say, resume: bool = False) -> None:
    """Stop or go on making runs; one that is under way goes on."""
    for run in _found(server, experiment, name):
        if _is_enabled(run) == resume:
            say(f"schedule {run.recurring_run_id} is {'active' if resume else 'paused'} already")
        else:
            server.enable(run.recurring_run_id, resume)
            say(f"schedule {run.recurring_run_id} {'resumed' if resume else 'paused'}")


def delete(server: Server, experiment: str, name: str, everything: bool, say: Say) -> None:
    """Delete the schedule, and with `everything` the pipeline and its versions; runs and models stay."""
    experiment_id = server.experiment_id(experiment)
    runs = server.recurring_runs(experiment_id, name) if experiment_id else []
    for run in runs:
        server.delete_recurring_run(run.recurring_run_id)
        say(f"schedule {run.recurring_run_id} deleted")
    if not runs:
        say(f"no schedule of {name} is there")
    pipeline = server.pipeline_id(name) if everything else None
    if pipeline:
        server.delete_pipeline(pipeline)
        say(f"pipeline {name} deleted")


def status(server: Server, experiment: str, name: str, say: Say) -> None:
    """Say what is deployed, when it runs and how the last runs ended."""
    pipeline = server.pipeline_id(name)
    if not pipeline:
        say(f"pipeline {name}: not there")
        return
    names = {version_id: version for version, version_id in server.version_ids(pipeline).items()}
    say(f"pipeline {name}: {len(names)} version(s)")
    experiment_id = server.experiment_id(experiment)
    for run in server.recurring_runs(experiment_id, name) if experiment_id else []:
        version = names.get(_version_id(run), _version_id(run))
        say(f"schedule {_cron(run)!r}: {'active' if _is_enabled(run) else 'paused'}, runs {version}")
    for run in server.last_runs(experiment_id, pipeline, name, 5) if experiment_id else []:
        say(f"run {run.run_id} {run.display_name!r}: {run.state or 'unknown'}, {run.created_at}")


def _found(server: Server, experiment: str, name: str) -> list[Any]:
    experiment_id = server.experiment_id(experiment)
    runs = server.recurring_runs(experiment_id, name) if experiment_id else []
    if not runs:
        raise UserError(
            f"There is no schedule of this pipeline in the experiment {experiment!r}: deploy it first, or give the "
            f"--model and cluster.experiment that it was deployed with. Received: {name}"
        )
    return runs


def _experiment(server: Server, name: str) -> str:
    return server.experiment_id(name) or _made(
        lambda: server.create_experiment(name), lambda: server.experiment_id(name)
    )


def _made(make: Callable[[], str], find: Callable[[], str | None]) -> str:
    """Make a thing, or find it if somebody was quicker."""
    try:
        return make()
    except ServerError as error:
        found = find() if error.status == _CONFLICT else None
        if found is None:
            raise
        return found


def _is(run: Any, wanted: Schedule) -> bool:
    runtime = run.runtime_config
    return (
        _version_id(run) == wanted.version_id
        and _cron(run) == wanted.cron
        and dict((runtime and runtime.parameters) or {}) == wanted.parameters
        and ((runtime and runtime.pipeline_root) or None) == wanted.pipeline_root
        # The server fills in a service account of its own where none was asked for.
        and wanted.service_account in (None, run.service_account)
        and int(run.max_concurrency or 0) == 1
        and bool(run.no_catchup)
    )


def _version_id(run: Any) -> str:
    return str(run.pipeline_version_reference and run.pipeline_version_reference.pipeline_version_id)


def _cron(run: Any) -> str:
    return str(run.trigger and run.trigger.cron_schedule and run.trigger.cron_schedule.cron)


def _is_enabled(run: Any) -> bool:
    if run.status in ("ENABLED", "DISABLED"):
        return bool(run.status == "ENABLED")
    return bool(run.mode == "ENABLE")
