"""InferenceService and TFJob have the fields that KServe and the training operator publish, in packages of PyPI.

Both packages bring dependencies that conflict with TFX, so they are not installed: their generated classes are read as
text. Pods inside the two documents are validated against Kubernetes' schema elsewhere.
"""

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kubeflow.compile import tfjob
from kubeflow.compile.compiler import compile_pipeline
from pipeline.config import overrides
from serving.manifests import kubernetes

pytestmark = [pytest.mark.integration, pytest.mark.slow]
UV = Path(__file__).resolve().parents[1] / ".tools" / "bin" / "uv"
PRIMITIVES: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "bool": bool, "object": object}
REQUIRED = re.compile(r"`(\w+)`, must not be `None`")
CLASS = re.compile(r"^class (\w+)\(object\):$", re.MULTILINE)


class Types:
    """The classes of a package made by OpenAPI Generator."""

    def __init__(self, package: str, directory: Path) -> None:
        command = [str(UV), "pip", "install", "--quiet", "--no-deps", "--target", str(directory), package]
        subprocess.run(command, check=True, timeout=120)
        self._sources = {}
        for path in directory.rglob("models/*.py"):
            if found := CLASS.search(text := path.read_text(encoding="utf-8")):
                self._sources[found[1]] = text

    def check(self, kind: str, value: Any, place: str = "") -> None:
        """Check a value and all that it contains, except Kubernetes' own types."""
        if item := re.fullmatch(r"list\[(.*)\]", kind):
            for element in value:
                self.check(item[1], element, f"{place}[]")
        elif item := re.fullmatch(r"dict\(str, (.*)\)", kind):
            for key, element in value.items():
                self.check(item[1], element, f"{place}.{key}")
        elif kind in PRIMITIVES:
            assert isinstance(value, PRIMITIVES[kind]), f"{place}: {value!r} is not {kind}"
        elif kind in self._sources:
            self._check_object(kind, value, place)
        else:
            assert kind.startswith(("V1", "K8sIo")), f"{place}: the package does not define {kind}"

    def _check_object(self, kind: str, value: dict[str, Any], place: str) -> None:
        source = self._sources[kind]
        tables = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Dict)
        }
        names = {public: name for name, public in tables["attribute_map"].items()}
        assert value.keys() <= names.keys(), f"{place}: unknown {value.keys() - names.keys()} in {kind}"
        assert {tables["attribute_map"][name] for name in REQUIRED.findall(source)} <= value.keys()
        for public, element in value.items():
            self.check(tables["openapi_types"][names[public]], element, f"{place}.{public}")


def test_inference_service(tmp_path: Path) -> None:
    types = Types("kserve==0.21.0", tmp_path)
    settings = overrides.load("quick", ["serving.platform=kserve", "serving.service_account=reader"]).serving
    made = kubernetes.manifests(settings, "char_rnn")["inferenceservice.yaml"]
    types.check("V1beta1InferenceService", made)
    made["spec"]["predictor"]["scaleTargets"] = 1
    with pytest.raises(AssertionError, match="scaleTargets"):
        types.check("V1beta1InferenceService", made)


def test_tfjob(tmp_path: Path) -> None:
    types = Types("kubeflow-training==1.9.4", tmp_path)
    config = overrides.load("quick", ["cluster.image=i:1", "corpus.source=sample", "cluster.pods.Trainer.gpus=1"])
    made = tfjob.manifest(config, compile_pipeline(config, "kfp"), "gs://b/examples", "gs://b/graph")
    types.check("KubeflowOrgV1TFJob", made)
    del made["spec"]["runPolicy"]
    with pytest.raises(AssertionError):
        types.check("KubeflowOrgV1TFJob", made)
