"""Serve the pushed versions over REST until Ctrl-C, with the best server that is available.

That is tensorflow_model_server if it is on PATH, else Docker with the tensorflow/serving image if a daemon responds,
else the embedded server.
"""

import argparse
import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable

from rich.console import Console

from pipeline.config.run import Config
from serving.access import outgoing, tls
from serving.client import status
from serving.client.status import HttpOptions
from serving.commands.shared import config_options
from serving.launcher import backends, configure, process
from serving.launcher.backends import Backend
from serving.launcher.playground import Page
from serving.launcher.process import Process, ServerFailed
from serving.launcher.restarts import GAVE_UP, RestartLimiter
from serving.rollout import apply, inventory, labels
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import model_config

_CHECK_SECONDS = 0.2  # between checks of the processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `up`."""
    add = parser.add_argument
    add("--server", choices=("auto", *backends.KINDS), default="auto", help="default: the first that is available")
    add("--host", metavar="ADDRESS", help="to listen on; default 127.0.0.1; 0.0.0.0: all addresses")
    add("--port", type=int, metavar="PORT", help="of the REST API; default 8501")
    add("--no-playground", action="store_true", help="do not start the playground, the web page")
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that the page accepts, besides addresses and localhost; repeatable",
    )
    config_options.add_access_arguments(add)
    add("--tls-key", metavar="FILE", help="the private key of the certificate, PEM")
    add("--request-log", metavar="FILE", help="log the requests there; serving.request_log has its other values")
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; returns 0 then, and 1 if the server fails to start or keeps ending."""
    with process.interrupts():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    config = config_options.load(arguments)
    paths = ModelPaths.of(config)
    inventory.require_versions(paths)
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)

    def note(text: str) -> None:
        console.print(f"NOTE: {text}", markup=False, style="bold yellow")

    tls.server_options(config.serving.access.tls_cert, config.serving.access.tls_key)  # a mistake is reported at once
    url = outgoing.base_url(config.serving)
    http = outgoing.options(config.serving.access, url)
    is_new = configure.write_entry(paths, note)
    fixed = configure.write_flag_files(config.serving, paths)
    backend = backends.choose(arguments.server, config.serving, paths.serving_dir, fixed)
    ports = {"serving.rest_port": config.serving.rest_port}
    if backend.kind != "embedded":
        ports["serving.grpc_port"] = config.serving.grpc_port
    with_page = not arguments.no_playground
    if with_page:
        ports["serving.playground_port"] = config.serving.playground_port
    process.check_ports(config.serving.host, ports)
    console.print(f"server: {backend.kind} ({backend.why})", markup=False)
    if backend.note:
        note(backend.note)

    def when_ready(states: dict[int, status.VersionStatus]) -> Page | None:
        """Finish the first start; returns the page if there is one."""
        if is_new:
            configure.label_loaded(paths, states, note)
        return _page(config, paths, arguments.allowed_host, console, http) if with_page else None

    return _serve(backend, config, paths, console, http, when_ready)


def _serve(
    backend: Backend,
    config: Config,
    paths: ModelPaths,
    console: Console,
    http: HttpOptions,
    when_ready: Callable[[dict[int, status.VersionStatus]], Page | None],
) -> int:
    """Run the server, restart it if it ends, and stop it on Ctrl-C; returns the exit code."""
    log = os.path.join(paths.root, "logs", "serving.log")
    page: Page | None = None
    ready, restarts = False, RestartLimiter()
    with contextlib.ExitStack() as running:
        try:
            while True:
                server = Process(backend.command, log, backend.stop, backend.kill, config.serving.stop_seconds)
                running.callback(server.stop)
                try:
                    states = _await_available(server, config, paths, console, http)
                    if not ready:
                        ready, page = True, when_ready(states)
                        if page is not None:
                            running.callback(page.stop)
                        _report_ready(config, paths, log, page, console)
                    _watch(server, page)
                except ServerFailed as error:
                    if not ready:
                        raise
                    console.print(f"{error}\nLog: {log}", markup=False)
                if restarts.should_give_up():
                    console.print(GAVE_UP)
                    return 1
                console.print("restarting ...")
                server.stop()
        except ServerFailed as error:
            console.print(f"failed: {error}\nLog: {log}", markup=False, style="red")
            return 1
        except KeyboardInterrupt:
            console.print("stopping after running requests have finished (Ctrl-C again: at once) ...")
            return 0


def _watch(server: Process, page: Page | None) -> None:
    """Wait until the server ends, which raises `ServerFailed`; restart the page if it ends."""
    while server.code is None:
        if page is not None:
            page.check()
        time.sleep(_CHECK_SECONDS)
    raise ServerFailed(f"The server ended with exit code {server.code}:\n{server.tail()}")


def _await_available(
    server: Process, config: Config, paths: ModelPaths, console: Console, http: HttpOptions
) -> dict[int, status.VersionStatus]:
    versions = inventory.require_versions(paths)
    entry = apply.entry_or_first(paths, model_config.find(paths.config_path, paths.name), versions)
    version = labels.default_version(entry, versions) or versions[-1]
    url = outgoing.base_url(config.serving)
    if not console.is_terminal:
        console.print("waiting until the model is available ...")
    with console.status("starting") as line:
        states = process.await_available(
            server, url, paths.name, version, config.serving.start_seconds, lambda text: line.update(text), http
        )
    for number, one in sorted(states.items(), reverse=True):
        console.print(f"version {number}: {one.state}{f' ({one.error_message})' if one.failed else ''}", markup=False)
    return states


def _page(config: Config, paths: ModelPaths, names: list[str], console: Console, http: HttpOptions) -> Page:
    settings, access = config.serving, config.serving.access
    files = {"api-key-file": access.api_key_file, "tls-cert": access.tls_cert, "tls-key": access.tls_key}
    files["server-cert"] = access.tls_cert
    command = [
        *(sys.executable, "-m", "serving.playground", f"--port={settings.playground_port}", f"--model={paths.name}"),
        *(f"--server-url={outgoing.base_url(settings)}", f"--registry={paths.registry}"),
        *(f"--host={settings.host}", *(f"--allowed-host={name}" for name in names)),
        *(f"--{name}={value}" for name, value in files.items() if value is not None),
    ]
    url = outgoing.base_url(settings, settings.playground_port)
    log = os.path.join(paths.root, "logs", "playground.log")
    return Page(command, url, log, lambda text: console.print(text, markup=False), http)


def _report_ready(config: Config, paths: ModelPaths, log: str, page: Page | None, console: Console) -> None:
    url, access = outgoing.base_url(config.serving), config.serving.access
    command = "curl -d " + shlex.quote('{"instances": ["The "]}')
    if access.tls_cert is not None:
        command += f" --cacert {shlex.quote(access.tls_cert)}"
    if access.api_key_file is not None:  # through a pipe: other users can list the words of a command
        header = shlex.quote("s/^/Authorization: Bearer /;q")
        command = f"sed {header} {shlex.quote(access.api_key_file)} | {command} -H @-"
    console.print(f"\n{command} {url}/v1/models/{paths.name}:predict\n", markup=False, style="bold")
    if page is not None:
        page.announce()
    console.print(f"log: {log}\nCtrl-C stops the server.", markup=False)
