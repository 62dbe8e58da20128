"""The input cut into shards by number of lines, and the directory that holds the finished ones next to the output.

A shard's file appears complete, by a rename, so a job resumes with those that are missing. The manifest states what
the shards were made from. Paths may be URLs of any file system that TensorFlow supports.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorflow import errors
from tensorflow.io import gfile

from components import files
from components.command_line import counted
from components.errors import UserError

_ERROR = re.compile(rb'\{"line": \d+, "error": ')
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Shard:
    """Consecutive lines of the input.

    Attributes:
      number: from 0.
      offset: of its first byte.
      size: in bytes.
      first_line: number of its first line, from 1.
    """

    number: int
    offset: int
    size: int
    first_line: int


@dataclass(frozen=True)
class Input:
    """The input: SHA-256 of its content, number of lines, and shards."""

    digest: str
    lines: int
    shards: Sequence[Shard]


def scan(path: str, shard_lines: int) -> Input:
    """Read the input once and cut it into shards of this many lines.

    Lines end with a line feed, which the last one may lack.

    Raises:
      UserError: it cannot be read.
    """
    digest, shards = hashlib.sha256(), list[Shard]()
    lines = offset = start = 0
    try:
        with _open(path) as file:
            for line in file:
                digest.update(line)
                offset += len(line)
                lines += 1
                if lines % shard_lines == 0:
                    shards.append(Shard(len(shards), start, offset - start, lines - shard_lines + 1))
                    start = offset
    except (OSError, ValueError, errors.OpError) as error:
        raise UserError(f"The input cannot be read: {_reason(error)}. Received: {path}") from error
    if start < offset:
        shards.append(Shard(len(shards), start, offset - start, shard_lines * len(shards) + 1))
    return Input(digest.hexdigest(), lines, shards)


def read(path: str, shard: Shard) -> list[bytes]:
    """Read the lines of a shard.

    Raises:
      UserError: the input is shorter than it was.
    """
    with _open(path) as file:
        file.seek(shard.offset)
        content = file.read(shard.size)
    if len(content) < shard.size:
        raise UserError(f"The input has changed during the job. Start over with --restart. Received: {path}")
    lines: list[bytes] = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


class Directory:
    """The directory of a job's shards: `<output>.shards`.

    Example: tests/serving/bulk/test_shards.py.
    """

    def __init__(self, output: str) -> None:
        """Take the path of the job's output."""
        self.output = output
        self.path = f"{output}.shards"

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Create and lock the directory; wait while another process works there. Buckets cannot be locked.

        Args:
          waiting: called if another process works there.

        Raises:
          UserError: the directory cannot be created.
        """
        try:
            gfile.makedirs(self.path)
        except (OSError, errors.OpError) as error:
            raise UserError(f"The output cannot be written: {_reason(error)}. Received: {self.output}") from error
        if "://" in self.path:
            yield
            return
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            files.lock(handle, self.path, waiting)
            yield
        finally:
            os.close(handle)

    def manifest(self) -> dict[str, Any] | None:
        """Read what the shards were made from; None: there is no manifest."""
        path = os.path.join(self.path, _MANIFEST)
        if not gfile.exists(path):
            return None
        try:
            with _open(path) as file:
                return dict(json.loads(file.read()))
        except ValueError:
            raise UserError(f"The job's manifest is damaged. Start over with --restart. Received: {path}") from None

    def holds_output(self) -> bool:
        """Whether the output exists."""
        return bool(gfile.exists(self.output))

    def write_manifest(self, values: Mapping[str, Any]) -> None:
        """Write what the shards are made from."""
        files.write(os.path.join(self.path, _MANIFEST), json.dumps(values, indent=2, sort_keys=True) + "\n")

    def clear(self) -> None:
        """Delete the shards, complete or not, but not the manifest."""
        for name in gfile.listdir(self.path):
            if name != _MANIFEST:
                gfile.remove(os.path.join(self.path, name))

    def shard(self, shard: Shard) -> str:
        """Path of a shard's output."""
        return os.path.join(self.path, f"{shard.number:06}.jsonl")

    def missing(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards whose output does not exist."""
        names = set(gfile.listdir(self.path))
        return [shard for shard in shards if os.path.basename(self.shard(shard)) not in names]

    def join(self, source: Input) -> list[int]:
        """Write the output: the shards in order; returns the numbers of the lines that are errors.

        Raises:
          UserError: a shard does not have a line for each line of the input.
        """
        failed, line = list[int](), 0
        remote = "://" in self.output
        with gfile.GFile(self.output, "wb") if remote else files.replacing(self.output) as output:
            for shard in source.shards:
                with _open(self.shard(shard)) as file:
                    for content in file:
                        line += 1
                        if _ERROR.match(content):
                            failed.append(line)
                        output.write(content)
            if line != source.lines:
                raise UserError(
                    f"The shards have {counted(line, 'line')}, and the input {source.lines:,}. Start over with "
                    f"--restart. Received: {self.path}"
                )
        return failed


def _reason(error: Exception) -> str:
    """Return what an error of the system or of TensorFlow's file systems states, without the path."""
    return getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)


def _open(path: str) -> Any:
    return gfile.GFile(path, "rb") if "://" in path else open(path, "rb")
