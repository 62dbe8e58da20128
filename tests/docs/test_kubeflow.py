"""The manifests of docs/kubeflow.md are valid, and use the volumes that the pods mount."""

import kubernetes_validate
import pytest
import yaml

from pipeline.config.run import Config
from tests.docs import markdown

MANIFESTS = [text for block in markdown.blocks() for text in block.here_documents()]


def test_manifests_are_found() -> None:
    assert len(MANIFESTS) == 2


@pytest.mark.parametrize("text", MANIFESTS)
def test_manifest_is_valid_and_uses_the_mounted_volumes(text: str) -> None:
    manifest = yaml.safe_load(text)
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    state, serving = Config().cluster.state_claim, Config().serving.volume_claim
    if manifest["kind"] == "PersistentVolumeClaim":
        assert manifest["metadata"]["name"] == state
    else:
        volumes = {volume["name"]: volume["persistentVolumeClaim"] for volume in manifest["spec"]["volumes"]}
        (container,) = manifest["spec"]["containers"]
        mounted = {mount["mountPath"]: volumes[mount["name"]]["claimName"] for mount in container["volumeMounts"]}
        assert mounted == {Config().cluster.root: state, Config().serving.mount_path: serving}
