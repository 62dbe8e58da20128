"""The command line of `python -m kubeflow`."""

import argparse

from kubeflow.deploy import connection
from pipeline.config import overrides

BACKENDS = ("kfp", "vertex")


def parser() -> argparse.ArgumentParser:
    """One parser for each command."""
    whole = argparse.ArgumentParser(
        prog="python -m kubeflow",
        description="The pipeline on Kubeflow Pipelines or Vertex AI Pipelines.",
        epilog="Exit codes: 0 done, 2 a mistake in input or options or a server that refuses, 1 anything else. "
        "Values for --set: pipeline/config/. Guide: docs/kubeflow.md.",
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, *, compiles: bool, server: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        _add_configuration(added, compiles)
        if server:
            connection.add_options(added)
        return added

    add = command("compile", "write the file that the back end runs", compiles=True, server=False).add_argument
    add("--output", required=True, metavar="FILE", help="where to; ends with .yaml")
    rehearse = command("rehearse", "compile and run every task on this machine", compiles=True, server=False)
    rehearse.add_argument("--workspace", required=True, metavar="DIR", help="stands for bucket and volumes")
    _add_parameters(rehearse)
    _add_parameters(command("submit", "run once", compiles=True))
    deploy = command("deploy", "upload the version and schedule it; repeat it as often as you like", compiles=True)
    deploy.add_argument("--cron", help="six fields for kfp (seconds first, UTC), five for vertex; cluster.schedule")
    _add_parameters(deploy)
    command("status", "what is deployed and how the last runs ended", compiles=False)
    command("pause", "stop making runs", compiles=False)
    command("resume", "go on making runs", compiles=False)
    delete = command("delete", "delete the schedule; runs and models stay", compiles=False)
    delete.add_argument("--all", action="store_true", help="kfp: the pipeline and its versions as well")
    tfjob = command("tfjob", "print a TFJob that trains with several workers", compiles=True, server=False)
    for name, about in (("examples", "Transform's transformed_examples"), ("transform-graph", "Transform's")):
        tfjob.add_argument(f"--{name}", required=True, metavar="URI", help=f"artifact: {about}")
    return whole


def _add_configuration(to: argparse.ArgumentParser, compiles: bool) -> None:
    add = to.add_argument
    add("--backend", choices=BACKENDS, default="kfp", help="default kfp")
    add("--preset", default="quick", help=f"one of: {', '.join(overrides.preset_names())}; default quick")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="override a value; repeatable")
    add("--model", metavar="NAME", help="a lineage and a pipeline of its own; default char_rnn")
    add("--project", help="vertex: Google Cloud project; cluster.project")
    add("--region", help="vertex; cluster.region")
    if compiles:
        add("--image", help="container image with this repository in it; cluster.image")
        add("--corpus", metavar="NAME|PATH|URL", help="text to learn from, as the cluster sees it")
        add("--root", metavar="DIR", help="mounted directory or gs://bucket/folder for state; cluster.root")
        add("--serving-dir", metavar="DIR", help="what TF Serving reads; cluster.serving_dir")
        add("--pipeline-root", metavar="URI", help="where artifacts go; cluster.pipeline_root")


def _add_parameters(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help='of the runs: corpus=..., training={"steps": 2000}; repeatable',
    )
