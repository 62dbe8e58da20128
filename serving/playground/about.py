"""Description of the model for the page: versions and labels from its server, perplexity and corpus from the registry.

A registry on a local disk is read without TensorFlow, so that the page starts at once.
"""

import asyncio
import contextlib
import dataclasses
import functools
import json
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

from components.models import cards, registry, versions
from serving.client import status
from serving.client.status import VersionStatus
from serving.graph.generation_config import PLACE
from serving.playground.relay import Upstream, UpstreamError

LABELS = ("stable", "canary")  # TF Serving has no route that lists labels, so these are requested by name
_FACTS = ("perplexity", "bits_per_character", "corpus", "pushed_at")
_CACHE_SECONDS = 1.0  # many open pages cost the model server no more than one
_REGISTRY_SECONDS = 2.0  # time to wait for the registry; reading a bucket continues in the background
_log = logging.getLogger(__name__)


class About:
    """Answers `/about`.

    Example: `test_versions_labels_figures_and_limits` in tests/serving/playground/test_about.py.
    """

    def __init__(self, upstream: Upstream, registry: str | None) -> None:
        """Describe the model of this server; `registry` is a directory, or None for no facts and limits."""
        self._upstream, self._registry = upstream, registry
        self._registered: dict[str, dict[str, Any]] = {}
        self._reading: asyncio.Future[dict[str, dict[str, Any]]] | None = None
        self._lock = asyncio.Lock()
        self._cached: tuple[float, dict[str, Any]] | None = None

    async def describe(self) -> dict[str, Any]:
        """Return the state of the server and of its versions, newest first.

        Returns:
          `model`; `server` with `url`, `state` (available, loading, unreachable) and `message`; `versions`, each with
          `version` (a string, because numbers may exceed JavaScript's range), `state`, `message`, `labels`, `facts`
          (of the registry, or None), `limits` (of the export, or None) and `card` (whether it has a model card).
        """
        async with self._lock:
            if self._cached is None or time.monotonic() - self._cached[0] > _CACHE_SECONDS:
                answer = await self._describe()
                self._cached = (time.monotonic(), answer)
            return self._cached[1]

    async def _describe(self) -> dict[str, Any]:
        server = {"url": self._upstream.url, "state": "available", "message": ""}
        versions: list[dict[str, Any]] = []
        try:
            _, body = await self._upstream.request("GET")
            response = _object(body)
            with contextlib.suppress(ValueError):  # not a status, for example an error
                versions = [_version(one) for one in status.parse(response)]
            if not any(version["state"] == status.AVAILABLE for version in versions):
                server |= {"state": "loading", "message": str(response.get("error", ""))}
            else:
                await self._add_labels(versions)
        except UpstreamError as error:
            server |= {"state": "unreachable", "message": error.message}
        by_version = await self._read_registry() if versions else {}
        for version in versions:
            entry = by_version.get(version["version"], {})
            version |= {name: entry.get(name) for name in ("facts", "limits", "card")}
        return {"model": self._upstream.model, "server": server, "versions": versions}

    async def _add_labels(self, versions: list[dict[str, Any]]) -> None:
        for label in LABELS:
            code, body = await self._upstream.request("GET", f"/labels/{label}/metadata")
            spec = _object(body).get("model_spec") if code == 200 else None
            for version in versions:
                if isinstance(spec, dict) and spec.get("version") == version["version"]:
                    version["labels"].append(label)

    async def _read_registry(self) -> dict[str, dict[str, Any]]:
        """Return what the registry holds, or held when it was last read in time."""
        if self._registry is None:
            return {}
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(read_registry, self._registry))
        done, _ = await asyncio.wait((self._reading,), timeout=_REGISTRY_SECONDS)
        if done:
            reading, self._reading = self._reading, None
            try:
                self._registered = reading.result()
            except Exception as error:  # of any type: each bucket's library has its own; the page works without it
                _log.warning("The registry %s cannot be read: %s", self._registry, error)
        return self._registered


def read_registry(directory: str) -> dict[str, dict[str, Any]]:
    """Read what the page shows of each pushed version; entries that cannot be read are skipped.

    Args:
      directory: the registry of one model, local or on a file system that TensorFlow supports.

    Returns:
      By version number, as a string: `facts` (perplexity, bits_per_character, corpus, pushed_at), `limits` (of the
      export, or None) and `card` (whether it has a model card). Versions that now are models of other roots are left
      out.
    """
    return {
        str(entry.version): {
            "facts": _facts(entry),
            "limits": _limits(entry.served),
            "card": cards.exists(entry.served),
        }
        for entry in registry.entries(directory)
        if not _is_replaced(entry)
    }


def read_card(directory: str, version: int) -> str | None:
    """Return the model card of a pushed version, Markdown; None if there is none.

    Args:
      directory: as in `read_registry`.
    """
    entry = next((one for one in registry.entries(directory) if one.version == version), None)
    return cards.read(entry.served) if entry and not _is_replaced(entry) else None


def _is_replaced(entry: registry.Entry) -> bool:
    """Whether this machine serves another model under this number, which another root has pushed."""
    try:
        changed = os.stat(os.path.join(entry.served, versions.SAVED_MODEL)).st_mtime_ns
        return bool(entry.digest) and not _holds(entry.served, entry.digest, changed)
    except OSError:  # deleted, not readable, or on another machine
        return False


@functools.lru_cache(maxsize=100)  # the page asks every second
def _holds(served: str, digest: str, changed: int) -> bool:  # noqa: ARG001 - a version that was replaced is read again
    return versions.holds(served, digest)


def _facts(entry: registry.Entry) -> dict[str, Any]:
    return {key: _known(getattr(entry, key)) for key in _FACTS}


def _known(value: Any) -> Any:
    """Return None for an empty text, and for a number that JSON cannot represent."""
    return None if value == "" or (isinstance(value, float) and not math.isfinite(value)) else value


def _limits(served: str) -> dict[str, Any] | None:
    if "://" in served:
        from serving.graph import generation_config

        limits = generation_config.read(served)
        return None if limits is None else dataclasses.asdict(limits)
    try:
        return _object(Path(served, PLACE).read_bytes()) or None
    except OSError:
        return None


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _version(one: VersionStatus) -> dict[str, Any]:
    return {"version": str(one.version), "state": one.state, "message": one.error_message, "labels": []}
