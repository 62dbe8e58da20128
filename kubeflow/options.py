"""The command line of `python -m kubeflow`."""

import argparse
from collections.abc import Sequence

from components import command_line
from kubeflow.deploy import connection
from pipeline.config import overrides

BACKENDS = ("kfp", "vertex")
REHEARSED = ("kfp", "kfp-next", "vertex")  # kfp-next: Kubeflow Pipelines after 2.18, without ML Metadata


def parser() -> argparse.ArgumentParser:
    """Return the parser, with a subparser for each command."""
    program = command_line.Parser(
        prog="python -m kubeflow",
        description="The pipeline on Kubeflow Pipelines or Vertex AI Pipelines.",
        epilog="Exit codes: 0 done, 2 a mistake in input or options or a failure of the server, 130 interrupted, "
        "1 anything else. Values for --set: pipeline/config/. Guide: docs/kubeflow.md.",
    )
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, about: str, *, compiles: bool, server: bool = True, backends: Sequence[str] = BACKENDS
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        _add_configuration(added, compiles, backends)
        if server:
            connection.add_options(added)
        return added

    compiling = command("compile", "write the file that the backend runs", compiles=True, server=False)
    compiling.add_argument("--output", required=True, metavar="FILE", help="the file to write; ends with .yaml")
    about = "compile and run every task on this machine; kfp-next: as Kubeflow Pipelines after 2.18 does"
    rehearse = command("rehearse", about, compiles=True, server=False, backends=REHEARSED)
    rehearse.add_argument("--workspace", required=True, metavar="DIR", help="directory in place of buckets and volumes")
    _add_parameters(rehearse)
    about = "train: the pipeline that trains and pushes; bulk: one that generates or scores the lines of a file"
    for one in (compiling, rehearse):
        one.add_argument("--pipeline", choices=("train", "bulk"), default="train", help=f"{about}; default train")
    _add_parameters(command("submit", "run once", compiles=True))
    deploy = command("deploy", "upload the version and schedule it; can be repeated", compiles=True)
    deploy.add_argument("--cron", help="six fields for kfp (seconds first, UTC), five for vertex; cluster.schedule")
    deploy.add_argument("--dry-run", action="store_true", help="only read from the server; print what would change")
    _add_parameters(deploy)
    command("status", "print the schedules and the last runs", compiles=False)
    command("pause", "pause the schedule", compiles=False)
    command("resume", "resume the schedule", compiles=False)
    delete = command("delete", "delete the schedule; runs and models remain", compiles=False)
    delete.add_argument("--all", action="store_true", help="kfp: also delete the pipeline and its versions")
    tfjob = command("tfjob", "print a TFJob that trains with several workers", compiles=True, server=False)
    for option, artifact in (("--examples", "transformed_examples"), ("--transform-graph", "transform_graph")):
        tfjob.add_argument(option, required=True, metavar="URI", help=f"output `{artifact}` of a run's Transform")
    return program


def _add_configuration(to: argparse.ArgumentParser, compiles: bool, backends: Sequence[str]) -> None:
    add = to.add_argument
    add("--backend", choices=backends, default="kfp", help="default kfp")
    add(
        "--preset",
        default="quick",
        metavar="NAME[,NAME]",
        help=f"some of: {', '.join(overrides.preset_names())}; default quick",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="override a value; repeatable")
    add("--model", metavar="NAME", help="model name; each has its own pipeline and lineage; default char_rnn")
    add("--project", help="vertex: Google Cloud project; cluster.project")
    add("--region", help="vertex; cluster.region")
    if compiles:
        add("--image", help="container image with this repository in it; cluster.image")
        add("--corpus", metavar="NAME|PATH|URL", help="training text, as the pods see it")
        add("--root", metavar="DIR", help="state: mounted directory or gs://bucket/folder; cluster.root")
        add("--serving-dir", metavar="DIR", help="directory that TF Serving reads; cluster.serving_dir")
        add("--pipeline-root", metavar="URI", help="directory of artifacts; cluster.pipeline_root")


def _add_parameters(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help='run parameter: corpus=..., preset=..., or a section as JSON: training={"steps": 2000}; repeatable',
    )
