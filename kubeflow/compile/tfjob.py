"""A TFJob that trains with several workers on what a run's Transform has left.

Every worker runs the Trainer's own command of the compiled pipeline, with the `TF_CONFIG` that the training operator
gives it. The export ends below `<root>/checkpoints`, under the digest of all that decides it, where the Trainer of the
next run finds it and has nothing left to train.
"""

import hashlib
import json
import os
from typing import Any

import yaml

from components.errors import UserError
from kubeflow.compile import compiler, spec
from pipeline.config.run import Config


def render(config: Config, text: str, examples: str, transform_graph: str) -> str:
    """The manifest as YAML; see `manifest`."""
    return yaml.safe_dump(manifest(config, text, examples, transform_graph), sort_keys=False, width=120)


def manifest(config: Config, text: str, examples: str, transform_graph: str) -> dict[str, Any]:
    """The manifest of the job.

    Args:
      text: of the compiled pipeline.
      examples: URI of Transform's `transformed_examples`, in a bucket (gs://) or in the state volume.
      transform_graph: URI of Transform's `transform_graph`.

    Raises:
      UserError: the workers could not open these artifacts.
    """
    compiled = next(iter(yaml.safe_load_all(text)))
    container = spec.container(compiled, "Trainer")
    given = _inputs(config, compiled, examples, transform_graph)
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:8]
    # The operator makes pods and services of the job's name, a replica's kind and number: 63 characters in all.
    name = f"{compiled['pipelineInfo']['name'][:40].rstrip('-')}-{digest}"
    invocation = json.dumps({"inputs": given, "outputs": _outputs(config, compiled, name)}, sort_keys=True)
    # Kubernetes would take $(...) for a variable of its own.
    args = [argument.replace("{{$}}", invocation).replace("$(", "$$(") for argument in container["args"]]
    pod = config.cluster.pods.of("Trainer")
    # In thousandths and in millions, for a fraction may have more digits than Kubernetes takes.
    resources: dict[str, str] = {"cpu": f"{pod.cpu * 1000:.0f}m", "memory": f"{pod.memory_gb * 1000:.0f}M"}
    if pod.gpus:
        resources[config.cluster.gpu_resource] = str(pod.gpus)
    template: dict[str, Any] = {
        "containers": [
            {
                "name": "tensorflow",  # the operator looks for this name
                "image": container["image"],
                "command": container["command"],
                "args": args,
                "resources": {"requests": dict(resources), "limits": dict(resources)},
            }
        ]
    }
    if "://" not in config.cluster.root:
        template["containers"][0]["volumeMounts"] = [{"name": "state", "mountPath": config.cluster.root}]
        template["volumes"] = [{"name": "state", "persistentVolumeClaim": {"claimName": config.cluster.state_claim}}]
    if config.cluster.service_account:
        template["serviceAccountName"] = config.cluster.service_account
    if pod.node_selector:
        template["nodeSelector"] = dict(label.split("=", 1) for label in pod.node_selector)
    if pod.tolerations:
        template["tolerations"] = [toleration.model_dump(exclude_defaults=True) for toleration in pod.tolerations]
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 3},
            "tfReplicaSpecs": {
                "Worker": {
                    "replicas": config.cluster.workers,
                    # A worker that is restarted goes on from the last checkpoint, with all the others.
                    "restartPolicy": "OnFailure",
                    "template": {"spec": template},
                }
            },
        },
    }


def _inputs(config: Config, compiled: spec.Spec, examples: str, transform_graph: str) -> dict[str, Any]:
    component = compiled["components"]["Trainer"]
    given = spec.tasks(compiled)["Trainer"]["inputs"]
    kinds = component["inputDefinitions"]["artifacts"]
    inputs = {}
    for name, uri in (("examples", examples), ("transform_graph", transform_graph)):
        if not uri.startswith(("gs://", os.path.join(config.cluster.root, ""))):
            raise UserError(
                "Workers have no local copies of artifacts, as tasks of a pipeline have. Let runs keep their artifacts "
                "in a bucket (cluster.pipeline_root=gs://...), or copy these two into the state volume, below "
                f"{config.cluster.root}. Received: {name}={uri}"
            )
        artifact: dict[str, Any] = {"uri": uri, "type": kinds[name]["artifactType"]}
        if name == "examples":
            artifact["metadata"] = {
                "split_names": '["train", "eval"]',
                "payload_format": "FORMAT_TF_EXAMPLE",
                # TFX names the folders of splits by the version that made them.
                "tfx_version": compiled["sdkVersion"].removeprefix("tfx-"),
            }
        inputs[name] = {"artifacts": [artifact]}
    defaults = compiled["root"]["inputDefinitions"]["parameters"]
    values = {
        name: defaults[source["componentInputParameter"]]["defaultValue"]
        if "componentInputParameter" in source
        else source["runtimeValue"]["constant"]
        for name, source in given["parameters"].items()
    }
    return {"parameterValues": values, "artifacts": inputs}


def _outputs(config: Config, compiled: spec.Spec, job: str) -> dict[str, Any]:
    """Places that no other job has; what counts ends below the checkpoints."""
    outputs = {}
    for name, output in compiled["components"]["Trainer"]["outputDefinitions"]["artifacts"].items():
        uri = f"{compiler.places(config).root}/tfjob/{job}/{name}"
        outputs[name] = {"artifacts": [{"uri": uri, "type": output["artifactType"]}]}
    return {"artifacts": outputs, "outputFile": "/tmp/kfp_outputs/output_metadata.json"}
