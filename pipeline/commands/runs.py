"""List the runs of a root, newest first: text, model, perplexity, and what was decided.

Runs stay in the list after `clean` has deleted their files.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import os
import sys
import time
from typing import TYPE_CHECKING

from components.command_line import counted, to_json, visible
from components.errors import UserError
from pipeline import metadata_store
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.runs import summary
from pipeline.runs.summary import Summary

if TYPE_CHECKING:
    from rich.table import Table

_UNKNOWN = "-"
_COLUMNS = ("run", "model", "corpus", "spans", "network", "steps", "perplexity", "threshold", "baseline")
_NUMBERS = ("steps", "perplexity", "threshold", "baseline", "cached", "time")  # right-aligned
_FILE_WIDTH = 200  # characters, if the output is not a terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `runs`."""
    parser.add_argument("--root", metavar="DIR", default=Config().root, help="directory of the runs; default output")
    parser.add_argument("--model", metavar="NAME", help="list the runs of this model only")
    parser.add_argument("--json", action="store_true", help="print a JSON list, newest first")


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    places = Places(Config(root=arguments.root))
    found = _summaries(places)
    models = sorted({one.model for one in found})
    if arguments.model is not None:
        if arguments.model not in models:
            known = ", ".join(models) or "none"
            raise UserError(
                f"No run of this model is recorded there. Name one of these with --model, or another root with --root: "
                f"{known}. Received: --model {arguments.model}, {places.root}"
            )
        found = [one for one in found if one.model == arguments.model]
    if arguments.json:
        print(to_json([dataclasses.asdict(one) for one in found], indent=2))
    elif found:
        _show(found, places.root, several_models=len(models) > 1)
    else:
        print(f"No run is recorded in {places.root}.")
    return 0


def _summaries(places: Places) -> list[Summary]:
    if "://" in places.root:
        raise UserError(
            "Runs in a bucket are recorded by Kubeflow or Vertex AI, whose user interface lists them. Received: "
            f"--root {places.root}"
        )
    if not os.path.isfile(places.metadata):
        return []
    from pipeline.runs import history  # late: ML Metadata takes half a second, and `--help` does not need it

    metadata_store.check(places.metadata, lambda text: print(text, file=sys.stderr, flush=True))
    found = history.read(metadata_store.connect(places.metadata))
    newest = history.newest_first(found.runs)
    active = _is_locked(places.lock)
    return [summary.of(one, found, active=active and one is newest[0]) for one in newest]


def _is_locked(path: str) -> bool:
    """Whether a run is using the root."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _show(found: list[Summary], root: str, several_models: bool) -> None:
    from rich.console import Console  # late: --json does not need it

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_FILE_WIDTH)
    console.print(f"{counted(len(found), 'run')} in {root}", soft_wrap=True, markup=False)
    console.print(_table(found, several_models))


def _table(found: list[Summary], several_models: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    from components.ingest.selection import spans

    left_out = {"model": not several_models, "spans": not any(one.spans for one in found)}
    for title in (*_COLUMNS, "cached", "time", "decision"):
        if not left_out.get(title):
            table.add_column(
                title,
                justify="right" if title in _NUMBERS else "left",
                no_wrap=title not in ("corpus", "spans", "decision"),
                overflow="fold",
            )
    for one in found:
        cells = {
            "run": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.started)),
            "model": one.model,
            "corpus": os.path.basename(one.corpus or _UNKNOWN),
            "spans": spans.listed(one.spans) or _UNKNOWN,
            "network": one.network or _UNKNOWN,
            "steps": _UNKNOWN if one.steps is None else f"{one.steps:,}",
            "perplexity": _figure(one.perplexity),
            "threshold": _figure(one.threshold),
            "baseline": _figure(one.baseline),
            "cached": f"{len(one.cached)} of {len(one.cached) + len(one.executed)}",
            "time": _duration(one.seconds),
            "decision": summary.outcome(one),
        }
        table.add_row(*(Text(visible(text)) for title, text in cells.items() if not left_out.get(title)))
    return table


def _figure(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    return f"{value:.3f}" if value < 10_000 else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes else f"{seconds:.1f} s"
