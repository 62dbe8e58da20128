"""Objects and directories in the commands of the guides are those of the manifests."""

import re

import pytest
import yaml

from pipeline.config import overrides
from pipeline.config.run import Config
from serving.commands.manifests import contents
from tests.docs import markdown

# Kinds and options of kubectl that name an object.
OBJECT = re.compile(r"\b(statefulset|deployment|svc|pod|inferenceservice)/([a-z0-9-]+)")
KINDS = {"svc": "Service"}
COMMANDS = {
    str(command): command
    for command in markdown.commands()
    if command.program == "kubectl"
    and command.page in ("docs/kubeflow.md", "docs/kubeflow_reference.md", "docs/operations.md")
}
SYSTEM = {"ml-pipeline-ui"}  # objects of Kubeflow Pipelines


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The files with a Deployment, and with an InferenceService."""
    plain = ["root=nothing-here", "cluster.image=r/i:1"]
    return {
        **contents(overrides.load("quick", [*plain, "serving.platform=kserve"])),
        **contents(overrides.load("quick", plain)),
    }


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_names_existing_objects(written: dict[str, str], command: markdown.Command) -> None:
    arguments = command.arguments
    if "-k" in arguments and not (target := arguments[arguments.index("-k") + 1]).startswith("github.com/"):
        assert f"{target.split('/', 1)[1]}/kustomization.yaml" in written
    objects = {
        (manifest["kind"].lower(), manifest["metadata"]["name"])
        for name, text in written.items()
        if name.startswith("kubernetes/") and (manifest := yaml.safe_load(text))["kind"] != "Kustomization"
    }
    for kind, name in OBJECT.findall(" ".join(arguments)):
        assert name in SYSTEM or (KINDS.get(kind, kind).lower(), name) in objects
    for word in arguments:
        if pod := re.fullmatch(r"(.*)-0(:.*)?", word):
            assert ("statefulset", pod[1]) in objects
    if "-n" in arguments:
        assert arguments[arguments.index("-n") + 1] == Config().cluster.namespace


def test_guides_contain_no_manifests() -> None:
    """`serving manifests` writes them, from the configuration."""
    assert not [text for block in markdown.blocks() for text in block.here_documents()]
