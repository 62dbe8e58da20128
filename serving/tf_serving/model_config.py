"""`models.config`: the single source of truth for what a model server serves, in TF Serving's own format.

The file is in the serving directory, beside the models. Servers poll it, so it is written atomically. Does not import
TensorFlow.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2 as protos

from components import files, shell_command
from components.errors import UserError

FILE_NAME = "models.config"
_HEADER = "# Written by `python -m serving up, promote, rollback, prune`. Edited values are kept, comments are not.\n"
# A comment, so that servers ignore it; in this file, so that it is written together with the policy.
_AWAITED = "# Served without a label until a command has seen them loaded: "


@dataclass(frozen=True)
class Latest:
    """The `count` highest version numbers are served."""

    count: int = 1


@dataclass(frozen=True)
class All:
    """Every version is served."""


@dataclass(frozen=True)
class Specific:
    """These versions are served, and no others."""

    versions: tuple[int, ...]


Policy = Latest | All | Specific


@dataclass(frozen=True)
class ServedModel:
    """One model of the file.

    Attributes:
      name: of the model in request paths.
      base_path: directory of its versions, as the server sees it.
      policy: which of them are served.
      labels: version by label, for example by `stable`.
      awaited: versions that are served only because commands wait until servers have loaded them, with the ids of these
        commands. Only those that a `Specific` policy lists and no label names.

    Example:
      >>> model = ServedModel("char_rnn", "/serving/char_rnn", Specific((1, 2)), {"stable": 2})
      >>> parse(merged("", model)) == [model]
      True
    """

    name: str
    base_path: str
    policy: Policy = Latest()
    labels: dict[str, int] = field(default_factory=dict)
    awaited: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = self.policy.versions if isinstance(self.policy, Specific) else ()
        kept = {v: ids for v, ids in self.awaited.items() if ids and v in listed and v not in self.labels.values()}
        object.__setattr__(self, "awaited", dict(sorted(kept.items())))


def path_in(serving_dir: str) -> str:
    """Path of the file in a serving directory."""
    return os.path.join(serving_dir, FILE_NAME)


def parse(text: str, where: str = FILE_NAME) -> list[ServedModel]:
    """Parse the models of a file's text, in its order.

    Raises:
      UserError: the text is not a `ModelServerConfig` with a `model_config_list`, or a name is missing or repeated.
    """
    awaited = _awaited(text)
    return [_served_model(config, awaited) for config in _parse(text, where).model_config_list.config]


def merged(text: str, model: ServedModel, where: str = FILE_NAME) -> str:
    """Return the text with this model's entry replaced or added; other entries and other fields stay as they are.

    Raises:
      UserError: as `parse` does.
    """
    config = _parse(text, where)
    entries = config.model_config_list.config
    entry = next((entry for entry in entries if entry.name == model.name), None)
    if entry is None:
        entry = entries.add(name=model.name, model_platform="tensorflow")
    entry.base_path = model.base_path
    entry.ClearField("model_version_policy")
    policy = entry.model_version_policy
    if isinstance(model.policy, All):
        policy.all.SetInParent()
    elif isinstance(model.policy, Specific):
        policy.specific.versions.extend(model.policy.versions)
    else:
        policy.latest.num_versions = model.policy.count
    entry.version_labels.clear()
    entry.version_labels.update(model.labels)
    others = {name: ids for name, ids in _awaited(text).items() if name != model.name}
    awaited = others | ({model.name: model.awaited} if model.awaited else {})
    comment = f"{_AWAITED}{json.dumps(awaited)}\n" if awaited else ""
    return _HEADER + comment + str(text_format.MessageToString(config, as_utf8=True))


def read(path: str) -> list[ServedModel]:
    """Read the models of a file; none if it does not exist.

    Raises:
      UserError: the file cannot be read or parsed.
    """
    return parse(_read(path), path)


def find(path: str, name: str) -> ServedModel | None:
    """Read one model of a file; None if it or the file does not exist. Raises as `read` does."""
    return next((model for model in read(path) if model.name == name), None)


def update(
    path: str,
    name: str,
    change: Callable[[ServedModel | None], ServedModel | None],
    afterwards: Callable[[], None] = lambda: None,
) -> ServedModel | None:
    """Change one model's entry, under the file's lock.

    Args:
      path: of the file, created if it does not exist.
      name: of the model.
      change: gets the present entry, None if there is none, and returns the new one; None changes nothing.
      afterwards: called after the file is written, while it is still locked; its errors are raised.

    Returns:
      The present entry.

    Raises:
      UserError: the file cannot be read, understood or written.
    """
    with contextlib.ExitStack() as lock:
        try:
            lock.enter_context(_locked(path))
            text = _read(path)
            before = next((model for model in parse(text, path) if model.name == name), None)
            after = change(before)
            if after is not None and after != before:
                files.write(path, merged(text, after, path), mode=0o644)  # servers may run as another user
        except OSError as error:
            prune = shell_command.of("serving", "prune", "--keep", "2")
            raise UserError(
                f"The list of served models cannot be written: {error.strerror}. It has not changed. Free disk space, "
                f"for example with `{prune}`, or fix the permissions of its directory. Received: {path}"
            ) from error
        afterwards()
        return after or before


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock file beside the file; the kernel releases the lock of a killed process."""
    target = Path(path)
    with target.with_name(f".{target.name}.lock").open("a", encoding="utf-8") as handle:
        files.lock(handle, path)
        yield


def _read(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list of served models cannot be read: {error}. Received: {path}") from error
    if not text.strip():  # no list: without labels and policy, `prune` would delete versions that are in use
        raise UserError(
            "The list of served models is empty, which no command leaves: an editor may be saving it, or power was "
            "lost. Restore it from a backup. Or delete it, which forgets labels and withdrawals: "
            f"`{shell_command.of('serving', 'up')}` writes a new one. Received: {path}"
        )
    return text


def _parse(text: str, where: str) -> protos.ModelServerConfig:
    config = protos.ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        up = shell_command.of("serving", "up")
        raise UserError(
            f"The list of served models is not a TF Serving model_config_list: {str(error).rstrip('.')}. Fix it, "
            f"or move it away and let `{up}` write a new one. Received: {where}"
        ) from error
    if config.WhichOneof("config") == "custom_model_config":
        raise UserError(f"Only a model_config_list can be served, not a custom_model_config. Received: {where}")
    names = [entry.name for entry in config.model_config_list.config]
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"Every served model needs a unique name. Received: {names} in {where}")
    return config


def _awaited(text: str) -> dict[str, dict[int, tuple[str, ...]]]:
    """The awaited versions by model; none if the comment is missing or was edited."""
    line = next((line for line in text.splitlines() if line.startswith(_AWAITED)), _AWAITED + "{}")
    try:
        return {
            name: {int(version): tuple(map(str, ids)) for version, ids in versions.items()}
            for name, versions in json.loads(line.removeprefix(_AWAITED)).items()
        }
    except (ValueError, AttributeError, TypeError):
        return {}


def _served_model(entry: protos.ModelConfig, awaited: Mapping[str, dict[int, tuple[str, ...]]]) -> ServedModel:
    chosen = entry.model_version_policy.WhichOneof("policy_choice")
    policy: Policy
    if chosen == "all":
        policy = All()
    elif chosen == "specific":
        policy = Specific(tuple(sorted(set(entry.model_version_policy.specific.versions))))
    else:  # as in TF Serving, no policy or no number means the one highest version
        policy = Latest(max(1, entry.model_version_policy.latest.num_versions))
    labels = dict(sorted(entry.version_labels.items()))
    return ServedModel(entry.name, entry.base_path, policy, labels, awaited.get(entry.name, {}))
