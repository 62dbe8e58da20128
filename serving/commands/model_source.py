"""Which model a command asks: a server's, the newest pushed one in this process, or a checkpoint of training."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from components.errors import UserError
from pipeline.config import Config
from pipeline.places import Places
from serving.client import Client
from serving.client_errors import BadAnswer, NotReachable, ServerError, TimedOut, refusal
from serving.client_transport import TIMEOUT
from serving.client_values import Generated, Score

_PROBE_SECONDS = 2.0


class Model(Protocol):
    """What `Client` and `LocalModel` have in common."""

    def generate(
        self,
        prompts: Sequence[str],
        *,
        num_chars: int = ...,
        temperature: float = ...,
        top_k: int = ...,
        seed: int | Sequence[int] | None = ...,
    ) -> list[Generated]:
        """New text of several rows at once."""

    def stream(
        self, prompt: str, *, num_chars: int = ..., temperature: float = ..., top_k: int = ..., seed: int | None = ...
    ) -> Iterator[str]:
        """New text of one row in chunks."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores of several texts at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose the model, beside those of `serving.commands.places`."""
    group = parser.add_argument_group(
        "where the model runs",
        "Without any of these: the server at the default address if it serves the model, else the newest pushed "
        "version in this process.",
    )
    add = group.add_argument
    add("--url", metavar="URL", help="a TF Serving's REST port, for example http://127.0.0.1:8501")
    add("--label", metavar="LABEL", help="the version with this label, for example stable; servers only")
    add("--version", type=int, metavar="N", help="this version; default the newest")
    add("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="longest wait; default %(default)g")
    add(
        "--checkpoint",
        nargs="?",
        const="",
        metavar="DIR",
        help="the newest checkpoint of training below DIR (default <root>/checkpoints), without export or server",
    )


def choose(options: argparse.Namespace, config: Config) -> tuple[Model, str]:
    """The model, and a line that says where it is.

    Raises:
      UserError: there is none, or the options contradict each other.
    """
    if options.checkpoint is not None:
        if given := [f"--{name}" for name in ("url", "label", "version") if getattr(options, name) is not None]:
            raise UserError(
                f"A checkpoint has no server, label or version. Leave out one of them. "
                f"Received: --checkpoint with {' and '.join(given)}"
            )
        return _checkpoint(options.checkpoint or Places.of(config).checkpoints, config)
    url = options.url or _default_url(config)
    client = _client(url, options, config)
    if options.url or _serves(url, options, config):
        which = f"version {options.version}" if options.version is not None else "newest version"
        which = f"label {options.label}" if options.label else which
        return client, f"{config.model_name} ({which}) at {url}"
    if options.label is not None:
        raise UserError(
            f"Only a server knows labels, and none serves {config.model_name} with this one at {url}. Start one "
            f"(python -m serving up), name it with --url, or use --version. Received: --label {options.label}"
        )
    return _pushed(options.version, config, url)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the user can mend, a wrong address or a refused value, into a `UserError`; let the rest through."""
    try:
        yield
    except NotReachable as error:
        raise UserError(f"Is the server running (python -m serving up), and is --url right? {error}") from error
    except ServerError as error:
        if error.status >= 500 or error.status == 429:
            raise
        raise UserError(f"The server refuses ({error.status}): {refusal(error.message)}") from error


def _client(url: str, options: argparse.Namespace, config: Config, **settings: float) -> Client:
    try:
        return Client(
            url,
            config.model_name,
            version=options.version,
            label=options.label,
            timeout=settings.get("timeout", options.timeout),
            retries=int(settings.get("retries", 5)),
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def _default_url(config: Config) -> str:
    host = config.serving.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.serving.rest_port}"


def _serves(url: str, options: argparse.Namespace, config: Config) -> bool:
    with _client(url, options, config, timeout=_PROBE_SECONDS, retries=0) as probe:
        try:
            probe.metadata()
        except (NotReachable, TimedOut, BadAnswer, ServerError):
            return False
    return True


def _pushed(version: int | None, config: Config, url: str) -> tuple[Model, str]:
    base = Places.of(config).serving
    nothing = UserError(
        f"There is no model to ask: nothing serves {config.model_name} at {url}, and no version is in {base}. Train "
        "one (python local_runner.py), or say where it is with --url, --root, --serving-dir or --model."
    )
    if "://" not in base and not os.path.isdir(base):
        raise nothing  # before TensorFlow is loaded
    _quiet()
    from components import versions
    from serving.local_model import LocalModel

    found = versions.served(base)
    if not found:
        raise nothing
    if version is not None and version not in found:
        raise UserError(
            f"There is no such version in {base}; there are: {', '.join(map(str, found))}. Received: --version "
            f"{version}"
        )
    number = found[-1] if version is None else version
    return LocalModel.load(os.path.join(base, str(number))), f"{config.model_name} (version {number}) in this process"


def _checkpoint(place: str, config: Config) -> tuple[Model, str]:
    _quiet()
    from serving.local_model import LocalModel
    from trainer import restore

    directory = restore.newest(place)
    model, step = restore.one_step(directory, config.export.model_dump())
    return LocalModel.of(model), f"the checkpoint of step {step:,} in {directory}, in this process"


def _quiet() -> None:
    """Keep TensorFlow's remarks about the machine off the terminal; they are read when it is loaded."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
