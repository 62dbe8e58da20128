"""What machines must have in common, and the words for a difference."""

import dataclasses
import doctest
from pathlib import Path

import pytest

from pipeline import cache_keys
from pipeline.config.overrides import load
from pipeline.config.places import Places
from pipeline.config.run import Config
from pipeline.machines import agreement
from trainer.cluster import Cluster

CLUSTER = Cluster("chief", 0, ("a:2222", "b:2222"))


def facts(config: Config, cluster: Cluster = CLUSTER) -> dict[str, str]:
    return agreement.facts(config, Places(config), cluster)


def test_docstring_example_runs() -> None:
    assert doctest.testmod(agreement).failed == 0


def test_same_command_agrees_from_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = facts(load("quick", ["training.steps=5"], {"root": "output"}))
    there = facts(
        load("quick", ["training.steps=5"], {"root": str(Path("output").absolute())}),
        dataclasses.replace(CLUSTER, role="worker"),
    )
    assert agreement.differences(here, there, "a", "b") == ""
    monkeypatch.chdir(tmp_path)
    elsewhere = facts(load("quick", ["training.steps=5"], {"root": "output"}))
    assert "root is " in agreement.differences(here, elsewhere, "a", "b")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.steps=7", "training.steps is 5 on a and 7 on b"),
        ("seed=3", "seed is 42 on a and 3 on b"),
        ("evaluation.threshold=9", "evaluation.threshold is auto on a and 9.0 on b"),
    ],
)
def test_setting_that_differs_is_named_with_both_values(setting: str, words: str) -> None:
    here = facts(load("quick", ["training.steps=5"], {}))
    there = facts(load("quick", ["training.steps=5", setting], {}))
    assert agreement.differences(here, there, "a", "b") == words


def test_other_code_version_or_cluster_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    here = facts(Config())
    assert agreement.differences(here, facts(Config(), Cluster("chief", 0, ("a:1", "c:1"))), "a", "b") == (
        "the cluster in TF_CONFIG is a:2222, b:2222 on a and a:1, c:1 on b"
    )
    monkeypatch.setattr(agreement, "version", lambda library: f"{library} 9")
    assert "the version of tensorflow is " in agreement.differences(here, facts(Config()), "a", "b")
    monkeypatch.setattr(cache_keys, "digest", lambda *_: "other")
    assert "the digest of the code is " in agreement.differences(here, facts(Config()), "a", "b")


def test_only_the_first_differences_are_listed() -> None:
    here = {str(i): "x" for i in range(6)}
    text = agreement.differences(here, {}, "a", "b")
    assert text.startswith("0 is x on a and None on b; ")
    assert text.endswith("; and 3 more")
