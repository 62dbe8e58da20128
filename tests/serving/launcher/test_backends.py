"""The choice of the server. The programs on PATH are fakes: neither TF Serving nor a Docker daemon is used."""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import UserError
from pipeline.config.serving import AccessSettings, BatchingSettings, RequestLogSettings, ServingSettings
from serving.launcher import backends
from serving.tf_serving.flags import flags

SETTINGS = ServingSettings(rest_port=1234, grpc_port=1235)
Program = Callable[[str], Path]


def calls(path: Path) -> list[list[str]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_binary_is_the_first_choice(program: Program) -> None:
    docker = program("docker")
    program("tensorflow_model_server")
    chosen = backends.choose("auto", SETTINGS, "/serving", "/serving")
    assert chosen.kind == "tensorflow_model_server"
    assert chosen.why.endswith("bin/tensorflow_model_server")
    assert list(chosen.command[1:]) == flags(SETTINGS, "/serving", "/serving")
    assert "all addresses" in chosen.note
    assert calls(docker) == []


@pytest.mark.integration
def test_docker_is_the_second_choice(program: Program) -> None:
    docker = program("docker")
    chosen = backends.choose("auto", SETTINGS, "/serving", "/serving")
    assert chosen.kind == "docker"
    assert [call[0] for call in calls(docker)] == ["info", "image"]
    command = list(chosen.command)
    after_image = command.index("tensorflow/serving:2.20.0") + 1
    assert command[after_image:] == flags(SETTINGS, "/serving", "/serving")
    options = command[:after_image]
    assert "--mount=type=bind,source=/serving,target=/serving,readonly" in options
    assert {"--publish=127.0.0.1:1234:1234", "--publish=127.0.0.1:1235:1235"} <= set(options)
    assert {"--rm", "--init", f"--user={os.getuid()}:{os.getgid()}"} <= set(options)
    name = next(option.partition("=")[2] for option in options if option.startswith("--name="))
    assert chosen.stop == ("docker", "stop", "--time=30", name)
    assert chosen.kill == ("docker", "rm", "--force", name)


@pytest.mark.integration
def test_any_path_can_be_mounted(program: Program) -> None:
    program("docker")
    place = '/my, "own" models'
    command = backends.choose("docker", SETTINGS, place, place).command
    (mount,) = (option.removeprefix("--mount=") for option in command if option.startswith("--mount="))
    assert next(csv.reader([mount])) == ["type=bind", f"source={place}", f"target={place}", "readonly"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("state", "reason"),
    [("down", "no Docker daemon responds"), ("no image", "cannot pull it"), ("", "no docker on PATH")],
)
def test_embedded_server_is_the_last_choice(
    program: Program, monkeypatch: pytest.MonkeyPatch, state: str, reason: str
) -> None:
    if state:
        program("docker")
    monkeypatch.setenv("FAKE_DOCKER", state)
    chosen = backends.choose("auto", SETTINGS, "/serving", "/serving")
    assert chosen.kind == "embedded"
    assert reason in chosen.why
    assert chosen.command[:3] == (sys.executable, "-m", "serving.embedded")
    assert "--host=127.0.0.1" in chosen.command
    assert set(flags(SETTINGS, "/serving", "/serving", checks_rows=True)) <= set(chosen.command)
    with pytest.raises(UserError, match=f"{reason}.*Received: --server docker"):
        backends.choose("docker", SETTINGS, "/serving", "/serving")


@pytest.mark.integration
def test_hanging_docker_daemon_is_skipped(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("docker")
    monkeypatch.setenv("FAKE_DOCKER", "hangs")
    monkeypatch.setattr(backends, "_DOCKER_SECONDS", 0.2)
    assert "did not respond within" in backends.choose("auto", SETTINGS, "/serving", "/serving").why


def test_explicit_server_that_is_missing_is_a_user_error(program: Program) -> None:
    program("docker")
    with pytest.raises(UserError, match="Received: --server tensorflow_model_server"):
        backends.choose("tensorflow_model_server", SETTINGS, "/serving", "/serving")
    assert backends.choose("embedded", SETTINGS, "/serving", "/serving").why == "requested"


def test_tf_serving_batches_only_if_configured(program: Program) -> None:
    program("tensorflow_model_server")
    on = SETTINGS.model_copy(update={"batching": BatchingSettings(mode="on")})
    assert "--enable_batching=true" in backends.choose("auto", on, "/serving", "/serving").command
    assert "--enable_batching=true" not in backends.choose("auto", SETTINGS, "/serving", "/serving").command


@pytest.mark.integration
def test_flag_files_may_be_in_another_directory(program: Program) -> None:
    program("docker")
    command = backends.choose("docker", SETTINGS, "/serving", "/fixed").command
    mounts = [option for option in command if option.startswith("--mount=")]
    assert mounts == [f"--mount=type=bind,source={place},target={place},readonly" for place in ("/serving", "/fixed")]
    embedded = backends.choose("embedded", SETTINGS, "/serving", "/fixed").command
    for chosen in (command, embedded):
        assert "--monitoring_config_file=/fixed/monitoring.config" in chosen
        assert "--model_config_file=/serving/models.config" in chosen


def test_what_only_the_embedded_server_has_selects_it(program: Program) -> None:
    program("tensorflow_model_server")
    access = AccessSettings(api_key_file="keys", tls_cert="cert", tls_key="key")
    log = RequestLogSettings(file="log", text=True, max_bytes=7, files=2)
    for wanted in ("auto", "embedded"):
        chosen = backends.choose(wanted, ServingSettings(access=access, request_log=log), "/serving", "/serving")
        assert chosen.kind == "embedded"
        own = {"--api_key_file=keys", "--tls_cert=cert", "--tls_key=key", "--request_log=log", "--request_log_text"}
        assert own | {"--request_log_max_bytes=7", "--request_log_files=2"} <= set(chosen.command)
    with pytest.raises(UserError, match="Received: --server docker with serving.access.api_key_file, .*request_log"):
        backends.choose("docker", ServingSettings(access=access, request_log=log), "/serving", "/serving")
    command = backends.choose("embedded", SETTINGS, "/serving", "/serving").command
    assert not [word for word in command if word.startswith(("--api_key", "--tls", "--request_log"))]
