"""A Kubeflow Pipelines server: the calls that a deployment makes, with pages joined and failures explained."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import google.auth.exceptions
import kfp_server_api
import urllib3

from components.errors import UserError
from kubeflow.deploy.connection import generated
from kubeflow.deploy.package import Package

RETRY_PAUSES = (0.5, 2.0)  # seconds
_TRANSIENT = (429, 500, 502, 503, 504)  # HTTP statuses
_PAGE = 100
_NOT_FOUND = 404


class ServerError(UserError):
    """The server refused or failed; `status` is the HTTP status, 0 if there was no response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Schedule:
    """What a recurring run starts, and when."""

    package: Package
    cron: str
    pipeline_id: str
    version_id: str


class Server:
    """Calls of a `kfp.Client`. Example: tests/kubeflow/deploy/test_connection.py."""

    def __init__(self, client: Any) -> None:
        # kfp takes the namespace from its options, from its settings file, or from the pod that it runs in.
        self._client, self._namespace = client, client.get_user_namespace() or None

    def pipeline_id(self, name: str) -> str | None:
        """Return the id of the pipeline with exactly this name."""
        pages = self._pages(self._client.list_pipelines, "pipelines", namespace=self._namespace)
        return next((pipeline.pipeline_id for pipeline in pages if pipeline.display_name == name), None)

    def create_pipeline(self, name: str) -> str:
        """Create a pipeline without versions; return its id."""
        body = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=self._namespace)
        if "name" in body.attribute_map:  # since 2.14 servers distinguish the name from the displayed name
            body.name = name
        create = generated(self._client._pipelines_api, "pipeline_service", "create_pipeline")
        return str(self._write(create, body).pipeline_id)

    def version_ids(self, pipeline_id: str) -> dict[str, str]:
        """Return the ids of a pipeline's versions by name."""
        pages = self._pages(self._client.list_pipeline_versions, "pipeline_versions", pipeline_id=pipeline_id)
        return {version.display_name: version.pipeline_version_id for version in pages}

    def upload_version(self, file: str, name: str, pipeline_id: str) -> str:
        """Add a version to a pipeline; return its id."""
        version = self._write(
            self._client.upload_pipeline_version, file, pipeline_version_name=name, pipeline_id=pipeline_id
        )
        return str(version.pipeline_version_id)

    def experiment_id(self, name: str) -> str | None:
        """Return the id of an experiment."""
        pages = self._pages(self._client.list_experiments, "experiments", namespace=self._namespace)
        return next((experiment.experiment_id for experiment in pages if experiment.display_name == name), None)

    def create_experiment(self, name: str) -> str:
        """Create an experiment; return its id."""
        body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=self._namespace)
        create = generated(self._client._experiment_api, "experiment_service", "create_experiment")
        return str(self._write(create, body).experiment_id)

    def recurring_runs(self, experiment_id: str, name: str) -> list[Any]:
        """Return all recurring runs with this name in an experiment."""
        pages = self._pages(self._client.list_recurring_runs, "recurring_runs", experiment_id=experiment_id)
        return [run for run in pages if run.display_name == name]

    def create_recurring_run(self, experiment_id: str, schedule: Schedule, enabled: bool) -> None:
        """Create a recurring run that starts one run at a time and skips missed ones."""
        package = schedule.package
        self._write(
            self._client.create_recurring_run,
            experiment_id,
            package.name,
            cron_expression=schedule.cron,
            max_concurrency=1,
            no_catchup=True,
            params=package.parameters,
            pipeline_id=schedule.pipeline_id,
            version_id=schedule.version_id,
            enabled=enabled,
            pipeline_root=package.pipeline_root,
            service_account=package.service_account,
        )

    def enable(self, recurring_run_id: str, enabled: bool) -> None:
        """Resume or pause a recurring run."""
        call = self._client.enable_recurring_run if enabled else self._client.disable_recurring_run
        self._write(call, recurring_run_id)

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Delete a recurring run, if it still exists; its past runs remain."""
        try:
            self._write(self._client.delete_recurring_run, recurring_run_id)
        except ServerError as error:
            if error.status != _NOT_FOUND:
                raise

    def delete_pipeline(self, pipeline_id: str) -> None:
        """Delete a pipeline with all its versions."""
        for version_id in self.version_ids(pipeline_id).values():
            self._write(self._client.delete_pipeline_version, pipeline_id, version_id)
        self._write(self._client.delete_pipeline, pipeline_id)

    def create_run(self, experiment_id: str, name: str, package: Package) -> str:
        """Run a compiled file once; return the run's id."""
        run = self._write(
            self._client.run_pipeline,
            experiment_id,
            name,
            pipeline_package_path=package.file,
            params=package.parameters,
            pipeline_root=package.pipeline_root,
            service_account=package.service_account,
        )
        return str(run.run_id)

    def last_runs(self, experiment_id: str, pipeline_id: str, name: str, count: int) -> list[Any]:
        """Return the newest runs of a pipeline; other pipelines may have runs in the same experiment."""
        runs = self._pages(self._client.list_runs, "runs", experiment_id=experiment_id, sort_by="created_at desc")

        def belongs(run: Any) -> bool:
            # `submit` starts runs without a version, whose names begin with the pipeline's name.
            version = run.pipeline_version_reference
            return run.display_name.startswith(f"{name} ") or bool(version and version.pipeline_id == pipeline_id)

        return list(itertools.islice(filter(belongs, runs), count))

    def _pages(self, call: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = self._read(call, page_token=token, page_size=_PAGE, **arguments)
            yield from getattr(page, field) or []
            token = page.next_page_token or ""
            if not token:
                return

    def _read(self, call: Callable[..., Any], **arguments: Any) -> Any:
        for pause in RETRY_PAUSES:
            try:
                return translated(call, **arguments)
            except ServerError as error:
                if error.status and error.status not in _TRANSIENT:
                    raise
                time.sleep(pause)
        return translated(call, **arguments)

    def _write(self, call: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
        # No retry: the server may have written before it failed. The user can repeat the command.
        return translated(call, *values, **arguments)


def translated(call: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
    """Call a function of kfp and explain its failure in one paragraph.

    Raises:
      ServerError: the server refused, failed or did not respond.
    """
    try:
        return call(*values, **arguments)
    except kfp_server_api.ApiException as error:
        raise ServerError(_explain(error), error.status or 0) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise ServerError(
            "Google authentication failed. Log in with `gcloud auth application-default login`, or give --client-id "
            f"and --other-client-id for Identity-Aware Proxy. Received: {type(error).__name__}: {error}",
            0,
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ServerError(
            f"The Kubeflow Pipelines server cannot be reached: {_plain(error)}. Check --host (KF_PIPELINES_ENDPOINT), "
            "the network and the port-forward, and run the same command again: it resumes where it stopped. "
            f"Received: {type(error).__name__}",
            0,
        ) from error


def _plain(error: Exception) -> str:
    return re.sub(r"<[^>]* object at 0x[0-9a-f]+>: ", "", str(error))


def _explain(error: Any) -> str:
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
    received = f"Received: HTTP {error.status} {error.reason}: {' '.join(body.split())[:300]}"
    if not error.status:
        return (
            "The Kubeflow Pipelines server cannot be reached: its certificate is not trusted, or it does not use TLS. "
            f"Check --host, and give the certificate authority with --ca-cert. {received}"
        )
    if error.status in (200, 401, 403):
        return (
            "Authentication at the Kubeflow Pipelines server failed, or the namespace is not yours. Give a fresh token "
            "(KFP_TOKEN, --token-file), session cookies (KFP_COOKIES) or another option of the group `server` in "
            "--help; in a multi-user installation, your own --namespace; and check that --host is the address of the "
            f"API. {received}"
        )
    if error.status == 409:
        return f"Conflict: created concurrently by another client. Run the same command again to resume. {received}"
    if error.status in _TRANSIENT:
        return (
            "The Kubeflow Pipelines server failed. Check the logs of its ml-pipeline deployment, and run the same "
            f"command again: it resumes where it stopped. {received}"
        )
    return f"The Kubeflow Pipelines server refused the request. {received}"
