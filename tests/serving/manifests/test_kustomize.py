"""The directories build with kustomize; without it, their files are compared with the lists of resources."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pipeline.config import overrides
from serving.commands.manifests import contents
from serving.manifests.kustomize import manifests

CASES: dict[str, list[str]] = {
    "volumes": [],
    "kserve": ["serving.platform=kserve", "cluster.namespace=profile"],
    "serving bucket": ["cluster.serving_dir=gs://bucket/serving"],
    "buckets": ["cluster.serving_dir=gs://bucket/serving", "cluster.root=gs://bucket/state"],
}


@pytest.mark.parametrize("case", CASES)
def test_kustomizations_list_all_objects(case: str) -> None:
    config = overrides.load("quick", CASES[case])
    made = manifests(config, "", config.cluster.serving_dir)
    kustomizations = {path: made.pop(path) for path in list(made) if path.endswith("kustomization.yaml")}
    groups = ["servers"] if case == "buckets" else ["pipeline", "servers"]
    assert list(kustomizations) == ["kustomization.yaml", *(f"{group}/kustomization.yaml" for group in groups)]
    assert kustomizations["kustomization.yaml"]["resources"] == list(made)
    listed = [
        f"{group}/{name}" for group in groups for name in kustomizations[f"{group}/kustomization.yaml"]["resources"]
    ]
    assert listed == list(made)
    assert {one["namespace"] for one in kustomizations.values()} == {config.cluster.namespace}


@pytest.mark.parametrize("platform", ["kubernetes", "kserve"])
def test_all_pods_have_the_credentials_of_the_registry(platform: str) -> None:
    settings = [f"serving.platform={platform}", 'cluster.image_pull_secrets=["registry"]']
    made = manifests(overrides.load("quick", settings), "")
    servers = "servers/deployment.yaml" if platform == "kubernetes" else "servers/inferenceservice.yaml"
    for name in ("pipeline/statefulset.yaml", servers):
        spec = made[name]["spec"]
        pod = spec["predictor"] if "predictor" in spec else spec["template"]["spec"]
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


@pytest.fixture(scope="module")
def kubectl() -> str:
    path = shutil.which("kubectl")
    if path is None:
        pytest.skip("kubectl is not installed")
    return path


def build(kubectl: str, directory: Path) -> list[dict[str, Any]]:
    done = subprocess.run([kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns of deprecated fields"
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.integration
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_kubectl_builds_the_directories(settings: list[str], kubectl: str, tmp_path: Path) -> None:
    config = overrides.load("quick", [*settings, f"root={tmp_path}/none"])
    written: list[dict[str, Any]] = []
    for name, text in contents(config).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.startswith("kubernetes/") and not name.endswith("kustomization.yaml"):
            written.append(yaml.safe_load(text))
    built = build(kubectl, tmp_path / "kubernetes")
    for manifest in written:
        manifest["metadata"]["namespace"] = config.cluster.namespace
        assert manifest in built
        if manifest["kind"] != "InferenceService":
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    assert len(built) == len(written)
    groups = [path.parent for path in (tmp_path / "kubernetes").glob("*/kustomization.yaml")]
    parts = [manifest for group in groups for manifest in build(kubectl, group)]
    assert sorted(map(str, parts)) == sorted(map(str, built))
