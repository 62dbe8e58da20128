"""`models.config`: what a model server serves, in TF Serving's own format and for every server the only truth.

The file lies beside the models, in the serving directory. A server polls it, so it is replaced by rename and never
written in place. TensorFlow is not imported.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2 as protos

from components import shell_command
from components.errors import UserError

FILE_NAME = "models.config"
_HEADER = "# Kept by `python -m serving up, promote, rollback, prune`. Values edited here are kept, comments are not.\n"


@dataclass(frozen=True)
class Latest:
    """The `count` highest version numbers are served."""

    count: int = 1


@dataclass(frozen=True)
class All:
    """Every version is served."""


@dataclass(frozen=True)
class Specific:
    """These versions are served and no others."""

    versions: tuple[int, ...]


Policy = Latest | All | Specific


@dataclass(frozen=True)
class ServedModel:
    """One model of the file.

    Attributes:
      name: of the model in request paths.
      base_path: directory of its versions, as the server sees it.
      policy: which of them are served.
      labels: names for versions, e.g. `stable`.
    """

    name: str
    base_path: str
    policy: Policy = Latest()
    labels: dict[str, int] = field(default_factory=dict)


def path_in(serving_dir: str) -> str:
    """Where the file of a serving directory is."""
    return os.path.join(serving_dir, FILE_NAME)


def parse(text: str, where: str = FILE_NAME) -> list[ServedModel]:
    """The models of a file's text, in its order.

    Raises:
      UserError: not a `ModelServerConfig` with a `model_config_list`, or a model without a name or twice in it.
    """
    return [_view(config) for config in _parse(text, where).model_config_list.config]


def merged(text: str, model: ServedModel, where: str = FILE_NAME) -> str:
    """The text with this model's entry put in; other entries, and fields that `ServedModel` has not, stay as they are.

    Raises:
      UserError: as `parse` does.
    """
    whole = _parse(text, where)
    entries = whole.model_config_list.config
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
    return _HEADER + str(text_format.MessageToString(whole, as_utf8=True))


def read(path: str) -> list[ServedModel]:
    """The models of a file; none if it is not there.

    Raises:
      UserError: the file cannot be read or is not what `parse` takes.
    """
    return parse(_read(path), path)


def find(path: str, name: str) -> ServedModel | None:
    """One model of a file, None if it or the file is not there; raises what `read` raises."""
    return next((model for model in read(path) if model.name == name), None)


def update(
    path: str,
    name: str,
    change: Callable[[ServedModel | None], ServedModel | None],
    afterwards: Callable[[], None] = lambda: None,
) -> ServedModel | None:
    """Change one model's entry under the file's lock; readers see the file before it or after it.

    Args:
      path: of the file, made if it is not there.
      name: of the model.
      change: gets the entry as it is, None if there is none, and returns it as it shall be; None changes nothing.
      afterwards: done when the file is written, before anybody else may change it; what it raises is passed on.

    Returns:
      The entry as it is now.

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
                write_whole(path, merged(text, after, path))
        except OSError as error:
            prune = shell_command.of("serving", "prune", "--keep", "2")
            raise UserError(
                f"The list of served models cannot be written: {error.strerror}. It is as it was. Make room, for "
                f"example with `{prune}`, or repair the permissions of its directory. Received: {path}"
            ) from error
        afterwards()
        return after or before


def write_whole(path: str, text: str) -> None:
    """Replace a file by rename, so that no reader meets half of it; raises OSError and then leaves nothing behind.

    A file that was there keeps its mode, and its owner where that is allowed. A new one can be read by everybody, for
    a server may run as another user than who writes it.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _keep_access(target, file.fileno())
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _keep_access(target: Path, handle: int) -> None:
    """Give an open file the owner and mode of the one that it will replace."""
    try:
        before = target.stat()
    except FileNotFoundError:
        os.fchmod(handle, 0o644)
        return
    with contextlib.suppress(PermissionError):  # only the superuser gives files away
        os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock beside the file; the kernel lets go of a killed process's lock."""
    target = Path(path)
    with target.with_name(f".{target.name}.lock").open("a", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list of served models cannot be read: {error}. Received: {path}") from error


def _parse(text: str, where: str) -> protos.ModelServerConfig:
    whole = protos.ModelServerConfig()
    try:
        text_format.Parse(text, whole)
    except text_format.ParseError as error:
        up = shell_command.of("serving", "up")
        raise UserError(
            f"The list of served models is not a TF Serving model_config_list: {str(error).rstrip('.')}. Mend it, "
            f"or move it away and let `{up}` write a new one. Received: {where}"
        ) from error
    if whole.WhichOneof("config") == "custom_model_config":
        raise UserError(f"Only a model_config_list can be served, not a custom_model_config. Received: {where}")
    names = [entry.name for entry in whole.model_config_list.config]
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"Every served model needs a name of its own. Received: {names} in {where}")
    return whole


def _view(entry: protos.ModelConfig) -> ServedModel:
    chosen = entry.model_version_policy.WhichOneof("policy_choice")
    policy: Policy
    if chosen == "all":
        policy = All()
    elif chosen == "specific":
        policy = Specific(tuple(sorted(set(entry.model_version_policy.specific.versions))))
    else:  # TF Serving, too, takes no policy and no number for the one highest version
        policy = Latest(max(1, entry.model_version_policy.latest.num_versions))
    return ServedModel(entry.name, entry.base_path, policy, dict(sorted(entry.version_labels.items())))
