"""Serve the playground page: `python -m serving.playground --server-url=http://127.0.0.1:8501`.

The page sends its requests to the REST API of any model server. `python -m serving up` starts both.
"""

import os
import sys

if not __package__:  # `python /path/to/serving/playground`, from any directory
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from components import startup

if __name__ == "__main__":
    startup.begin("serving.playground", "pydantic", "httpx", "httptools", "starlette", "uvicorn")

import argparse
import asyncio
import logging
import signal
import socket
from typing import Any

from components import command_line
from components.errors import UserError
from pipeline.config.serving import AccessSettings, ServingSettings
from serving.access import keys, outgoing, tls
from serving.client import transport
from serving.client.status import HttpOptions

_DEFAULTS = ServingSettings()


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; an error in it ends the program with code 2."""
    parser = command_line.Parser(
        prog="python -m serving.playground",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=_DEFAULTS.playground_port, help="0: any free port; default %(default)s")
    add("--host", default=_DEFAULTS.host, help="address to listen on; default %(default)s, this machine only")
    add("--server-url", default=f"http://127.0.0.1:{_DEFAULTS.rest_port}", help="model server; default %(default)s")
    add("--model", default="char_rnn", help="name of the model on that server; default %(default)s")
    add("--registry", metavar="DIR", help="<root>/registry/<model>, source of each version's perplexity and corpus")
    add(
        "--timeout",
        type=float,
        default=float(_DEFAULTS.request_timeout_seconds),
        help="seconds that one response may take",
    )
    add(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="accept this host name in addition to IP addresses and localhost; repeatable",
    )
    add(
        "--api-key-file",
        metavar="FILE",
        help="API keys, one a line: every browser must send one, as the password, and the model server gets the first",
    )
    add("--tls-cert", metavar="FILE", help="PEM file of the page's certificate and its chain")
    add("--tls-key", metavar="FILE", help="PEM file of its private key")
    add(
        "--server-cert",
        metavar="FILE",
        help="PEM file of the certificate that the model server must have; default: one that a known authority issued",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code."""
    options = arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    _check(options)
    encryption = tls.server_options(options.tls_cert, options.tls_key)
    api_keys = keys.for_server(options.api_key_file, options.host, bool(encryption))
    access = AccessSettings(api_key_file=options.api_key_file, tls_cert=options.server_cert)
    http = outgoing.options(access, options.server_url)
    listening = _listen(options.host, options.port)
    # Until uvicorn installs its handlers, and after it removes them: then it raises the signal again.
    startup.exit_on(signal.SIGTERM)
    _serve(options, listening, api_keys, http, encryption)
    return command_line.OK


def _serve(
    options: argparse.Namespace,
    listening: socket.socket,
    api_keys: keys.Keys | None,
    http: HttpOptions,
    encryption: dict[str, Any],
) -> None:
    # Imported late: a mistake in the flags must be reported at once.
    import uvicorn

    from serving.access.uvicorn_protocol import ClosingProtocol
    from serving.playground.app import application

    app = application(
        options.server_url,
        options.model,
        options.registry,
        timeout=options.timeout,
        names=options.allowed_host,
        keys=api_keys,
        http=http,
    )
    config = uvicorn.Config(
        app,
        http=ClosingProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        **encryption,
    )
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    startup.hand_over()
    print(f"Playground at {'https' if encryption else 'http'}://{shown}:{port}/", flush=True)
    asyncio.run(uvicorn.Server(config).serve([listening]))


def _check(options: argparse.Namespace) -> None:
    if not options.model or not options.model.isprintable() or set(options.model) & set("/:?#% "):
        raise UserError(f"--model must be the name of a model in its server's routes. Received: {options.model!r}")
    try:
        transport.protocol(options.server_url, options.model, None, None, 0)
    except ValueError as error:
        raise UserError(
            "--server-url must be the address of a model server's REST API, such as http://127.0.0.1:8501. "
            f"Received: {options.server_url}"
        ) from error
    if not options.timeout > 0:
        raise UserError(f"--timeout is in seconds and must be above 0. Received: {options.timeout:g}")
    if not 0 <= options.port <= 65_535:
        raise UserError(f"--port must be from 0 (any free port) to 65535. Received: {options.port}")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise UserError(
            f"The playground cannot listen on this address: {error.strerror or error}. Stop the process that uses the "
            f"port, or set another one with --port. Received: {host} port {port}"
        ) from error
    return listening


if __name__ == "__main__":
    sys.exit(main())
