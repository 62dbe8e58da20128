"""The manifests conform to the published schemas and fit together. No cluster is used."""

from collections import Counter
from typing import Any

import kubernetes_validate
import pytest

from pipeline.config.serving import BatchingSettings, ResourceSettings, ServingSettings
from serving.manifests.kubernetes import manifests
from serving.manifests.objects import object_name
from serving.tf_serving.flags import flag_files, flags

ODD = ServingSettings(
    rest_port=9001,
    grpc_port=9000,
    image="registry.example.org/serving:2.20.0-gpu",
    mount_path="/srv/models",
    volume_claim="shared",
    user_id=65534,
    start_seconds=1,
    batching=BatchingSettings(mode="on", threads=4),
    resources=ResourceSettings(cpu="500m", memory="512Mi", gpus=1, min_replicas=5, max_replicas=3),
)
SETTINGS = {"defaults": ServingSettings(), "odd": ODD}


def container(made: dict[str, Any]) -> dict[str, Any]:
    (one,) = made["deployment.yaml"]["spec"]["template"]["spec"]["containers"]
    return one


@pytest.mark.parametrize("version", ["1.27", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_manifest_conforms_to_the_strict_schema(settings: ServingSettings, version: str) -> None:
    made = manifests(settings, "char_rnn")
    kinds = ["ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"]
    assert sorted(manifest["kind"] for manifest in made.values()) == kinds
    for manifest in made.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_schema_rejects_an_unknown_field() -> None:
    deployment = manifests(ServingSettings(), "char_rnn")["deployment.yaml"]
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_references_between_manifests_match(settings: ServingSettings) -> None:
    made = manifests(settings, "char_rnn")
    deployment, service = made["deployment.yaml"], made["service.yaml"]
    pod = deployment["spec"]["template"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        made["poddisruptionbudget.yaml"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= pod["metadata"]["labels"].items()
    assert made["horizontalpodautoscaler.yaml"]["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    claim = volumes["models"]["persistentVolumeClaim"]
    assert claim == {"claimName": settings.volume_claim, "readOnly": True}
    assert volumes["config"]["configMap"]["name"] == made["configmap.yaml"]["metadata"]["name"]
    one = container(made)
    assert {mount["name"] for mount in one["volumeMounts"]} == set(volumes)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert ports == {"rest": settings.rest_port, "grpc": settings.grpc_port}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert one[probe]["httpGet"]["port"] in ports
        assert one[probe]["httpGet"]["path"].startswith("/v1/models/char_rnn")
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(settings.rest_port)


def test_server_has_the_common_flags_and_their_files() -> None:
    for settings in SETTINGS.values():
        made = manifests(settings, "char_rnn")
        one = container(made)
        assert one["args"] == flags(settings, settings.mount_path, "/config")
        assert made["configmap.yaml"]["data"] == flag_files(settings)
        mounts = {mount["mountPath"]: mount for mount in one["volumeMounts"]}
        assert mounts[settings.mount_path]["readOnly"] is True
        assert "/config" in mounts


def test_settings_reach_the_manifests() -> None:
    made = manifests(ODD, "char_rnn")
    one = container(made)
    assert one["resources"]["requests"] == {"cpu": "500m", "memory": "512Mi"}
    assert one["resources"]["limits"] == {"memory": "512Mi", "nvidia.com/gpu": 1}
    assert one["startupProbe"]["failureThreshold"] == 1
    scaling = made["horizontalpodautoscaler.yaml"]["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (5, 5)


def test_changed_file_replaces_the_pods() -> None:
    def digest(settings: ServingSettings) -> str:
        metadata = manifests(settings, "m")["deployment.yaml"]["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["char-rnn/config-digest"])

    changed = ServingSettings(batching=BatchingSettings(max_rows=3))
    assert digest(ServingSettings()) == digest(ServingSettings()) != digest(changed)


@pytest.mark.parametrize("model", ["char_rnn", "poems", "a" * 40])
def test_names_of_objects_stay(model: str) -> None:
    assert object_name(model) == f"{model.replace('_', '-')}-serving"


def test_models_share_no_object() -> None:
    models = ("Poems", "poems", "my_poems", "my-poems", "p" * 41, "p" * 42, "p" * 63)
    names: Counter[tuple[str, str]] = Counter()
    labels: Counter[str] = Counter()
    for model in models:
        made = manifests(ServingSettings(volume_claim="shared"), model)
        for manifest in made.values():
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
            assert len(manifest["metadata"]["name"]) <= 63
            names[manifest["kind"], manifest["metadata"]["name"]] += 1
        labels[made["service.yaml"]["spec"]["selector"]["app.kubernetes.io/name"]] += 1
    assert set(names.values()) == set(labels.values()) == {1}


def test_servers_of_a_bucket_mount_no_volume() -> None:
    settings = ServingSettings(service_account="reader")
    made = manifests(settings, "char_rnn", "gs://bucket/serving")
    for manifest in made.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    pod = made["deployment.yaml"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "reader"
    assert not any("persistentVolumeClaim" in volume for volume in pod["volumes"])
    one = container(made)
    assert {mount["name"] for mount in one["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert "--model_config_file=gs://bucket/serving/models.config" in one["args"]
