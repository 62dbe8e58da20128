"""The Compose file is what the published Compose specification allows. No Docker daemon is touched."""

import importlib.resources
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.config.serving import BatchingSettings, ResourceSettings, ServingSettings
from serving.manifests.compose import compose
from serving.tf_serving import flags

ODD = ServingSettings(
    host="::1",
    rest_port=9001,
    grpc_port=9000,
    batching=BatchingSettings(mode="on"),
    resources=ResourceSettings(memory="512Mi", gpus=2),
)
SETTINGS = {"defaults": ServingSettings(), "odd": ODD}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The Compose specification's own schema, in the copy that check-jsonschema publishes."""
    place = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(place.read_text(encoding="utf-8"))


def service(settings: ServingSettings, directory: str = "/serving") -> dict[str, Any]:
    return compose(settings, "char_rnn", directory)["services"]["model-server"]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_specification_allows_it(settings: ServingSettings, schema: dict[str, Any]) -> None:
    jsonschema.validate(compose(settings, "char_rnn", "/serving"), schema)


def test_the_specification_would_find_a_mistake(schema: dict[str, Any]) -> None:
    wrong = compose(ServingSettings(), "char_rnn", "/serving")
    wrong["services"]["model-server"]["portz"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_the_server_gets_the_flags_of_every_server_and_finds_its_files() -> None:
    one = service(ODD)
    assert one["command"] == flags.flags(ODD, "/serving", batching=True, fixed="/config")
    mounts = {volume["target"]: volume for volume in one["volumes"]}
    assert mounts["/serving"]["source"] == "/serving"
    assert all(volume["read_only"] for volume in mounts.values())
    assert {target for target in mounts if target.startswith("/config/")} == {
        f"/config/{name}" for name in flags.files(ODD)
    }
    assert one["ports"] == ["[::1]:9001:9001", "[::1]:9000:9000"]
    assert one["deploy"]["resources"]["limits"] == {"memory": "512m"}
    assert one["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2


def test_a_dollar_sign_in_a_path_is_no_variable() -> None:
    one = service(ServingSettings(), "/srv/$HOME")
    assert one["volumes"][0]["source"] == "/srv/$$HOME"
    assert "--model_config_file=/srv/$$HOME/models.config" in one["command"]


@pytest.mark.integration
def test_docker_compose_understands_it(tmp_path: Path) -> None:
    """`docker compose config` needs the client's plugin, but no daemon."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker compose here")
    path = tmp_path / "docker-compose.yaml"
    path.write_text(yaml.safe_dump(compose(ServingSettings(), "char_rnn", str(tmp_path))))
    done = subprocess.run(
        [docker, "compose", "-f", str(path), "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
