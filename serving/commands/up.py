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

from rich.console import Console

from pipeline.config.run import Config
from serving.client import status
from serving.commands.shared import config_options
from serving.launcher import backends, configure, process
from serving.launcher.playground import Page
from serving.launcher.process import Process, ServerFailed
from serving.launcher.restarts import TOO_MANY, Deaths
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving import model_config

_PLAYGROUND = "serving.playground"
_LOOK_SECONDS = 0.2  # between looks at the processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    add("--server", choices=("auto", *backends.KINDS), default="auto", help="default: the first of these at hand")
    add("--host", metavar="ADDRESS", help="to listen on; default 127.0.0.1; 0.0.0.0: reachable from other machines")
    add("--port", type=int, metavar="PORT", help="of the REST API; default 8501")
    add("--no-playground", action="store_true", help="without the page to try the model on")
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which the page may be called, besides addresses and localhost; repeatable",
    )
    config_options.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; returns 0 then, and 1 if the server cannot be kept running."""
    for key, value in (("host", options.host), ("rest_port", options.port)):
        if value is not None:
            options.settings = [*options.settings, f"serving.{key}={value}"]
    config = config_options.load(options)
    shelf = Shelf.of(config)
    inventory.require_versions(shelf)
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)

    def note(text: str) -> None:
        console.print(f"NOTE: {text}", markup=False, style="bold yellow")

    is_new = configure.write_entry(shelf, note)
    fixed = configure.write_flag_files(config.serving, shelf)
    backend = backends.choose(options.server, config.serving, shelf.serving_dir, fixed)
    ports = {"serving.rest_port": config.serving.rest_port}
    if backend.kind != "embedded":
        ports["serving.grpc_port"] = config.serving.grpc_port
    with_page = not options.no_playground and importlib.util.find_spec(_PLAYGROUND) is not None
    if with_page:
        ports["serving.playground_port"] = config.serving.playground_port
    process.check_ports(config.serving.host, ports)
    console.print(f"server: {backend.kind} ({backend.why})", markup=False)
    if backend.note:
        note(backend.note)

    log = os.path.join(shelf.root, "logs", "serving.log")
    page: Page | None = None
    ready, deaths = False, Deaths()
    with process.interrupts(), contextlib.ExitStack() as running:
        try:
            while True:
                server = Process(backend.command, log, backend.stop, backend.kill, config.serving.stop_seconds)
                running.callback(server.stop)
                try:
                    states = _await(server, config, shelf, console)
                    if not ready:
                        ready = True
                        if is_new:
                            configure.label_loaded(shelf, states, note)
                        if with_page:
                            page = _page(config, shelf, options.allowed_host, console)
                            running.callback(page.stop)
                        _say_ready(config, shelf, log, page, console)
                    _watch(server, page)
                except ServerFailed as error:
                    if not ready:
                        raise
                    console.print(f"{error}\nLog: {log}", markup=False)
                if deaths.another():
                    console.print(TOO_MANY)
                    return 1
                console.print("starting it again ...")
                server.stop()
        except ServerFailed as error:
            console.print(f"failed: {error}\nLog: {log}", markup=False, style="red")
            return 1
        except KeyboardInterrupt:
            console.print("stopping; requests under way are finished first (Ctrl-C again: at once) ...")
            return 0


def _watch(server: Process, page: Page | None) -> None:
    """Wait until the server ends, which raises `ServerFailed`; the page is kept running meanwhile."""
    while server.code is None:
        if page is not None:
            page.look()
        time.sleep(_LOOK_SECONDS)
    raise ServerFailed(f"The server ended with exit code {server.code}:\n{server.tail()}")


def _await(server: Process, config: Config, shelf: Shelf, console: Console) -> dict[int, status.VersionStatus]:
    versions = inventory.require_versions(shelf)
    entry = apply.entry_of(shelf, model_config.find(shelf.config_path, shelf.name), versions)
    version = labels.reached(entry, versions) or versions[-1]
    url = status.base_url(config.serving.host, config.serving.rest_port)
    if not console.is_terminal:
        console.print("waiting until the model is available ...")
    with console.status("starting") as line:
        states = process.await_available(
            server, url, shelf.name, version, config.serving.start_seconds, lambda text: line.update(text)
        )
    for number, one in sorted(states.items(), reverse=True):
        console.print(f"version {number}: {one.state}{f' ({one.error_message})' if one.failed else ''}", markup=False)
    return states


def _page(config: Config, shelf: Shelf, names: list[str], console: Console) -> Page:
    settings = config.serving
    command = [
        *(sys.executable, "-m", _PLAYGROUND, f"--port={settings.playground_port}", f"--model={shelf.name}"),
        *(f"--server-url={status.base_url(settings.host, settings.rest_port)}", f"--registry={shelf.registry}"),
        *(f"--host={settings.host}", *(f"--allowed-host={name}" for name in names)),
    ]
    url = status.base_url(settings.host, settings.playground_port)
    log = os.path.join(shelf.root, "logs", "playground.log")
    return Page(command, url, log, lambda text: console.print(text, markup=False))


def _say_ready(config: Config, shelf: Shelf, log: str, page: Page | None, console: Console) -> None:
    url = status.base_url(config.serving.host, config.serving.rest_port)
    body = shlex.quote('{"instances": ["The "]}')
    console.print(f"\ncurl -d {body} {url}/v1/models/{shelf.name}:predict\n", markup=False, style="bold")
    if page is not None:
        page.announce()
    console.print(f"log: {log}\nCtrl-C stops the server.", markup=False)
