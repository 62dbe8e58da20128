"""The claims, and the shell that prepares the volumes; its commands run here on directories."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from components.errors import UserError
from kubeflow.compile.pods import serving_dir
from pipeline.config import overrides
from pipeline.config.run import Config
from serving.manifests.volumes import manifests

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = ("1.27", kubernetes_validate.latest_version())
STATE, SERVING = "persistentvolumeclaim-state.yaml", "persistentvolumeclaim-serving.yaml"


def pod(config: Config) -> dict[str, Any]:
    return manifests(config, "", None)["statefulset.yaml"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "settings", [[], ["cluster.image=r/i:1", "cluster.access_mode=ReadWriteMany", "cluster.storage_class=nfs"]]
)
def test_every_manifest_conforms_to_the_strict_schema(settings: list[str], version: str) -> None:
    made = manifests(overrides.load("quick", settings), "model_config_list {}", None)
    assert list(made) == [STATE, SERVING, "configmap.yaml", "statefulset.yaml"]
    for manifest in made.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_claims_have_the_configured_access_mode_and_class() -> None:
    for settings, mode, storage in (
        ([], "ReadWriteOnce", None),
        (["cluster.access_mode=ReadWriteMany", "cluster.storage_class=nfs"], "ReadWriteMany", "nfs"),
    ):
        made = manifests(overrides.load("quick", [*settings, "cluster.state_size=7Gi"]), "", None)
        for name, size in ((STATE, "7Gi"), (SERVING, "10Gi")):
            spec = made[name]["spec"]
            assert spec["accessModes"] == [mode]
            assert spec.get("storageClassName") == storage
            assert spec["resources"]["requests"]["storage"] == size


@pytest.mark.parametrize("setting", ["cluster.root=/models/", "serving.volume_claim=char-rnn-state"])
def test_state_and_models_in_the_same_place_are_refused(setting: str) -> None:
    with pytest.raises(UserError, match=r"are two volumes: .*Received: char-rnn-state, mounted at /m.*; .* at /models"):
        manifests(overrides.load("quick", [setting]), "", None)
    assert manifests(overrides.load("quick", [setting]), "", "gs://bucket/serving")


def test_claims_belong_to_no_model() -> None:
    """Deleting a model's objects by label must not delete the versions of all models."""
    one, other = (manifests(Config(model_name=model), "", None) for model in ("poems", "Poems"))
    for name in (STATE, SERVING):
        assert one[name] == other[name]
    assert one["statefulset.yaml"]["metadata"]["name"] != other["statefulset.yaml"]["metadata"]["name"]


def test_shell_mounts_the_volumes_of_the_pipelines_pods() -> None:
    config = Config()
    volumes = {volume["name"]: volume for volume in pod(config)["volumes"]}
    (shell,) = pod(config)["containers"]
    mounted = {
        mount["mountPath"]: volumes[mount["name"]]["persistentVolumeClaim"]["claimName"]
        for mount in shell["volumeMounts"]
    }
    assert mounted == {
        config.cluster.root: config.cluster.state_claim,
        serving_dir(config): config.serving.volume_claim,
    }
    assert volumes["config"]["configMap"]["name"] == manifests(config, "", None)["configmap.yaml"]["metadata"]["name"]


def test_volumes_belong_to_the_user_of_the_image() -> None:
    user = re.search(r"^USER (\d+):0$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user is not None
    owner, copy = pod(Config())["initContainers"]
    assert owner["env"] == [{"name": "OWNER", "value": user[1]}]
    (shell,) = pod(Config())["containers"]
    assert shell["securityContext"]["runAsUser"] == copy["securityContext"]["runAsUser"] == int(user[1])


def test_shell_is_the_pipelines_image_where_it_is_known() -> None:
    """It then has `promote`, `rollback` and `prune`."""
    spec = pod(overrides.load("quick", ["cluster.image=registry.example/char-rnn:1"]))
    images = {one["image"] for one in [*spec["containers"], *spec["initContainers"]]}
    assert images == {"registry.example/char-rnn:1"}


def test_buckets_need_no_volume() -> None:
    config = overrides.load("quick", ["cluster.root=gs://bucket/state"])
    made = manifests(config, "", None)
    assert list(made) == [SERVING, "configmap.yaml", "statefulset.yaml"]
    assert manifests(config, "", "gs://bucket/serving") == {}
    made = manifests(Config(), "", "gs://bucket/serving")
    assert list(made) == [STATE, "statefulset.yaml"]
    for manifest in made.values():
        kubernetes_validate.validate(manifest, VERSIONS[1], strict=True)
    assert [one["name"] for one in made["statefulset.yaml"]["spec"]["template"]["spec"]["initContainers"]] == ["owner"]


def run(container: dict[str, Any], places: dict[str, Path], **environment: str) -> None:
    """Run a container's command with its paths replaced."""
    command = [str(places.get(word, word)) for word in container["command"]]
    declared = {one["name"]: one["value"] for one in container.get("env", [])}
    subprocess.run(command, env={**os.environ, **declared, **environment}, check=True, timeout=10)


@pytest.mark.integration
def test_first_models_config_is_copied_once(tmp_path: Path) -> None:
    _, copy = pod(Config())["initContainers"]
    source, target = tmp_path / "source", tmp_path / "target"
    places = {"/config/models.config": source, "/models/models.config": target}
    source.write_text("first")
    run(copy, places)
    assert target.read_text() == "first"
    target.write_text("written by promote")
    run(copy, places)
    assert target.read_text() == "written by promote"


@pytest.mark.integration
def test_new_volume_changes_its_owner(tmp_path: Path) -> None:
    owner, _ = pod(Config())["initContainers"]
    places = {"/mnt/state": tmp_path / "state", "/models": tmp_path / "with space"}
    for place in places.values():
        place.mkdir()
    me = str(os.getuid())
    before = [os.stat(place)[stat.ST_CTIME] for place in places.values()]
    run(owner, places, OWNER=me, PATH="/nonexistent:/usr/bin:/bin")
    assert [os.stat(place)[stat.ST_CTIME] for place in places.values()] == before
    if me != "0":
        pytest.skip("only root may give directories away")
    run(owner, places)
    assert {os.stat(place).st_uid for place in places.values()} == {1000}
