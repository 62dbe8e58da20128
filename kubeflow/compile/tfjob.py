"""A TFJob that trains on several workers, with the output of a run's Transform.

Every worker runs the Trainer's command of the compiled pipeline, with the `TF_CONFIG` of the training operator. The
export is stored below `<root>/checkpoints`, named after the digest of its data, configuration and code, where the
Trainer of the next run finds and reuses it.
"""

import hashlib
import json
import os
from typing import Any

import yaml

from components.errors import UserError
from kubeflow.compile import pods, spec
from pipeline.config.run import Config


def render(config: Config, text: str, examples: str, transform_graph: str) -> str:
    """Return the manifest as YAML; see `manifest`."""
    return yaml.safe_dump(manifest(config, text, examples, transform_graph), sort_keys=False, width=120)


def manifest(config: Config, text: str, examples: str, transform_graph: str) -> dict[str, Any]:
    """Return the manifest of the job.

    Args:
      text: the compiled pipeline.
      examples: URI of Transform's `transformed_examples`, in a bucket (gs://) or in the state volume.
      transform_graph: URI of Transform's `transform_graph`.

    Raises:
      UserError: the workers cannot open these artifacts.
    """
    compiled = spec.load(text)
    inputs = _inputs(config, compiled, examples, transform_graph)
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:8]
    # The operator appends the replica's type and number to the job's name; Kubernetes allows 63 characters in all.
    name = f"{compiled['pipelineInfo']['name'][:40].rstrip('-')}-{digest}"
    invocation = json.dumps({"inputs": inputs, "outputs": _outputs(config, compiled, name)}, sort_keys=True)
    worker = {
        "replicas": config.cluster.workers,
        # Pods that were killed and pods that lost them (`trainer.cluster.START_AGAIN`) start again, and resume from the
        # last checkpoint. Other errors end the job.
        "restartPolicy": "ExitCode",
        "template": _pod(config, spec.container(compiled, "Trainer"), invocation),
    }
    # No `backoffLimit`: it is for the sum over all pods, and each preemption restarts all of them.
    policy: dict[str, Any] = {"cleanPodPolicy": "Running"}
    if seconds := config.cluster.pods.of("Trainer").timeout_seconds:
        policy["activeDeadlineSeconds"] = seconds
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {"runPolicy": policy, "tfReplicaSpecs": {"Worker": worker}},
    }


def _pod(config: Config, container: dict[str, Any], invocation: str) -> dict[str, Any]:
    cluster, settings = config.cluster, config.cluster.pods.of("Trainer")
    worker: dict[str, Any] = {
        "name": "tensorflow",  # required by the operator
        "image": container["image"],
        "command": container["command"],
        # Kubernetes would expand $(...) as a variable.
        "args": [argument.replace("{{$}}", invocation).replace("$(", "$$(") for argument in container["args"]],
        "resources": {
            "requests": _resources(config, settings.cpu, settings.memory_gb),
            "limits": _resources(config, settings.cpu_limit, settings.memory_limit_gb),
        },
    }
    if settings.secret_variables:
        worker["env"] = [
            {"name": variable.name, "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}}}
            for variable in settings.secret_variables
        ]
    pod: dict[str, Any] = {"containers": [worker]}
    if "://" not in cluster.root:
        worker["volumeMounts"] = [{"name": "state", "mountPath": cluster.root}]
        pod["volumes"] = [{"name": "state", "persistentVolumeClaim": {"claimName": cluster.state_claim}}]
    if cluster.service_account:
        pod["serviceAccountName"] = cluster.service_account
    if cluster.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in cluster.image_pull_secrets]
    if settings.node_selector:
        pod["nodeSelector"] = pods.pairs(settings.node_selector)
    if settings.tolerations:
        # With the operator: Kubernetes' own default is Equal.
        pod["tolerations"] = [
            {key: value for key, value in toleration.model_dump().items() if value}
            for toleration in settings.tolerations
        ]
    metadata = {"labels": pods.pairs(settings.labels), "annotations": pods.pairs(settings.annotations)}
    metadata = {kind: values for kind, values in metadata.items() if values}
    return ({"metadata": metadata} if metadata else {}) | {"spec": pod}


def _resources(config: Config, cores: float, gigabytes: float) -> dict[str, str]:
    """Return millicores and MB, because Kubernetes limits the digits of fractions, and the GPUs."""
    gpus = config.cluster.pods.of("Trainer").gpus
    resources = {"cpu": f"{cores * 1000:.0f}m", "memory": f"{gigabytes * 1000:.0f}M"}
    return resources | ({config.cluster.gpu_resource: str(gpus)} if gpus else {})


def _inputs(config: Config, compiled: spec.Spec, examples: str, transform_graph: str) -> dict[str, Any]:
    types = spec.component(compiled, "Trainer")["inputDefinitions"]["artifacts"]
    artifacts = {}
    for name, uri in (("examples", examples), ("transform_graph", transform_graph)):
        # Normalized: `..` could lead out of the volume.
        if not (uri.startswith("gs://") or os.path.normpath(uri).startswith(os.path.join(config.cluster.root, ""))):
            raise UserError(
                "Workers have no local copies of artifacts, as tasks of a pipeline have. Let runs keep their artifacts "
                "in a bucket (cluster.pipeline_root=gs://...), or copy these two into the state volume, below "
                f"{config.cluster.root}. Received: {name}={uri}"
            )
        artifacts[name] = {"artifacts": [{"uri": uri, "type": types[name]["artifactType"]}]}
    artifacts["examples"]["artifacts"][0]["metadata"] = {
        "split_names": '["train", "eval"]',
        "payload_format": "FORMAT_TF_EXAMPLE",
        "tfx_version": compiled["sdkVersion"].removeprefix("tfx-"),  # determines the names of the splits' folders
    }
    parameters = spec.task_parameters(compiled, "Trainer", spec.run_parameters(compiled))
    return {"parameterValues": parameters, "artifacts": artifacts}


def _outputs(config: Config, compiled: spec.Spec, job: str) -> dict[str, Any]:
    """Return output directories of this job; the next run reads only the export below the checkpoints."""
    outputs = {}
    for name, output in spec.component(compiled, "Trainer")["outputDefinitions"]["artifacts"].items():
        uri = f"{pods.places(config).root}/tfjob/{job}/{name}"
        outputs[name] = {"artifacts": [{"uri": uri, "type": output["artifactType"]}]}
    return {"artifacts": outputs, "outputFile": "/tmp/kfp_outputs/output_metadata.json"}
