"""The three model servers: which one is used here, why, and how it is started and stopped."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.tf_serving.flags import flags, joins

BINARY = "tensorflow_model_server"
Kind = Literal["tensorflow_model_server", "docker", "embedded"]
KINDS: tuple[Kind, ...] = ("tensorflow_model_server", "docker", "embedded")
_DOCKER_SECONDS = 10.0  # for the daemon to answer


@dataclass(frozen=True)
class Backend:
    """A way to run a model server.

    Attributes:
      kind: which.
      why: it was chosen, in words.
      command: that starts it and ends with it.
      stop: command that stops it, empty: SIGTERM to the process does.
      kill: command that ends it at once, empty: SIGKILL to the process does.
      note: what the user should know, or empty.
    """

    kind: Kind
    why: str
    command: tuple[str, ...]
    stop: tuple[str, ...] = ()
    kill: tuple[str, ...] = ()
    note: str = ""


def choose(wanted: str, settings: ServingSettings, directory: str, fixed: str | None = None) -> Backend:
    """Find the server to run.

    Args:
      wanted: one of `KINDS`, or `auto` for the first of them that can be had here.
      settings: how to serve.
      directory: the serving directory, an absolute path.
      fixed: where the other files are that flags name, None: there, too.

    Raises:
      UserError: the wanted one cannot be had here.
    """
    fixed = directory if fixed is None else fixed
    if wanted == "embedded":
        return _embedded(settings, directory, fixed, "asked for")
    binary = shutil.which(BINARY)
    if binary and wanted in ("auto", BINARY):
        return _local(binary, settings, directory, fixed, f"found at {binary}")
    if wanted == BINARY:
        raise UserError(
            f"There is no {BINARY} on PATH. Install TensorFlow Serving, or take --server docker or --server embedded. "
            f"Received: --server {wanted}"
        )
    missing = docker_missing(settings.image)
    if not missing:
        reason = "asked for" if wanted == "docker" else f"no {BINARY} on PATH, a Docker daemon answers"
        return _docker(settings, directory, fixed, reason)
    if wanted == "docker":
        raise UserError(f"Docker cannot run the server: {missing}. Received: --server docker")
    return _embedded(settings, directory, fixed, f"no {BINARY} on PATH; {missing}")


def docker_missing(image: str) -> str:
    """Why the image cannot be run by Docker here, empty if it can; fetches the image where it is missing."""
    if shutil.which("docker") is None:
        return "no docker on PATH"
    try:
        answer = _docker_cli("info", "--format", "{{.ServerVersion}}")
        # A client without a daemon prints an empty version, and some releases then end with 0.
        if answer.returncode or not answer.stdout.strip():
            return "no Docker daemon answers"
        if _docker_cli("image", "inspect", image).returncode == 0:
            return ""
    except subprocess.TimeoutExpired:
        return f"the Docker daemon did not answer within {_DOCKER_SECONDS:.0f} s"
    print(f"fetching {image} ...", flush=True)
    if subprocess.run(["docker", "pull", image], check=False).returncode:
        return f"Docker has not got the image {image} and cannot fetch it"
    return ""


def _docker_cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=_DOCKER_SECONDS, errors="replace"
    )


def _local(binary: str, settings: ServingSettings, directory: str, fixed: str, why: str) -> Backend:
    arguments = flags(settings, directory, batching=joins(settings.batching, checks_rows=False), fixed=fixed)
    note = "" if settings.host in ("0.0.0.0", "::") else f"{BINARY} listens on all addresses of this machine"
    return Backend("tensorflow_model_server", why, (binary, *arguments), note=note)


def _docker(settings: ServingSettings, directory: str, fixed: str, why: str) -> Backend:
    name = f"char-rnn-serving-{settings.rest_port}-{os.getpid()}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    ports = [f"--publish={host}:{port}:{port}" for port in (settings.rest_port, settings.grpc_port)]
    run = [
        *("docker", "run", "--rm", f"--name={name}"),
        # A first process of a container ignores SIGTERM unless it asks for it; --init gives it a parent that does not.
        *("--init", f"--user={os.getuid()}:{os.getgid()}", "--read-only", "--cap-drop=ALL"),
        "--security-opt=no-new-privileges",
        *(f"--mount=type=bind,source={place},target={place},readonly" for place in dict.fromkeys((directory, fixed))),
        *ports,
        *(f"--entrypoint={BINARY}", settings.image),
    ]
    arguments = flags(settings, directory, batching=joins(settings.batching, checks_rows=False), fixed=fixed)
    stop = ("docker", "stop", f"--time={settings.stop_seconds}", name)
    return Backend("docker", why, (*run, *arguments), stop, ("docker", "rm", "--force", name))


def _embedded(settings: ServingSettings, directory: str, fixed: str, why: str) -> Backend:
    arguments = flags(settings, directory, batching=joins(settings.batching, checks_rows=True), fixed=fixed)
    own = (
        f"--host={settings.host}",
        f"--max_request_bytes={settings.max_request_bytes}",
        f"--max_concurrent_requests={settings.max_concurrent_requests}",
    )
    command = (sys.executable, "-m", "serving.embedded", *own, *arguments)
    return Backend("embedded", why, command)
