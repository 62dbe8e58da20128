"""Compile, rehearse, submit, deploy and look after the pipeline on a cluster: `python -m kubeflow --help`.

python -m kubeflow compile  --image registry/char-rnn:1 --output pipeline.yaml
python -m kubeflow deploy   --image registry/char-rnn:1 --host http://localhost:8080 --cron '0 0 3 * * *'
"""

import os
import sys

if not __package__:  # `python /path/to/kubeflow`, from any directory
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from components import startup

if __name__ == "__main__":
    startup.begin("kubeflow", *startup.PIPELINE, "yaml")

import argparse
import contextlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import components
import pipeline
from components import command_line, own_packages
from components.errors import UserError
from pipeline.config import overrides
from pipeline.config.run import Config

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    from kubeflow import options

    given = options.parser().parse_args(argv)
    # What Google's libraries say about versions to come is nothing that a user could act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.")
    return command_line.run(
        lambda: _run(given),
        interrupted=lambda: command_line.print_error("interrupted; the same command resumes from there"),
    )


def _run(given: argparse.Namespace) -> int:
    startup.hand_over()
    own_packages.require(ROOT, components, pipeline)
    try:
        _command(given, _configuration(given))
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


def _command(given: argparse.Namespace, config: Config) -> None:
    from kubeflow.compile.compiler import pipeline_name

    name = pipeline_name(config.model_name)
    if given.command == "compile":
        write(given.output, _compiled(config, given.backend))
        print(f"{given.output} written")
    elif given.command == "rehearse":
        _rehearse(given, config)
    elif given.command == "tfjob":
        from kubeflow.compile import tfjob

        print(tfjob.render(config, _compiled(config, "kfp"), given.examples, given.transform_graph), end="")
    elif given.command in ("submit", "deploy"):
        _send(given, config, name)
    else:
        _look_after(given, config, name)


def _send(given: argparse.Namespace, config: Config, name: str) -> None:
    from kubeflow.deploy import cron, deploy

    # A mistake in the schedule shows before the compiler's long imports.
    schedule = cron.check(config.cluster.schedule, given.backend) if given.command == "deploy" else ""
    parameters = _parameters(given.parameters, config)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "pipeline.yaml")
        write(file, _compiled(config, given.backend))
        cluster = config.cluster
        package = deploy.Package(
            name, file, cluster.experiment, parameters, cluster.pipeline_root, cluster.service_account
        )
        if given.backend == "vertex":
            vertex = _vertex(config)
            vertex.submit(package) if given.command == "submit" else vertex.deploy(package, schedule)
        elif given.command == "submit":
            deploy.submit(_server(given), package, print)
        else:
            deploy.deploy(_server(given), package, schedule, print)


def _look_after(given: argparse.Namespace, config: Config, name: str) -> None:
    from kubeflow.deploy import deploy

    if given.backend == "vertex":
        vertex = _vertex(config)
        if given.command == "status":
            vertex.status(name)
        elif given.command == "delete":
            vertex.delete(name)
        else:
            vertex.pause(name, resume=given.command == "resume")
        return
    server, experiment = _server(given), config.cluster.experiment
    if given.command == "status":
        deploy.status(server, experiment, name, print)
    elif given.command == "delete":
        deploy.delete(server, experiment, name, given.all, print)
    else:
        deploy.pause(server, experiment, name, print, resume=given.command == "resume")


def _rehearse(given: argparse.Namespace, config: Config) -> None:
    from kubeflow import rehearsal

    workspace = Path(given.workspace).absolute()
    parameters = _parameters(given.parameters, config)
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The directory of the rehearsal cannot be made: {error.strerror}. Received: --workspace {given.workspace}"
        ) from error
    places = {"root": str(workspace / "state"), "serving_dir": str(workspace / "serving")}
    cluster = config.cluster.model_copy(update=places)
    rehearsed = config.model_copy(update={"cluster": cluster})
    text = _compiled(rehearsed, given.backend, rehearse=True)
    rehearsal.run(text, given.backend, workspace, parameters, lambda line: print(line, flush=True))
    print(f"done; served versions are in {workspace / 'serving' / config.model_name}")


def _compiled(config: Config, backend: str, rehearse: bool = False) -> str:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from kubeflow.compile.compiler import compile_pipeline

    return compile_pipeline(config, backend, rehearse)


def _server(given: argparse.Namespace) -> Any:
    from kubeflow.deploy import connection
    from kubeflow.deploy.server import Server, translated

    return Server(translated(connection.connect, connection.from_options(given)))


def _vertex(config: Config) -> Any:
    from kubeflow.deploy.vertex import Vertex

    return Vertex(config.cluster.project, config.cluster.region, print)


def _parameters(given: list[str], config: Config) -> dict[str, str]:
    from kubeflow.task import invocation

    wrong = [parameter for parameter in given if parameter.partition("=")[0] not in ("corpus", "training")]
    if wrong or any("=" not in parameter for parameter in given):
        raise UserError(
            "A run has the parameters corpus and training, given as --param corpus=... and --param training='{...}'; "
            f"all else is compiled in and set with --set. Received: {' '.join(wrong or given)}"
        )
    parameters = {name: value for name, _, value in (parameter.partition("=") for parameter in given)}
    invocation.check_parameters(parameters, config.training)
    return parameters


def write(path: str, text: str) -> None:
    """Write a file, whole or not at all."""
    target = Path(path)
    if target.suffix not in (".yaml", ".yml"):
        raise UserError(f"Kubeflow Pipelines takes a file whose name ends with .yaml. Received: --output {path}")
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UserError(f"The file cannot be written: {error.strerror}. Received: --output {path}") from error


if __name__ == "__main__":
    sys.exit(main())
