"""The files that `manifests` writes. tests/serving/manifests/ validates them against their schemas."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.config import overrides
from pipeline.config.run import Config
from pipeline.config.serving import ServingSettings
from serving.__main__ import main
from serving.commands import manifests
from serving.manifests import compose, kubernetes
from serving.tf_serving import model_config
from serving.tf_serving.model_config import All, ServedModel, Specific


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_files_contain_the_manifests(
    root: Path, push: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(3)
    output = tmp_path / "out"
    arguments = ["manifests", "--root", str(root), "--output", str(output), "--set", "serving.rest_port=9001"]
    assert main(arguments) == 0
    written = tree(output)
    assert capsys.readouterr().out.splitlines() == [
        str(output / name) for name in manifests.contents(Config(root=str(root)))
    ]
    settings = ServingSettings(rest_port=9001)
    assert yaml.safe_load(written["docker-compose.yaml"]) == compose.compose(
        settings, "char_rnn", str(root / "serving")
    )
    for name, manifest in kubernetes.manifests(settings, "char_rnn").items():
        assert yaml.safe_load(written[f"kubernetes/servers/{name}"]) == manifest
    assert model_config.parse(written["models.config"]) == [
        ServedModel("char_rnn", "/models/char_rnn", All(), {"stable": 3, "canary": 3})
    ]
    assert not (root / "serving" / "models.config").exists()
    assert main(arguments) == 0
    assert tree(output) == written


def test_first_entry_is_that_of_the_local_directory(root: Path, push: Callable[..., Path]) -> None:
    for version in (1, 2):
        push(version)
    here = ServedModel("char_rnn", str(root / "serving" / "char_rnn"), Specific((1,)), {"stable": 1})
    model_config.update(str(root / "serving" / "models.config"), "char_rnn", lambda _: here)
    made = manifests.contents(Config(root=str(root)))
    entry = ServedModel("char_rnn", "/models/char_rnn", Specific((1,)), {"stable": 1})
    assert model_config.parse(made["models.config"]) == [entry]
    # A new volume has no versions yet.
    text = yaml.safe_load(made["kubernetes/pipeline/configmap.yaml"])["data"]["models.config"]
    assert model_config.parse(text) == [ServedModel("char_rnn", "/models/char_rnn", All())]


def test_manifests_before_the_first_push(root: Path) -> None:
    text = manifests.contents(Config(root=str(root)))["models.config"]
    assert model_config.parse(text) == [ServedModel("char_rnn", "/models/char_rnn", All())]


def test_output_that_cannot_be_written_is_one_paragraph(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["manifests", "--root", str(root), "--output", str(tmp_path / "file")]) == 2
    assert "Received: --output" in capsys.readouterr().err


def test_servers_read_the_bucket_that_the_pipeline_pushes_to(root: Path, push: Callable[..., Path]) -> None:
    push(3)  # here, not to the bucket
    config = overrides.load("quick", [f"root={root}", "cluster.serving_dir=gs://bucket/serving/"])
    made = manifests.contents(config)
    assert model_config.parse(made["models.config"]) == [ServedModel("char_rnn", "gs://bucket/serving/char_rnn", All())]
    assert "gs://bucket/serving/models.config" in made["kubernetes/servers/deployment.yaml"]
    assert "kubernetes/pipeline/persistentvolumeclaim-serving.yaml" not in made
    # The pipeline may mount the volume elsewhere; the servers always mount it at `mount_path`.
    config = overrides.load("quick", [f"root={root}", "cluster.serving_dir=/mnt/serving"])
    assert "/models/models.config" in manifests.contents(config)["kubernetes/servers/deployment.yaml"]


def test_templates_of_secrets_are_not_applied(root: Path) -> None:
    config = overrides.load("quick", [f"root={root}", 'cluster.image_pull_secrets=["registry"]'])
    made = manifests.contents(config)
    assert "kind: Secret" in made["kubernetes/secret-registry.yaml.template"]
    assert not [name for name, text in made.items() if name.endswith(".yaml") and "kind: Secret" in text]
