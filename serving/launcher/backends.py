"""The three model servers: how one is chosen, started and stopped."""

import csv
import io
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from components.errors import UserError
from pipeline.config.serving import ServingSettings
from serving.launcher import process
from serving.tf_serving.flags import flags

BINARY = "tensorflow_model_server"
Kind = Literal["tensorflow_model_server", "docker", "embedded"]
KINDS: tuple[Kind, ...] = ("tensorflow_model_server", "docker", "embedded")
_DOCKER_SECONDS = 10.0  # for the daemon to respond


@dataclass(frozen=True)
class Backend:
    """A way to run a model server.

    Example: `test_binary_is_the_first_choice` in tests/serving/launcher/test_backends.py.

    Attributes:
      kind: name of the server.
      why: reason for the choice.
      command: that starts it; ends when the server does.
      stop: command that stops it; empty: SIGTERM.
      kill: command that kills it; empty: SIGKILL.
      note: a message for the user, or empty.
    """

    kind: Kind
    why: str
    command: tuple[str, ...]
    stop: tuple[str, ...] = ()
    kill: tuple[str, ...] = ()
    note: str = ""


def choose(wanted: str, settings: ServingSettings, directory: str, fixed: str) -> Backend:
    """Choose the server to run.

    Args:
      wanted: one of `KINDS`, or `auto` for the first of them that is available.
      directory: the serving directory, an absolute path.
      fixed: directory of the other files that flags name.

    Raises:
      UserError: the wanted one is not available, or cannot do what the settings require.
    """
    if required := _embedded_only(settings):
        if wanted not in ("auto", "embedded"):
            raise UserError(
                f"Only the embedded server has {' and '.join(required)}. Use --server embedded, or a proxy in front of "
                f"TF Serving. Received: --server {wanted} with {', '.join(f'serving.{key}' for key in required)}"
            )
        return _embedded(settings, directory, fixed, f"{' and '.join(required)} configured")
    if wanted == "embedded":
        return _embedded(settings, directory, fixed, "requested")
    binary = shutil.which(BINARY)
    if binary and wanted in ("auto", BINARY):
        return _local(binary, settings, directory, fixed, f"found at {binary}")
    if wanted == BINARY:
        raise UserError(
            f"There is no {BINARY} on PATH. Install TensorFlow Serving, or use --server docker or --server embedded. "
            f"Received: --server {wanted}"
        )
    missing = docker_missing(settings.image)
    if not missing:
        reason = "requested" if wanted == "docker" else f"no {BINARY} on PATH, a Docker daemon responds"
        return _docker(settings, directory, fixed, reason)
    if wanted == "docker":
        raise UserError(f"Docker cannot run the server: {missing}. Received: --server docker")
    return _embedded(settings, directory, fixed, f"no {BINARY} on PATH; {missing}")


def _embedded_only(settings: ServingSettings) -> list[str]:
    """Return the settings of which TF Serving has none for its REST port."""
    given = {
        "access.api_key_file": settings.access.api_key_file,
        "access.tls_cert": settings.access.tls_cert or settings.access.tls_key,
        "request_log.file": settings.request_log.file,
    }
    return [key for key, value in given.items() if value is not None]


def docker_missing(image: str) -> str:
    """Return why Docker cannot run the image, empty if it can; pulls a missing image."""
    if shutil.which("docker") is None:
        return "no docker on PATH"
    try:
        answer = _docker_cli("info", "--format", "{{.ServerVersion}}")
        # Without a daemon the client prints an empty version, and some releases exit with 0.
        if answer.returncode or not answer.stdout.strip():
            return "no Docker daemon responds"
        if _docker_cli("image", "inspect", image).returncode == 0:
            return ""
    except subprocess.TimeoutExpired:
        return f"the Docker daemon did not respond within {_DOCKER_SECONDS:.0f} s"
    print(f"pulling {image} ...", flush=True)
    if process.child(["docker", "pull", image]).wait():
        return f"Docker does not have the image {image} and cannot pull it"
    return ""


def _docker_cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=_DOCKER_SECONDS, errors="replace"
    )


def _local(binary: str, settings: ServingSettings, directory: str, fixed: str, why: str) -> Backend:
    arguments = flags(settings, directory, fixed)
    note = "" if settings.host in ("0.0.0.0", "::") else f"{BINARY} listens on all addresses of this machine"
    return Backend("tensorflow_model_server", why, (binary, *arguments), note=note)


def _docker(settings: ServingSettings, directory: str, fixed: str, why: str) -> Backend:
    name = f"char-rnn-serving-{settings.rest_port}-{os.getpid()}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    ports = [f"--publish={host}:{port}:{port}" for port in (settings.rest_port, settings.grpc_port)]
    run = [
        *("docker", "run", "--rm", f"--name={name}"),
        # The first process of a container ignores SIGTERM by default; --init makes another process the first.
        *("--init", f"--user={os.getuid()}:{os.getgid()}", "--read-only", "--cap-drop=ALL"),
        "--security-opt=no-new-privileges",
        *(f"--mount={_mount(place)}" for place in dict.fromkeys((directory, fixed))),
        *ports,
        *(f"--entrypoint={BINARY}", settings.image),
    ]
    arguments = flags(settings, directory, fixed)
    stop = ("docker", "stop", f"--time={settings.stop_seconds}", name)
    return Backend("docker", why, (*run, *arguments), stop, ("docker", "rm", "--force", name))


def _mount(place: str) -> str:
    """Return the value of `--mount`, which is a line of CSV: a path may have commas and quotation marks."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["type=bind", f"source={place}", f"target={place}", "readonly"])
    return line.getvalue()


def _embedded(settings: ServingSettings, directory: str, fixed: str, why: str) -> Backend:
    arguments = flags(settings, directory, fixed, checks_rows=True)
    own: tuple[str, ...] = (
        f"--host={settings.host}",
        f"--max_request_bytes={settings.max_request_bytes}",
        f"--max_concurrent_requests={settings.max_concurrent_requests}",
    )
    access, log = settings.access, settings.request_log
    files = {"api_key_file": access.api_key_file, "tls_cert": access.tls_cert, "tls_key": access.tls_key}
    if log.file is not None:
        files |= {"request_log": log.file, "request_log_max_bytes": str(log.max_bytes)}
        files |= {"request_log_files": str(log.files)}
    own += tuple(f"--{name}={value}" for name, value in files.items() if value is not None)
    own += ("--request_log_text",) if log.file is not None and log.text else ()
    command = (sys.executable, "-m", "serving.embedded", *own, *arguments)
    return Backend("embedded", why, command)
