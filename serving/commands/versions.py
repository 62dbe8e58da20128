"""List the pushed versions of a model: state, labels, quality and size; or print the model card of one of them."""

import argparse
import dataclasses
import os
import sys
from typing import TYPE_CHECKING

from components.command_line import to_json
from serving.access import outgoing
from serving.client import status
from serving.commands.shared import config_options
from serving.rollout import apply, inventory
from serving.rollout.inventory import ModelPaths, Version
from serving.tf_serving import model_config

if TYPE_CHECKING:
    from rich.table import Table

_UNKNOWN = "-"
_NUMBERS = ("version", "perplexity", "bits", "size")  # right-aligned columns
_FILE_WIDTH = 160  # characters, if the output is not a terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `versions`."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print a JSON list, oldest first")
    shown.add_argument("--card", type=int, metavar="N", help="print the model card of version N, Markdown")
    config_options.add_access_arguments(parser.add_argument)
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    config = config_options.load(arguments)
    paths = ModelPaths.of(config)
    if arguments.card is not None:
        print(inventory.card(paths, arguments.card), end="")
        return 0
    entry = model_config.find(paths.config_path, paths.name)
    url = outgoing.base_url(config.serving)
    copied = entry is not None and apply.is_copy(paths, entry)
    states = None if copied else _status(url, paths.name, outgoing.options(config.serving.access, url))
    found = inventory.listed(paths, entry, states)
    if arguments.json:
        print(to_json([dataclasses.asdict(version) for version in found], indent=2))
    elif found:
        notes = [f"states as reported by {url}"] if states is not None else []
        elsewhere = entry.base_path if entry and copied else None
        _show(paths, found, notes, elsewhere)
    else:
        print(f"No version of the model {paths.name} has been pushed to {paths.base}.")
    return 0


def _show(paths: ModelPaths, found: list[Version], notes: list[str], elsewhere: str | None) -> None:
    from rich.console import Console  # late: --json does not need it

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_FILE_WIDTH)
    for line in (f"{paths.name} in {paths.base}", *notes):
        console.print(line, soft_wrap=True, markup=False)
    if elsewhere:
        note = f"NOTE: a copy; {paths.config_path} serves the versions in {elsewhere}"
        console.print(note, soft_wrap=True, markup=False, style="bold yellow")
    console.print(_table(found))
    for version in found:
        if version.error:
            console.print(f"version {version.number}: {version.error}", soft_wrap=True, markup=False)


def _table(found: list[Version]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from components.ingest.selection import spans

    spanned = any(version.spans for version in found)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in (
        "version",
        "labels",
        "state",
        "perplexity",
        "bits",
        "size",
        "pushed",
        "corpus",
        *(["spans"] if spanned else []),
    ):
        table.add_column(title, justify="right" if title in _NUMBERS else "left", no_wrap=True)
    for version in found:
        table.add_row(
            str(version.number),
            " ".join(version.labels) or _UNKNOWN,
            _state(version),
            *(_UNKNOWN if x is None else f"{x:.3f}" for x in (version.perplexity, version.bits_per_character)),
            f"{version.bytes / 1e6:.1f} MB",
            (version.pushed_at or _UNKNOWN)[:16].replace("T", " "),
            Text(os.path.basename(version.corpus or _UNKNOWN)),
            *([spans.listed(tuple(version.spans.split(","))) if version.spans else _UNKNOWN] if spanned else []),
        )
    return table


def _state(version: Version) -> str:
    if not version.complete:
        return "incomplete"
    if not version.served and version.state not in (status.AVAILABLE, *status.LOADING):
        return "withdrawn"
    if version.error:
        return "failed"
    if version.state not in (None, status.AVAILABLE):
        return version.state.lower()
    return "served, default" if version.default else "served"


def _status(url: str, model: str, http: status.HttpOptions) -> dict[int, status.VersionStatus] | None:
    """Ask the server; None if there is none that knows the model."""
    try:
        return status.fetch(url, model, http) or None
    except status.StatusUnavailable:
        return None
