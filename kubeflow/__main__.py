"""Compile, rehearse, submit, deploy and manage the pipeline on a cluster: `python -m kubeflow --help`.

python -m kubeflow compile  --image registry/char-rnn:1 --output pipeline.yaml
python -m kubeflow deploy   --image registry/char-rnn:1 --host http://localhost:8080 --cron '0 0 3 * * *'
"""

import os
import signal
import sys

if not __package__:  # `python /path/to/kubeflow`, from any directory
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from components import startup

if __name__ == "__main__":
    startup.begin("kubeflow", *startup.PIPELINE, "yaml", also=(signal.SIGTERM, signal.SIGHUP))

import argparse
import errno
import tempfile
import warnings
from pathlib import Path
from typing import Any

import components
import pipeline
from components import command_line, files, own_packages
from components.errors import UserError
from components.models import versions
from kubeflow import options
from kubeflow.deploy import cron
from kubeflow.deploy.backend import Backend, Package
from kubeflow.task import run_parameters
from pipeline.config import overrides
from pipeline.config.run import Config

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    given = options.parser().parse_args(argv)
    # Google's libraries warn about versions to come; users cannot act on that.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    return command_line.run(
        lambda: _run(given),
        interrupted=lambda: command_line.print_error("interrupted; the same command resumes from there"),
    )


def _run(given: argparse.Namespace) -> int:
    startup.hand_over()
    own_packages.require(ROOT, components, pipeline)
    try:
        _COMMANDS[given.command](given, _configuration(given))
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("kfp", "kfp_server_api"):
            raise
        raise UserError(f"The package kfp is needed for this: uv sync --extra kubeflow. Received: {error}") from error
    return command_line.OK


def _configuration(given: argparse.Namespace) -> Config:
    explicit: dict[str, Any] = {"model_name": given.model}
    for option in ("image", "root", "serving_dir", "pipeline_root", "project", "region"):
        explicit[f"cluster.{option}"] = getattr(given, option, None)
    explicit["corpus.source"] = getattr(given, "corpus", None)
    explicit["cluster.schedule"] = getattr(given, "cron", None)
    return overrides.load(given.preset, given.settings, explicit)


def _compile(given: argparse.Namespace, config: Config) -> None:
    _check_output(given.output)  # before the slow compilation
    write(given.output, _compiled(config, given.backend, pipeline=given.pipeline))
    print(f"{given.output} written")


def _rehearse(given: argparse.Namespace, config: Config) -> None:
    from kubeflow import rehearsal

    workspace = Path(given.workspace).absolute()
    is_bulk = given.pipeline == "bulk"
    parameters = run_parameters.split(given.parameters) if is_bulk else run_parameters.parse(given.parameters, config)
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The workspace cannot be created: {error.strerror}. Received: --workspace {given.workspace}"
        ) from error
    places = {"root": str(workspace / "state"), "serving_dir": str(workspace / "serving")}
    rehearsed = config.model_copy(update={"cluster": config.cluster.model_copy(update=places)})
    text = _compiled(rehearsed, rehearsal.BACKENDS[given.backend].compiled_for, True, given.pipeline)
    rehearsal.run(text, given.backend, workspace, parameters, lambda line: print(line, flush=True))
    served = workspace / "serving" / config.model_name
    numbers = ", ".join(map(str, versions.complete(str(served)))) or "none, because no model was blessed"
    print(f"done; versions in {served}: {numbers}")


def _tfjob(given: argparse.Namespace, config: Config) -> None:
    from kubeflow.compile import tfjob

    print(tfjob.render(config, _compiled(config, "kfp"), given.examples, given.transform_graph), end="")


def _submit_or_deploy(given: argparse.Namespace, config: Config) -> None:
    # Check the options, the extra's packages, and the connection before the slow imports of the compiler.
    schedule = cron.check(config.cluster.schedule, given.backend) if given.command == "deploy" else ""
    parameters = run_parameters.parse(given.parameters, config)
    backend, cluster = _backend(given, config), config.cluster
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "pipeline.yaml")
        write(file, _compiled(config, given.backend))
        package = Package(_name(config), file, parameters, cluster.pipeline_root, cluster.service_account)
        if given.command == "deploy":
            backend.deploy(package, schedule, given.dry_run)
        else:
            backend.submit(package)


def _manage(given: argparse.Namespace, config: Config) -> None:
    backend, name = _backend(given, config), _name(config)
    if given.command == "status":
        backend.status(name)
    elif given.command == "delete":
        backend.delete(name, given.all)
    else:
        backend.pause(name, resume=given.command == "resume")


_COMMANDS = {
    "compile": _compile,
    "rehearse": _rehearse,
    "tfjob": _tfjob,
    **dict.fromkeys(("submit", "deploy"), _submit_or_deploy),
    **dict.fromkeys(("status", "pause", "resume", "delete"), _manage),
}


def _name(config: Config) -> str:
    from kubeflow.compile.compiler import pipeline_name

    return pipeline_name(config.model_name)


def _compiled(config: Config, backend: str, rehearse: bool = False, pipeline: str = "train") -> str:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from kubeflow.compile.compiler import compile_bulk, compile_pipeline

    return (compile_bulk if pipeline == "bulk" else compile_pipeline)(config, backend, rehearse)


def _backend(given: argparse.Namespace, config: Config) -> Backend:
    if given.backend == "vertex":
        from kubeflow.deploy.vertex import Vertex

        return Vertex(config.cluster.project, config.cluster.region)
    from kubeflow.deploy.connection import connect
    from kubeflow.deploy.kubeflow_pipelines import KubeflowPipelines

    return KubeflowPipelines(connect(given), config.cluster.experiment)


def _check_output(path: str) -> None:
    if Path(path).suffix not in (".yaml", ".yml"):
        raise UserError(f"Kubeflow Pipelines accepts only a file that ends with .yaml. Received: --output {path}")
    number = errno.EISDIR if Path(path).is_dir() else 0 if Path(path).absolute().parent.is_dir() else errno.ENOENT
    if number:
        raise UserError(f"The file cannot be written: {os.strerror(number)}. Received: --output {path}")


def write(path: str, text: str) -> None:
    """Write the compiled file, completely or not at all."""
    try:
        with files.replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise UserError(f"The file cannot be written: {error.strerror}. Received: --output {path}") from error


if __name__ == "__main__":
    sys.exit(main())
