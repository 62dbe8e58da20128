"""Choose the model that a command uses: a server's, a pushed version in this process, or a training checkpoint."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from components import shell_command, startup
from components.errors import UserError
from components.lean_imports import tensorflow_without_keras, without_gc
from components.models import versions
from pipeline.config.places import Places
from pipeline.config.run import Config
from serving.access import outgoing
from serving.client.blocking import Client
from serving.client.errors import BadAnswer, NotReachable, ServerError, TimedOut, Unsupported
from serving.client.options import GenerateArguments
from serving.client.transport import RETRIES, TIMEOUT
from serving.client.values import Alternative, Generated, Score
from serving.commands.shared import config_options
from serving.rollout import labels
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel

if TYPE_CHECKING:
    from typing_extensions import Unpack

_PROBE_SECONDS = 2.0


class Model(Protocol):
    """The operations that `Client` and `LocalModel` share."""

    def generate(self, prompts: Sequence[str], **options: "Unpack[GenerateArguments]") -> list[Generated]:
        """Generate text after each prompt."""

    def stream(self, prompt: str, **options: "Unpack[GenerateArguments]") -> Iterator[str]:
        """Generate text after one prompt, in chunks."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score each text."""

    def alternatives(self, texts: Sequence[str], top_n: int = 5) -> list[list[list[Alternative]]]:
        """List the most likely characters at each place of each text."""

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """List the characters that the model does not know, each once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose the source; `config_options` declares which model."""
    group = parser.add_argument_group(
        "where the model runs",
        "Default: the server at the default address if it serves the model, else the version that a server would use, "
        "in this process. With --root or --serving-dir: in this process.",
    )
    add = group.add_argument
    add("--url", metavar="URL", help="a TF Serving's REST port, for example http://127.0.0.1:8501")
    config_options.add_access_arguments(add)
    add_version_arguments(add)
    add("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="longest wait; default %(default)g")
    add(
        "--checkpoint",
        nargs="?",
        const="",
        type=str,
        metavar="DIR",
        help="the newest checkpoint of training below DIR (default <root>/checkpoints), without export or server",
    )


def add_version_arguments(add: Callable[..., Any]) -> None:
    """Declare `--label` and `--version`; `add` is a parser's or a group's `add_argument`."""
    add("--label", metavar="LABEL", help="the version with this label, for example stable")
    add("--version", type=int, metavar="N", help="this version; default the newest")


@contextmanager
def chosen(arguments: argparse.Namespace, config: Config) -> Iterator[tuple[Model, str]]:
    """Yield the model and a line that describes it; errors of its server inside the block become `UserError`.

    Raises:
      UserError: there is no model, the options contradict each other, the address is wrong, the server rejects a
        value, or the export is older than what is asked for.
    """
    with contextlib.ExitStack() as stack:
        try:
            yield _choose(arguments, config, stack)
        except NotReachable as error:
            if "certificate is not trusted" in str(error):
                raise UserError(f"Give the server's certificate with --tls-cert. {error}") from error
            up = shell_command.of("serving", "up")
            raise UserError(f"Is the server running ({up}), and is --url right? {error}") from error
        except ServerError as error:
            if error.status >= 500 or error.status == 429:
                raise
            if error.status == 401:
                raise UserError(
                    "The server does not accept the API key, or there was none: give one with --api-key-file. "
                    f"Received: {arguments.api_key_file}"
                ) from error
            raise UserError(f"The server rejects the request ({error.status}): {error.message}") from error
        except Unsupported as error:
            raise UserError(str(error)) from error


def _choose(arguments: argparse.Namespace, config: Config, stack: contextlib.ExitStack) -> tuple[Model, str]:
    if arguments.checkpoint is not None:
        if given := [f"--{name}" for name in ("url", "label", "version") if getattr(arguments, name) is not None]:
            raise UserError(
                "A checkpoint has no server, label or version. Leave out one of them. "
                f"Received: --checkpoint with {' and '.join(given)}"
            )
        return _checkpoint(arguments.checkpoint or Places(config).checkpoints, config)
    url = arguments.url or outgoing.base_url(config.serving)
    # An explicit directory takes precedence over a running server.
    here = arguments.url is None and (arguments.root is not None or arguments.serving_dir is not None)
    if arguments.url or (not here and _serves(url, arguments, config)):
        which = f"version {arguments.version}" if arguments.version is not None else "newest version"
        which = f"label {arguments.label}" if arguments.label else which
        client = stack.enter_context(_client(url, arguments, config, arguments.timeout, RETRIES))
        return client, f"{config.model_name} ({which}) at {client.protocol.base}"  # without a password in the URL
    return _pushed(arguments, config, "" if here else f"nothing serves {config.model_name} at {url}, and ")


def _client(url: str, arguments: argparse.Namespace, config: Config, timeout: float, retries: int) -> Client:
    http = outgoing.options(config.serving.access, url)
    which = {"version": arguments.version, "label": arguments.label}
    try:
        return Client(url, config.model_name, timeout=timeout, retries=retries, **which, **http)
    except ValueError as error:
        raise UserError(str(error)) from None


def _serves(url: str, arguments: argparse.Namespace, config: Config) -> bool:
    with _client(url, arguments, config, _PROBE_SECONDS, 0) as probe:
        try:
            probe.metadata()
        except (NotReachable, TimedOut, BadAnswer, ServerError):
            return False
    return True


def pushed_version(arguments: argparse.Namespace, config: Config, no_server: str = "") -> tuple[int, str]:
    """Find the version that a server of this directory would use, by `models.config` if there is one.

    Args:
      arguments: with those of `add_version_arguments`.
      config: names the model and its directory.
      no_server: the beginning of the message if there is no version.

    Returns:
      Its number and its directory.

    Raises:
      UserError: there is none, or not the one asked for.
    """
    base = Places(config).serving
    _silence_tensorflow()  # which reads buckets
    with startup.importing():
        found = {number: path for number, path in versions.directories(base).items() if versions.is_complete(path)}
    if not found:
        url = "--url, " if hasattr(arguments, "url") else ""
        raise UserError(
            f"There is no model: {no_server}no version of {config.model_name} is in {base}. Train one "
            f"({shell_command.of('local_runner.py')}), or choose another place with {url}--root, --serving-dir or "
            f"--model. Received: {base}"
        )
    entry = None
    if "://" not in base:
        entry = model_config.find(model_config.path_in(os.path.dirname(base)), config.model_name)
    entry = entry or ServedModel(config.model_name, base, All())
    number = _number(arguments, entry, found)
    if number not in found:
        which = f"--version {number}" if arguments.version is not None else f"version {number} in models.config"
        raise UserError(f"There is no such version in {base}; there are: {labels.listed(found)}. Received: {which}")
    return number, found[number]


def _pushed(arguments: argparse.Namespace, config: Config, no_server: str) -> tuple[Model, str]:
    number, directory = pushed_version(arguments, config, no_server)
    with startup.importing():
        tensorflow_without_keras()
        from serving.commands.shared.local_model import LocalModel

    return LocalModel.load(directory), f"{config.model_name} (version {number}) in this process"


def _number(arguments: argparse.Namespace, entry: ServedModel, found: Mapping[int, str]) -> int:
    if arguments.version is not None:
        return int(arguments.version)
    if arguments.label is not None:
        if arguments.label not in entry.labels:
            raise UserError(
                f"No version of {entry.name} has this label; there are: {', '.join(entry.labels) or 'none'}. Set one "
                f"({shell_command.of('serving', 'promote')}), or use --version. Received: --label {arguments.label}"
            )
        return entry.labels[arguments.label]
    default = labels.default_version(entry, list(found))
    if default is None:
        raise UserError(
            f"No version of {entry.name} is served: models.config lists none of those that exist. Serve one "
            f"({shell_command.of('serving', 'promote')}), or use --version. Received: {entry.policy}; there are: "
            f"{labels.listed(found)}"
        )
    return default


def _checkpoint(directory: str, config: Config) -> tuple[Model, str]:
    _silence_tensorflow()
    with startup.importing(), without_gc():
        tensorflow_without_keras()
        from serving.commands.shared.local_model import LocalModel
        from serving.graph import checkpoint
        from serving.graph.one_step import Defaults

    directory = checkpoint.newest(directory)
    model, step = checkpoint.one_step(directory, Defaults(**config.export.model_dump()))
    return LocalModel.of(model), f"the checkpoint of step {step:,} in {directory}, in this process"


def _silence_tensorflow() -> None:
    """Suppress TensorFlow's log messages about the machine; it reads these variables when it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
