"""The small KFP server as a fixture."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """State of a running server. The module is loaded by path: a package `tests` of the index may hide ours."""
    name = "kfp_server_for_tests"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, Path(__file__).with_name("kfp_server.py"))
        assert found
        assert found.loader
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    from kubeflow.deploy import responses, server

    monkeypatch.setattr(server, "RETRY_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(responses, "TIMEOUTS", (1.0, 1.0))
    for variable in ("KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with sys.modules[name].running() as running:
        yield running
