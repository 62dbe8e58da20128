"""Arguments of the Beam pipelines: the local runner, or an engine whose workers are other processes."""

import argparse
import socket
import urllib.parse
from collections.abc import Sequence

from components.errors import UserError

# The full name of the runner: newer Beams would otherwise first try to download Prism, and older ones know no short
# name.
LOCAL_RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
# An image, even "none", keeps TFX from building a package of its sources for remote workers. That takes seconds for
# every component, leaves files in the temporary directory, and workers in containers would install it again.
NO_PACKAGE = "--sdk_container_image=none"
# Faster than dill, the default of Beam 2.62: it saves 7 % of the CPU time of a run on a small corpus.
PICKLE = "--pickle_library=cloudpickle"
LOCAL = (LOCAL_RUNNER, NO_PACKAGE, PICKLE)

_LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner", "PrismRunner")
# Workers of these kinds are started by others and have their own environment; the image is not used.
_OWN_ENVIRONMENTS = ("EXTERNAL", "PROCESS", "LOOPBACK")
# The arguments that keep TFX from building its package, see tfx.utils.dependency_utils.
_DEPENDENCIES = (
    "--extra_package",
    "--requirements_file",
    "--setup_file",
    "--sdk_container_image",
    "--worker_harness_container_image",
)
# Beam's client watches a job through a request to the job service, whose default timeout of 60 s therefore ends every
# longer job.
_JOB_SECONDS = 30 * 24 * 3600
_CONNECT_SECONDS = 10


def arguments(given: Sequence[str]) -> list[str]:
    """Return the arguments of every Beam pipeline: the local runner, unless the given ones name another."""
    options = _parse(given)
    if options.runner is None:
        return [*LOCAL, *given]
    added = []
    if options.job_endpoint and options.job_server_timeout is None:
        added.append(f"--job_server_timeout={_JOB_SECONDS}")
    if options.environment_type in _OWN_ENVIRONMENTS and not any(item.startswith(_DEPENDENCIES) for item in given):
        added.append(NO_PACKAGE)
    return [*given, *added]


def check_runner(given: Sequence[str]) -> None:
    """Check that the runner can run this pipeline.

    Raises:
      UserError: it cannot, or an argument that it needs is missing.
    """
    options = _parse(given)
    name = (options.runner or "").rpartition(".")[2]
    if name == "DaskRunner":
        raise UserError(
            "Beam's Dask runner cannot run this pipeline: it reads no files, and puts every record into every output "
            "of a step, so that the train split would contain the eval split. Choose another one in beam_args, such as "
            f"PortableRunner with the job service of Flink or Spark. Received: --runner={options.runner}"
        )
    if name == "PortableRunner" and not options.job_endpoint:
        raise UserError(
            "Beam's portable runner needs the address of a job service: add --job_endpoint=HOST:PORT to beam_args. "
            f"Received: --runner={options.runner}"
        )


def check_job_service(given: Sequence[str]) -> None:
    """Check that the job service can be reached. Beam itself would wait for as long as a job may last.

    A worker pool cannot be checked: the engine connects to it, from other machines.

    Raises:
      UserError: nothing accepts connections at the address.
    """
    endpoint = _parse(given).job_endpoint or ""
    try:
        address = urllib.parse.urlsplit(f"//{endpoint}")
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        return  # none, "embed", or a name of gRPC's own resolvers
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"Beam's job service cannot be reached: {error.strerror or error}. Start it, or correct --job_endpoint in "
            f"beam_args. Received: {endpoint}"
        ) from error


def runner(given: Sequence[str]) -> str | None:
    """Return the name of a runner whose workers may be on other machines; None for those in the own process."""
    name: str | None = _parse(given).runner
    return None if name is None or name.endswith(_LOCAL_RUNNERS) else name


def _parse(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    parser.add_argument("--runner")
    parser.add_argument("--job_endpoint")
    parser.add_argument("--job_server_timeout", "--job-server-timeout")
    parser.add_argument("--environment_type", type=str.upper)
    try:
        return parser.parse_known_args(given)[0]
    except argparse.ArgumentError as error:
        raise UserError(f"beam_args cannot be read: {error}. Received: {' '.join(given)}") from error
