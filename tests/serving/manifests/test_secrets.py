"""Templates of the Secrets that the configuration names."""

import base64
import binascii

import kubernetes_validate
import pytest
import yaml

from pipeline.config import overrides
from serving.manifests.secrets import templates

SETTINGS = [
    'cluster.image_pull_secrets=["registry"]',
    'cluster.pods.default.secret_variables=[{name="TOKEN", secret="corpus", key="token"}]',
    'cluster.pods.CorpusExampleGen.secret_variables=[{name="USER", secret="corpus", key="user"}]',
]


def test_every_secret_has_a_template() -> None:
    made = {name: yaml.safe_load(text) for name, text in templates(overrides.load("quick", SETTINGS)).items()}
    assert list(made) == ["secret-corpus.yaml.template", "secret-registry.yaml.template"]
    corpus, registry = made.values()
    assert (corpus["metadata"]["name"], corpus["type"]) == ("corpus", "Opaque")
    assert list(corpus["data"]) == ["token", "user"]
    assert registry["type"] == "kubernetes.io/dockerconfigjson"
    assert list(registry["data"]) == [".dockerconfigjson"]
    for secret in (corpus, registry):
        kubernetes_validate.validate(secret, kubernetes_validate.latest_version(), strict=True)


def test_template_cannot_be_applied() -> None:
    """Kubernetes decodes the values of `data` strictly."""
    for text in templates(overrides.load("quick", SETTINGS)).values():
        for value in yaml.safe_load(text)["data"].values():
            with pytest.raises(binascii.Error):
                base64.b64decode(value, validate=True)


def test_no_secret_needs_no_template() -> None:
    assert templates(overrides.load("quick", [])) == {}
