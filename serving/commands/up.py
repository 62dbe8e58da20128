"""Serve the pushed model over REST until Ctrl-C, with the best server that is at hand.

That is tensorflow_model_server if it is on PATH, else Docker with the tensorflow/serving image if a daemon answers,
else the embedded server.
"""

import argparse
import contextlib
import importlib.util
import os
import shlex
import sys
import time
from dataclasses import replace

from rich.console import Console

from components.errors import UserError
from pipeline.config import Config
from serving import apply, backends, flags, inventory, launcher, model_config, release, status
from serving.commands import places
from serving.inventory import Shelf
from serving.launcher import Process, ServerFailed
from serving.model_config import ServedModel

_PLAYGROUND = "serving.playground"
# A server that dies is started again, unless it dies so many times in so many seconds.
_RESTARTS, _RESTART_SECONDS = 5, 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("--server", choices=("auto", *backends.KINDS), default="auto", help="default: the first of these at hand")
    add("--host", metavar="ADDRESS", help="to listen on; default 127.0.0.1; 0.0.0.0: reachable from other machines")
    add("--port", type=int, metavar="PORT", help="of the REST API; default 8501")
    add("--no-playground", action="store_true", help="without the page to try the model on")
    places.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; returns 0 then, and 1 if the server cannot be kept running."""
    for key, value in (("host", options.host), ("rest_port", options.port)):
        if value is not None:
            options.settings = [*options.settings, f"serving.{key}={value}"]
    config = places.config(options)
    shelf = Shelf.of(config)
    inventory.require_versions(shelf)
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    _configure(config, shelf, console)
    backend = backends.choose(options.server, config.serving, shelf.serving_dir)
    ports = {"serving.rest_port": config.serving.rest_port}
    if backend.kind != "embedded":
        ports["serving.grpc_port"] = config.serving.grpc_port
    with_page = not options.no_playground and importlib.util.find_spec(_PLAYGROUND) is not None
    if with_page:
        ports["serving.playground_port"] = config.serving.playground_port
    launcher.check_ports(config.serving.host, ports)
    console.print(f"server: {backend.kind} ({backend.why})", markup=False)
    if backend.note:
        console.print(f"NOTE: {backend.note}", markup=False, style="bold yellow")

    log = os.path.join(shelf.root, "logs", "serving.log")
    with launcher.interrupts(), contextlib.ExitStack() as running:
        try:
            ended: list[float] = []
            while True:
                server = Process(backend.command, log, backend.stop, backend.kill, config.serving.stop_seconds)
                running.callback(server.stop)
                _await(server, config, shelf, console)
                if not ended:
                    if with_page:
                        page = Process(_playground_command(config, shelf), f"{shelf.root}/logs/playground.log")
                        running.callback(page.stop)
                    _say_ready(config, shelf, log, with_page, console)
                code = server.wait()
                ended = [*ended[1 - _RESTARTS :], time.monotonic()]
                console.print(f"The server ended with exit code {code}:\n{server.tail()}\nLog: {log}", markup=False)
                if len(ended) == _RESTARTS and ended[-1] - ended[0] < _RESTART_SECONDS:
                    console.print(f"It ended {_RESTARTS} times in {_RESTART_SECONDS / 60:.0f} minutes: giving up.")
                    return 1
                console.print("starting it again ...")
                server.stop()
        except ServerFailed as error:
            console.print(f"failed: {error}\nLog: {log}", markup=False, style="red")
            return 1
        except KeyboardInterrupt:
            console.print("stopping; requests under way are finished first (Ctrl-C again: at once) ...")
            return 0


def _configure(config: Config, shelf: Shelf, console: Console) -> None:
    """Make `models.config` say what can be served from here, and write the other files of the server beside it."""

    def change(before: ServedModel | None) -> ServedModel:
        versions = inventory.require_versions(shelf)
        entry = release.mended(apply.entry_of(shelf, before, versions), versions)
        # Of a directory that was moved, not of one that another machine sees under another path as well.
        return entry if os.path.isdir(entry.base_path) else replace(entry, base_path=shelf.base)

    before = model_config.find(shelf.config_path, shelf.name)
    entry = model_config.update(shelf.config_path, shelf.name, change)
    assert entry is not None
    if before and before.base_path != entry.base_path:
        text = f"NOTE: {shelf.config_path} said {before.base_path}, which is not there: now {entry.base_path}"
        console.print(text, markup=False, style="bold yellow")
    try:
        flags.write_files(config.serving, shelf.serving_dir)
    except OSError as error:
        raise UserError(
            f"The server's configuration cannot be written: {error.strerror}. Make room or mend the permissions. "
            f"Received: {shelf.serving_dir}"
        ) from error


def _await(server: Process, config: Config, shelf: Shelf, console: Console) -> None:
    versions = inventory.require_versions(shelf)
    entry = apply.entry_of(shelf, model_config.find(shelf.config_path, shelf.name), versions)
    version = release.reached(entry, versions) or versions[-1]
    url = status.url_of(config.serving.host, config.serving.rest_port)
    if not console.is_terminal:
        console.print("waiting until the model is available ...")
    with console.status("starting") as line:
        states = launcher.await_available(
            server, url, shelf.name, version, config.serving.start_seconds, lambda text: line.update(text)
        )
    for number, one in sorted(states.items(), reverse=True):
        console.print(f"version {number}: {one.state}{f' ({one.error})' if one.failed else ''}", markup=False)


def _playground_command(config: Config, shelf: Shelf) -> list[str]:
    settings = config.serving
    return [
        *(sys.executable, "-m", _PLAYGROUND, f"--port={settings.playground_port}", f"--model={shelf.name}"),
        *(f"--server-url={status.url_of(settings.host, settings.rest_port)}", f"--registry={shelf.registry}"),
        f"--host={settings.host}",
    ]


def _say_ready(config: Config, shelf: Shelf, log: str, with_page: bool, console: Console) -> None:
    settings = config.serving
    url = status.url_of(settings.host, settings.rest_port)
    body = shlex.quote('{"instances": ["The "]}')
    console.print(f"\ncurl -d {body} {url}/v1/models/{shelf.name}:predict\n", markup=False, style="bold")
    if with_page:
        console.print(f"playground: {status.url_of(settings.host, settings.playground_port)}", markup=False)
    console.print(f"log: {log}\nCtrl-C stops the server.", markup=False)
