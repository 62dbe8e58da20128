"""The examples in docstrings run."""

import doctest
import importlib

import pytest

MODULES = ("codec.signature", "metrics", "models.served", "rest.app", "rest.routes", "statuses")


@pytest.mark.integration
@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"serving.embedded.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
