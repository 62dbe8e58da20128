"""A Kubeflow Pipelines server in the words of this project: pages are joined, failures become paragraphs."""

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

RETRY_PAUSES = (0.5, 2.0)  # seconds
_PASSING = (429, 500, 502, 503, 504)
_PAGE = 100
_NOT_FOUND = 404


class ServerError(UserError):
    """The server refused or failed; `status` is HTTP's, 0 if there was no answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Schedule:
    """What a recurring run does, and when.

    Attributes:
      version_id: of the pipeline's version that it runs.
      parameters: of each run.
    """

    pipeline_id: str
    version_id: str
    cron: str
    parameters: dict[str, str]
    pipeline_root: str | None
    service_account: str | None


class Server:
    """The calls that `kubeflow.deploy.deploy` makes, over a `kfp.Client`."""

    def __init__(self, client: Any) -> None:
        # As kfp finds it: as given, from its own settings, or that of the pod around.
        self._client, self._namespace = client, client.get_user_namespace() or None

    def pipeline_id(self, name: str) -> str | None:
        """Id of the pipeline of exactly this name."""
        pages = self._pages(self._client.list_pipelines, "pipelines", namespace=self._namespace)
        return next((pipeline.pipeline_id for pipeline in pages if pipeline.display_name == name), None)

    def create_pipeline(self, name: str) -> str:
        """Make a pipeline without versions."""
        body = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=self._namespace)
        if "name" in body.attribute_map:  # servers from 2.14 on tell the name from what is displayed
            body.name = name
        return str(
            self._write(generated(self._client._pipelines_api, "pipeline_service", "create_pipeline"), body).pipeline_id
        )

    def version_ids(self, pipeline_id: str) -> dict[str, str]:
        """Ids of a pipeline's versions by name."""
        pages = self._pages(self._client.list_pipeline_versions, "pipeline_versions", pipeline_id=pipeline_id)
        return {version.display_name: version.pipeline_version_id for version in pages}

    def upload_version(self, file: str, name: str, pipeline_id: str) -> str:
        """Add a version to a pipeline."""
        version = self._write(
            self._client.upload_pipeline_version, file, pipeline_version_name=name, pipeline_id=pipeline_id
        )
        return str(version.pipeline_version_id)

    def experiment_id(self, name: str) -> str | None:
        """Id of an experiment."""
        pages = self._pages(self._client.list_experiments, "experiments", namespace=self._namespace)
        return next((experiment.experiment_id for experiment in pages if experiment.display_name == name), None)

    def create_experiment(self, name: str) -> str:
        """Make an experiment."""
        body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=self._namespace)
        return str(
            self._write(
                generated(self._client._experiment_api, "experiment_service", "create_experiment"), body
            ).experiment_id
        )

    def recurring_runs(self, experiment_id: str, name: str) -> list[Any]:
        """All recurring runs of this name in an experiment."""
        pages = self._pages(self._client.list_recurring_runs, "recurring_runs", experiment_id=experiment_id)
        return [run for run in pages if run.display_name == name]

    def create_recurring_run(self, experiment_id: str, name: str, schedule: Schedule, enabled: bool) -> str:
        """Make a recurring run: one run at a time, and none made up for afterwards."""
        run = self._write(
            self._client.create_recurring_run,
            experiment_id,
            name,
            cron_expression=schedule.cron,
            max_concurrency=1,
            no_catchup=True,
            params=schedule.parameters,
            pipeline_id=schedule.pipeline_id,
            version_id=schedule.version_id,
            enabled=enabled,
            pipeline_root=schedule.pipeline_root,
            service_account=schedule.service_account,
        )
        return str(run.recurring_run_id)

    def enable(self, recurring_run_id: str, enabled: bool) -> None:
        """Resume or pause a recurring run."""
        call = self._client.enable_recurring_run if enabled else self._client.disable_recurring_run
        self._write(call, recurring_run_id)

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Delete a recurring run, unless it is gone already; its past runs stay."""
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

    def create_run(self, experiment_id: str, name: str, file: str, schedule: Schedule) -> str:
        """Run a compiled file once."""
        run = self._write(
            self._client.run_pipeline,
            experiment_id,
            name,
            pipeline_package_path=file,
            params=schedule.parameters,
            pipeline_root=schedule.pipeline_root,
            service_account=schedule.service_account,
        )
        return str(run.run_id)

    def last_runs(self, experiment_id: str, pipeline_id: str, name: str, count: int) -> list[Any]:
        """The newest runs of a pipeline; other pipelines may have runs in the same experiment."""
        runs = self._pages(self._client.list_runs, "runs", experiment_id=experiment_id, sort_by="created_at desc")
        # What `submit` starts has no version, but a name that begins with the pipeline's.
        return list(
            itertools.islice(
                (
                    run
                    for run in runs
                    if run.display_name.startswith(f"{name} ")
                    or (run.pipeline_version_reference and run.pipeline_version_reference.pipeline_id == pipeline_id)
                ),
                count,
            )
        )

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
                if error.status and error.status not in _PASSING:
                    raise
                time.sleep(pause)
        return translated(call, **arguments)

    def _write(self, call: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
        # Never twice: a failure does not say that nothing was written. The command can be repeated as a whole.
        return translated(call, *values, **arguments)


def translated(call: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
    """Call, and turn what goes wrong into one paragraph."""
    try:
        return call(*values, **arguments)
    except kfp_server_api.ApiException as error:
        raise ServerError(_explain(error), error.status or 0) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise ServerError(
            "Google does not let you in: log in with `gcloud auth application-default login`, or give --client-id and "
            f"--other-client-id for Identity-Aware Proxy. Received: {type(error).__name__}: {error}",
            0,
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ServerError(
            f"The Kubeflow Pipelines server cannot be reached: {_plain(error)}. Check --host (KF_PIPELINES_ENDPOINT), "
            "the network and the port-forward, and run the same command again: it goes on where it stopped. "
            f"Received: {type(error).__name__}",
            0,
        ) from error


def _plain(error: Exception) -> str:
    return re.sub(r"<[^>]* object at 0x[0-9a-f]+>: ", "", str(error))


def _explain(error: Any) -> str:
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
    said = " ".join(body.split())[:300]
    received = f"Received: HTTP {error.status} {error.reason}: {said}"
    if not error.status:
        return (
            "The Kubeflow Pipelines server cannot be reached: its certificate is not trusted, or it speaks no TLS. "
            f"Check --host, and name the certificate authority with --ca-cert. {received}"
        )
    if error.status in (200, 401, 403):
        return (
            "The Kubeflow Pipelines server does not let you in, or not into this namespace. Give it a fresh token "
            "(KFP_TOKEN, --token-file), session cookies (KFP_COOKIES) or another way of --help's group `server`, and "
            "your own --namespace in a multi-user installation, and look whether --host is the address of the API. "
            f"{received}"
        )
    if error.status == 409:
        return (
            f"Somebody else made the same thing at the same moment. Run the same command again: it goes on from there. "
            f"{received}"
        )
    if error.status in _PASSING:
        return (
            "The Kubeflow Pipelines server failed. Look at the logs of its ml-pipeline deployment, and run the same "
            f"command again: it goes on where it stopped. {received}"
        )
    return f"The Kubeflow Pipelines server refused the request. {received}"
