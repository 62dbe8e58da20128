import gc
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.lean_imports import absent, postponed, uncollected

ROOT = Path(__file__).resolve().parents[2]


def test_a_package_is_absent_inside_and_can_be_imported_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_for_this_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with absent("only_for_this_test"), pytest.raises(ModuleNotFoundError):
        import only_for_this_test
    import only_for_this_test  # noqa: F811

    assert sys.modules.pop("only_for_this_test") is only_for_this_test


def test_what_is_imported_already_stays() -> None:
    with absent("json"):
        import json
    assert sys.modules["json"] is json


def test_a_failed_import_leaves_nothing_hidden() -> None:
    with pytest.raises(RuntimeError), absent("no_such_package"):
        raise RuntimeError
    assert "no_such_package" not in sys.modules


def test_the_collector_rests_while_something_is_imported_and_leaves_it_alone_afterwards() -> None:
    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        with pytest.raises(RuntimeError), uncollected():
            raise RuntimeError
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = "package_of_this_test"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("ran = []")
    (tmp_path / name / "part.py").write_text(f"import {name}; {name}.ran.append('part'); VALUE = 7")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_postponed_module_runs_when_it_is_used(package: str) -> None:
    finders = list(sys.meta_path)
    with postponed(f"{package}.part", "no_such_package.part"):
        whole = importlib.import_module(package)
        part = __import__(package, fromlist=["part"]).part
    assert sys.meta_path == finders
    assert whole.ran == []
    assert part.VALUE == 7
    assert whole.ran == ["part"]


def test_others_are_not_postponed(package: str) -> None:
    with postponed("no_such_package"):
        importlib.import_module(f"{package}.part")
    assert sys.modules[package].ran == ["part"]


@pytest.mark.integration
def test_tfx_comes_without_what_its_infra_validator_starts_servers_with_and_that_still_works() -> None:
    code = """
import sys
import pipeline.create
print([name for name in ("kubernetes", "kubernetes.client", "matplotlib") if name in sys.modules])
from tfx.components.infra_validator import executor
print(executor.kubernetes_runner.KubernetesRunner.__name__, "kubernetes.client" in sys.modules)
import matplotlib.pyplot
import keras_tuner  # it keeps what it found, or not, when TFX imported it
print(keras_tuner.oracles.BayesianOptimizationOracle("loss", seed=1).gpr is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "KubernetesRunner True", "True"], done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    "use",
    [
        "tf.keras.layers.Dense(3)",
        "__import__('tensorflow.keras').keras.layers.Dense(3)",
        "__import__('tensorflow.keras.layers', fromlist=['Dense']).Dense(3)",
        "__import__('keras').layers.Dense(3)",
    ],
)
def test_tensorflow_comes_without_keras_and_keras_may_follow(use: str) -> None:
    code = f"""
import sys
from components.lean_imports import tensorflow_without_keras
tensorflow_without_keras()
import tensorflow as tf
print([name for name in ("keras", "tf_keras", "IPython", "sklearn", "matplotlib") if name in sys.modules])
print(({use})(tf.ones((2, 1))).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "(2, 3)"], done.stderr
