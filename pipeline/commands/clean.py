"""Delete artifacts, checkpoints, exports and staged corpora that the newest N runs of each model do not need.

Kept besides: the newest finished run and the runs after it, the run that led to the model blessed last, and the models
that later runs may compare with or start from. A repetition of the newest run is cached as before. The serving
directory is not touched: `python -m serving prune` deletes versions.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from components.command_line import counted, to_json
from components.errors import UserError
from pipeline import metadata_store
from pipeline.config.places import Places
from pipeline.config.run import Config

if TYPE_CHECKING:
    from pipeline.runs.deletion import Item


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `clean`."""
    parser.add_argument(
        "--keep", type=int, required=True, metavar="N", help="number of the newest runs of each model to keep"
    )
    parser.add_argument("--root", metavar="DIR", default=Config().root, help="directory of the runs; default output")
    parser.add_argument("--dry-run", action="store_true", help="print what would be deleted, and delete nothing")
    parser.add_argument("--json", action="store_true", help="print the runs kept and the paths deleted as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Delete, and print what was deleted."""
    if arguments.keep < 1:
        raise UserError(f"At least one run is kept. Received: --keep {arguments.keep}")
    from pipeline.runs import deletion, disk, history, retention  # late: `--help` does not need ML Metadata

    root = arguments.root if "://" in arguments.root else os.path.realpath(os.path.expanduser(arguments.root))
    places = Places(Config(root=root))
    with deletion.locked(places):
        metadata_store.check(places.metadata, lambda text: print(text, file=sys.stderr, flush=True))
        store = metadata_store.connect(places.metadata)
        found = history.read(store)
        try:
            on_disk, blessed = disk.read(places, found.artifacts.values()), disk.registered(places)
        except OSError as error:
            raise UserError(
                f"What is needed is not known, because a directory cannot be read: {error.strerror}. Fix its "
                f"permissions; nothing was deleted. Received: {error.filename}"
            ) from error
        choice = retention.choose(found, on_disk, blessed, arguments.keep)
        items = deletion.items(places, choice)
        kept = f"{len(choice.kept)} of {counted(len(found.runs), 'run')}"
        if not arguments.json:
            _show(items, kept, places.root)
        errors = [] if arguments.dry_run else deletion.delete(store, places, choice, items)
        gone = [item for item in items if arguments.dry_run or not os.path.lexists(item.path)]
    if arguments.json:
        names, deleted = [one.name for one in choice.kept], [dataclasses.asdict(item) for item in gone]
        print(to_json({"kept": names, "deleted": deleted, "dry_run": arguments.dry_run}, indent=2))
    else:
        verb = "would be deleted" if arguments.dry_run else "deleted"
        print(f"{verb}: {_megabytes(item.bytes for item in gone) if gone else 'nothing'}; kept: {kept}", flush=True)
    if errors:
        raise UserError(
            "Not all files could be deleted. No run uses what is left of them. Fix their permissions or delete them as "
            "their owner, and clean again. Received: "
            + "; ".join(f"{error.filename}: {error.strerror}" for error in errors)
        )
    return 0


def _show(items: "Sequence[Item]", kept: str, root: str) -> None:
    """Print a row for each kind of what is deleted, the largest first."""
    if not items:
        return
    from rich.console import Console  # late: --json does not need it
    from rich.table import Table

    console = Console(file=sys.stdout, highlight=False)
    console.print(f"Not needed by the runs that are kept in {root}, {kept}:", soft_wrap=True, markup=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column("size", justify="right")
    kinds = {item.what: [one for one in items if one.what == item.what] for item in items}
    for what, found in sorted(kinds.items(), key=lambda kind: -sum(one.bytes for one in kind[1])):
        table.add_row(what, str(len(found)), _megabytes(one.bytes for one in found))
    table.add_row("total", str(len(items)), _megabytes(item.bytes for item in items), style="bold")
    console.print(table)


def _megabytes(sizes: Iterable[int]) -> str:
    return f"{sum(sizes) / 1e6:,.1f} MB"
