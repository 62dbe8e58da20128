"""Write a notebook with the views of TFDV and TFMA on the artifacts of a run, the newest one that has finished."""

import argparse
import os
import sys
from pathlib import Path

from components import files
from components.errors import UserError
from pipeline import metadata_store
from pipeline.config.places import Places
from pipeline.config.run import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `notebook`."""
    parser.add_argument("--root", metavar="DIR", default=Config().root, help="directory of the runs; default output")
    parser.add_argument("--model", metavar="NAME", help="of the runs of this model only")
    parser.add_argument("--output", metavar="FILE", help="notebook to write; default <root>/reports/views.ipynb")


def run(arguments: argparse.Namespace) -> int:
    """Write the notebook and print its path."""
    from pipeline.runs import history, notebook  # late: `--help` does not need ML Metadata

    places = Places(Config(root=arguments.root))
    runs: list[history.Run] = []
    if os.path.isfile(places.metadata):
        metadata_store.check(places.metadata, lambda text: print(text, file=sys.stderr, flush=True))
        found = history.read(metadata_store.connect(places.metadata))
        runs = [one for one in history.newest_first(found.runs) if arguments.model in (None, one.model)]
    with_artifacts = [one for one in runs if notebook.places(one, found)]
    chosen = next((one for one in with_artifacts if one.finished), next(iter(with_artifacts), None))
    if chosen is None:
        model = f" --model {arguments.model}" if arguments.model else ""
        raise UserError(
            "No run with artifacts is recorded there. Name the directory of a run with --root. Received: --root "
            f"{places.root}{model}"
        )
    path = os.path.abspath(arguments.output or os.path.join(places.reports, "views.ipynb"))
    project = str(Path(__file__).resolve().parents[2])
    title = f"{chosen.model}, run of {chosen.name[:19].replace('T', ' ')}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.write(path, notebook.write(title, notebook.places(chosen, found), project))
    print(path)
    return 0
