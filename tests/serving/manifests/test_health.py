"""The health check of Compose and the readiness probe of Kubernetes, against real responses of the REST API."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from pipeline.config.serving import ServingSettings
from serving.embedded.metrics import Metrics
from serving.embedded.models.served import ServedVersions, Version
from serving.embedded.rest.app import Server, ServerLimits
from serving.embedded.statuses import RequestError
from serving.manifests.compose import compose
from serving.manifests.kubernetes import manifests
from serving.tf_serving.model_config import All, ServedModel

pytestmark = pytest.mark.integration
LOADED = SimpleNamespace(model=SimpleNamespace(metadata={}), batched=True, close=lambda: None)


class Catalogue:
    """One model, `AVAILABLE`, whose versions load as the test wants."""

    def __init__(self, base: Path, outcomes: dict[int, str], release: threading.Event) -> None:
        for number in outcomes:
            (base / str(number)).mkdir()
        self._outcomes, self._release = outcomes, release
        self._loading = {number: threading.Event() for number, outcome in outcomes.items() if outcome == "loading"}
        self._served = ServedVersions(ServedModel("AVAILABLE", str(base), All()), self._load)
        self._thread = threading.Thread(target=self._served.reconcile)

    def _load(self, name: str, directory: str) -> Any:
        number = int(Path(directory).name)
        if number in self._loading:
            self._loading[number].set()
            self._release.wait()
        if self._outcomes[number] == "fails":
            raise RequestError("UNAVAILABLE", 'not "AVAILABLE": a file of the model cannot be read')
        return LOADED

    def start(self) -> None:
        self._thread.start()
        for begun in self._loading.values():
            begun.wait()
        if not self._loading:
            self._thread.join()

    def close(self) -> None:
        self._release.set()
        self._thread.join()

    def knows(self, name: str) -> bool:
        return True

    def model(self, name: str, number: int | None, label: str | None) -> ServedVersions:
        return self._served

    def status(self, name: str, number: int | None) -> list[Version]:
        return self._served.versions()


@pytest.fixture
def serve(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[dict[int, str]], int]]:
    """Serve versions with these outcomes of loading; returns the port."""
    port, stops = free_port(), []

    def start(outcomes: dict[int, str]) -> int:
        catalogue = Catalogue(tmp_path, outcomes, threading.Event())
        limits = ServerLimits(timeout_seconds=5.0, body_bytes=1_000, requests=3)
        app = Server(catalogue, Metrics(), limits).application()  # type: ignore[arg-type]
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        stops.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        return port

    yield start
    for server, thread in stops:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    ("outcomes", "states", "ready"),
    [
        ({1: "loads"}, ["AVAILABLE"], True),
        ({1: "loading"}, ["LOADING"], False),
        ({1: "fails"}, ["END"], False),
        ({1: "loads", 2: "fails"}, ["END", "AVAILABLE"], True),
        ({1: "fails", 2: "loading"}, ["LOADING"], False),
        ({1: "fails", 2: "fails"}, ["END", "END"], False),
    ],
)
def test_server_is_ready_when_a_version_can_be_used(
    serve: Callable[[dict[int, str]], int], outcomes: dict[int, str], states: list[str], ready: bool
) -> None:
    port = serve(outcomes)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        status = client.get("/v1/models/AVAILABLE")
        assert status.status_code == 200
        assert [one["state"] for one in status.json()["model_version_status"]] == states
        assert ("UNAVAILABLE" in status.text) == ("END" in states)  # the code of the error
        settings = ServingSettings(rest_port=port)
        (container,) = manifests(settings, "AVAILABLE")["deployment.yaml"]["spec"]["template"]["spec"]["containers"]
        probe = client.get(container["readinessProbe"]["httpGet"]["path"])
    assert (200 <= probe.status_code < 400) is ready
    assert (check(settings) == 0) is ready


def test_no_server_is_not_ready(free_port: Callable[[], int]) -> None:
    assert check(ServingSettings(rest_port=free_port())) != 0


def check(settings: ServingSettings) -> int:
    """Run the health check of the Compose file as Docker does; returns its exit code."""
    service = compose(settings, "AVAILABLE", "/serving")["services"]["model-server"]
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    command = [word.replace("$$", "$") for word in command]  # as Compose reads it
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode
