"""What the page shows of the model: versions and labels from the model server, perplexity and corpus from the registry.

TensorFlow is not imported for a registry on a local disk: the page shall be there at once.
"""

import asyncio
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

from serving.graph.generation_config import PLACE
from serving.playground.relay import Upstream, UpstreamError

LABELS = ("stable", "canary")  # TF Serving has no route that lists labels: these are asked for by name
_SHOWN = ("perplexity", "bits_per_character", "corpus", "pushed_at")
_FRESH_SECONDS = 1.0  # how old an answer may be, so that many open pages cost the model server no more than one
_REGISTRY_SECONDS = 2.0  # how long an answer waits for the registry; a bucket's goes on in the background
_log = logging.getLogger(__name__)


class About:
    """Answers `/about`."""

    def __init__(self, upstream: Upstream, registry: str | None) -> None:
        """Join what this server and this registry (None: there is none) say."""
        self._upstream, self._registry = upstream, registry
        self._facts: dict[str, dict[str, Any]] = {}
        self._reading: asyncio.Future[dict[str, dict[str, Any]]] | None = None
        self._lock = asyncio.Lock()
        self._last: tuple[float, dict[str, Any]] | None = None

    async def describe(self) -> dict[str, Any]:
        """State of the server and its versions, newest first.

        Returns:
          `model`; `server` with `url`, `state` (available, loading, unreachable) and `message`; `versions`, each with
          `version` (a string: numbers may exceed what JavaScript holds), `state`, `message`, `labels`, `facts` (of the
          registry, or None) and `limits` (of the export, or None).
        """
        async with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _FRESH_SECONDS:
                answer = await self._describe()
                self._last = (time.monotonic(), answer)
            return self._last[1]

    async def _describe(self) -> dict[str, Any]:
        server = {"url": self._upstream.url, "state": "available", "message": ""}
        versions: list[dict[str, Any]] = []
        try:
            status, body = await self._upstream.ask("GET")
            answer = _object(body)
            if status == 200:
                versions = [_version(entry) for entry in answer.get("model_version_status", [])]
            if not any(version["state"] == "AVAILABLE" for version in versions):
                server |= {"state": "loading", "message": str(answer.get("error", ""))}
            else:
                await self._label(versions)
        except UpstreamError as error:
            server |= {"state": "unreachable", "message": error.message}
        facts = await self._known() if versions else {}
        for version in versions:
            known = facts.get(version["version"], {})
            version["facts"], version["limits"] = known.get("facts"), known.get("limits")
        return {"model": self._upstream.model, "server": server, "versions": versions}

    async def _label(self, versions: list[dict[str, Any]]) -> None:
        for label in LABELS:
            status, body = await self._upstream.ask("GET", f"/labels/{label}/metadata")
            spec = _object(body).get("model_spec") if status == 200 else None
            for version in versions:
                if isinstance(spec, dict) and spec.get("version") == version["version"]:
                    version["labels"].append(label)

    async def _known(self) -> dict[str, dict[str, Any]]:
        if self._registry is None:
            return {}
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(registered, self._registry))
        done, _ = await asyncio.wait((self._reading,), timeout=_REGISTRY_SECONDS)
        if done:
            reading, self._reading = self._reading, None
            try:
                self._facts = reading.result()
            except Exception as error:  # whatever a bucket's library raises: the page works without
                _log.warning("The registry %s cannot be read: %s", self._registry, error)
        return self._facts


def registered(directory: str) -> dict[str, dict[str, Any]]:
    """Facts of each version that was pushed.

    Args:
      directory: the registry of a lineage; local, or of any file system that TensorFlow knows.

    Returns:
      For each version number, as a string, `facts` (perplexity, bits_per_character, corpus, pushed_at) and `limits`
      (the export's own, None where it does not say). An entry that is not understood is left out.
    """
    if "://" in directory:
        import dataclasses

        from components.models import registry
        from serving.graph import generation_config

        return {
            str(entry.version): {
                "facts": _shown(dataclasses.asdict(entry)),
                "limits": (found := generation_config.read(entry.served)) and dataclasses.asdict(found),
            }
            for entry in registry.entries(directory)
        }
    known = {}
    for path in sorted(Path(directory).glob("[!.]*.json")):
        entry = _read(path)
        if entry is not None and "version" in entry:
            limits_of = _read(Path(str(entry.get("served", ""))) / PLACE)
            known[str(entry["version"])] = {"facts": _shown(entry), "limits": limits_of}
    return known


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: _finite(entry.get(key)) for key in _SHOWN}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value  # JSON has no word for it


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return _object(path.read_bytes()) or None
    except OSError:
        return None


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _version(entry: dict[str, Any]) -> dict[str, Any]:
    status = entry.get("status") or {}
    return {
        "version": str(entry.get("version", "")),
        "state": str(entry.get("state", "UNKNOWN")),
        "message": str(status.get("error_message", "")),
        "labels": [],
    }
