"""What docs/kubeflow.md promises: commands parse, settings exist, manifests are valid, messages are of the code."""

import ast
import re
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kubeflow import options
from pipeline.config import overrides
from pipeline.config.run import Config

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "kubeflow.md").read_text()
BLOCKS = "\n".join(re.findall(r"(?ms)^```\w*\n(.*?)^```$", GUIDE)).replace("\\\n", " ")
COMMANDS = re.findall(r"(?m)^python -m kubeflow (.*)", BLOCKS)
SETTINGS = [line for line in BLOCKS.splitlines() if line.startswith("--set ")]
MANIFESTS = re.findall(r"(?ms)<<'EOF'\n(.*?)^EOF", BLOCKS)
# What Kubernetes, Python and Vertex AI say, in their words.
OTHERS = (
    "pod pending",
    "`0/3 nodes",
    "`Permission denied",
    "`OOMKilled",
    "`exec:",
    "Vertex:",
    "`No module",
    "the servers",
)


def test_nothing_was_overlooked() -> None:
    assert len(COMMANDS) >= 7
    assert len(SETTINGS) >= 5
    assert len(MANIFESTS) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command: str) -> None:
    words = shlex.split(command.split(" | ")[0], comments=True)
    given = options.parser().parse_args(words)
    overrides.load(given.preset, given.settings)


@pytest.mark.parametrize("line", SETTINGS)
def test_the_settings_exist(line: str) -> None:
    overrides.load("quick", [word for word in shlex.split(line) if word != "--set"])


@pytest.mark.parametrize("text", MANIFESTS)
def test_the_manifests_are_valid_and_of_the_volumes_that_are_mounted(text: str) -> None:
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


def test_our_error_messages_are_those_of_the_code() -> None:
    said = " ".join(text for package in ("kubeflow", "components") for text in _texts(ROOT / package))
    first_cells = [row.split("|")[1].strip() for row in GUIDE.split("## When something goes wrong")[1].splitlines()[4:]]
    ours = [cell for cell in first_cells if not cell.startswith(OTHERS)]
    assert len(ours) >= 10
    for cell in ours:
        message = re.search(r"(`+)(.*?)\1", cell)
        assert message, cell
        for part in message[2].removeprefix("error: ").split("..."):
            assert part.strip() in said, cell


def _texts(package: Path) -> list[str]:
    """All texts of a package's code, those in several pieces joined."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(part.value) for part in node.values if isinstance(part, ast.Constant)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found
