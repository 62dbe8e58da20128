"""The InferenceService. `test_published_schemas` compares it with KServe's published types; no cluster is used."""

import kubernetes_validate

from pipeline.config.serving import ResourceSettings, ServingSettings
from serving.manifests.kubernetes import manifests

VERSION = kubernetes_validate.latest_version()
# Fields of a predictor that are not a pod's.
OWN_FIELDS = {
    "minReplicas": int,
    "maxReplicas": int,
    "scaleMetric": str,
    "scaleTarget": int,
    "timeout": int,
    "labels": dict,
    "annotations": dict,
    "deploymentStrategy": dict,
}


def settings(**values: object) -> ServingSettings:
    return ServingSettings.model_validate({"platform": "kserve", **values})


def test_inference_service_replaces_deployment_service_and_autoscaler() -> None:
    made = manifests(settings(), "char_rnn")
    assert sorted(made) == ["configmap.yaml", "inferenceservice.yaml", "poddisruptionbudget.yaml"]
    service = made["inferenceservice.yaml"]
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Standard"}


def test_predictor_is_a_valid_pod_with_fields_of_kserve() -> None:
    predictor = manifests(settings(service_account="reader"), "char_rnn")["inferenceservice.yaml"]["spec"]["predictor"]
    for name, kind in OWN_FIELDS.items():
        assert isinstance(predictor[name], kind)
    pod = {name: value for name, value in predictor.items() if name not in OWN_FIELDS}
    metadata = {"name": "x", "labels": predictor["labels"], "annotations": predictor["annotations"]}
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}, VERSION, strict=True
    )
    budget = manifests(settings(), "char_rnn")["poddisruptionbudget.yaml"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= predictor["labels"].items()


def test_servers_are_those_of_the_deployment() -> None:
    """With the same flags, so that labels, batching and metrics work, and the model keeps its name in requests."""
    for bucket in (None, "gs://bucket/serving"):
        deployment = manifests(ServingSettings(), "char_rnn", bucket)["deployment.yaml"]
        pod = deployment["spec"]["template"]["spec"]
        predictor = manifests(settings(), "char_rnn", bucket)["inferenceservice.yaml"]["spec"]["predictor"]
        (plain,), (container,) = pod.pop("containers"), predictor.pop("containers")
        assert {name: predictor[name] for name in pod} == pod
        assert container["name"] == "kserve-container"
        assert container["ports"][0]["name"] == "rest"  # KServe routes requests to the first port
        assert {**container, "name": plain["name"], "resources": plain["resources"]} == plain


def test_request_above_one_core_is_not_above_the_limit() -> None:
    """KServe adds a limit of one core to a container that has none."""
    made = manifests(settings(resources=ResourceSettings(cpu="4")), "char_rnn")
    (container,) = made["inferenceservice.yaml"]["spec"]["predictor"]["containers"]
    assert container["resources"]["limits"]["cpu"] == container["resources"]["requests"]["cpu"] == "4"
