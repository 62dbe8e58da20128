"""The Compose file conforms to the published Compose specification. No Docker daemon is used."""

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
    """The schema of the Compose specification, from check-jsonschema."""
    place = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(place.read_text(encoding="utf-8"))


def service(settings: ServingSettings, directory: str = "/serving") -> dict[str, Any]:
    return compose(settings, "char_rnn", directory)["services"]["model-server"]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_file_conforms_to_the_specification(settings: ServingSettings, schema: dict[str, Any]) -> None:
    jsonschema.validate(compose(settings, "char_rnn", "/serving"), schema)


def test_specification_rejects_an_invalid_file(schema: dict[str, Any]) -> None:
    wrong = compose(ServingSettings(), "char_rnn", "/serving")
    wrong["services"]["model-server"]["portz"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_server_has_the_common_flags_and_their_files() -> None:
    one = service(ODD)
    assert one["command"] == flags.flags(ODD, "/serving", "/config")
    mounts = {volume["target"]: volume for volume in one["volumes"]}
    assert mounts["/serving"]["source"] == "/serving"
    assert all(volume["read_only"] for volume in mounts.values())
    assert {target for target in mounts if target.startswith("/config/")} == {
        f"/config/{name}" for name in flags.flag_files(ODD)
    }
    assert one["ports"] == ["[::1]:9001:9001", "[::1]:9000:9000"]
    assert one["deploy"]["resources"]["limits"] == {"memory": "512m"}
    assert one["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2


def test_models_share_no_project() -> None:
    names = [compose(ServingSettings(), model, "/serving")["name"] for model in ("char_rnn", "Char_RNN", "char-rnn")]
    assert names[0] == "char-rnn-serving"
    assert len(set(names)) == 3


def test_dollar_sign_in_a_path_is_escaped() -> None:
    one = service(ServingSettings(), "/srv/$HOME")
    assert one["volumes"][0]["source"] == "/srv/$$HOME"
    assert "--model_config_file=/srv/$$HOME/models.config" in one["command"]


@pytest.mark.integration
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
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
