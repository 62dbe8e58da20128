"""Objects and directories in the commands of the guides are those of the manifests."""

import re

import pytest
import yaml

from pipeline.config import overrides
from serving.commands.manifests import contents
from tests.docs import markdown

# Kinds and options of kubectl that name an object.
OBJECT = re.compile(r"\b(statefulset|deployment|svc|pod|inferenceservice)/([a-z0-9-]+)")
KINDS = {"svc": "Service"}
COMMANDS = {
    str(command): command
    for command in markdown.commands()
    if command.program == "kubectl" and command.page in ("docs/kubeflow.md", "docs/operations.md")
}
SYSTEM = {"ml-pipeline-ui"}  # objects of Kubeflow Pipelines


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """The files with a Deployment, and with an InferenceService."""
    plain = ["root=none", "cluster.image=r/i:1"]
    return {
        **contents(overrides.load("quick", [*plain, "serving.platform=kserve"])),
        **contents(overrides.load("quick", plain)),
    }


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_names_existing_objects(written: dict[str, str], command: markdown.Command) -> None:
    words = command.arguments
    if "-k" in words and "://" not in (target := words[words.index("-k") + 1]) and "github" not in target:
        assert f"{target.split('/', 1)[1]}/kustomization.yaml" in written
    objects = {
        (manifest["kind"].lower(), manifest["metadata"]["name"])
        for name, text in written.items()
        if name.startswith("kubernetes/") and (manifest := yaml.safe_load(text))["kind"] != "Kustomization"
    }
    for kind, name in OBJECT.findall(" ".join(words)):
        assert name in SYSTEM or (KINDS.get(kind, kind).lower(), name) in objects
    for word in words:
        if pod := re.fullmatch(r"(.*)-0(:.*)?", word):
            assert ("statefulset", pod[1]) in objects
    if "-n" in words:
        assert (
            words[words.index("-n") + 1]
            == yaml.safe_load(written["kubernetes/servers/kustomization.yaml"])["namespace"]
        )


def test_guides_contain_no_manifests() -> None:
    """`serving manifests` writes them, from the configuration."""
    assert not [text for block in markdown.blocks() for text in block.here_documents()]
