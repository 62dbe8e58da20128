import gc
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.lean_imports import deferred, hidden, without_gc

ROOT = Path(__file__).resolve().parents[2]


def test_hidden_package_can_be_imported_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_for_this_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with hidden("only_for_this_test"), pytest.raises(ModuleNotFoundError):
        import only_for_this_test
    import only_for_this_test  # noqa: F811

    assert sys.modules.pop("only_for_this_test") is only_for_this_test


def test_imported_package_is_not_hidden() -> None:
    with hidden("json"):
        import json
    assert sys.modules["json"] is json


def test_failed_block_leaves_no_package_hidden() -> None:
    with pytest.raises(RuntimeError), hidden("no_such_package"):
        raise RuntimeError
    assert "no_such_package" not in sys.modules


def test_imported_objects_are_frozen_for_the_garbage_collector() -> None:
    assert gc.isenabled()
    before = gc.get_freeze_count()
    try:
        with without_gc():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        with pytest.raises(RuntimeError), without_gc():
            raise RuntimeError
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_disabled_garbage_collector_stays_disabled() -> None:
    gc.disable()
    try:
        with without_gc():
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


def test_deferred_module_is_executed_when_it_is_used(package: str) -> None:
    finders = list(sys.meta_path)
    with deferred(f"{package}.part", "no_such_package.part"):
        parent = importlib.import_module(package)
        part = __import__(package, fromlist=["part"]).part
    assert sys.meta_path == finders
    assert parent.ran == []
    assert part.VALUE == 7
    assert parent.ran == ["part"]


def test_other_modules_are_not_deferred(package: str) -> None:
    with deferred("no_such_package"):
        importlib.import_module(f"{package}.part")
    assert sys.modules[package].ran == ["part"]


def test_deferred_package_is_executed_for_a_name_but_not_for_a_submodule(package: str) -> None:
    finders = list(sys.meta_path)
    with deferred(package, "no_such_package"):
        whole = importlib.import_module(package)
        assert "ran" not in vars(whole)
        (Path(whole.__path__[0]) / "part.py").write_text("VALUE = 7")
        assert __import__(package, fromlist=["part"]).part.VALUE == 7
    assert sys.meta_path == finders
    assert not hasattr(whole, "__wrapped__")
    assert "ran" not in vars(whole), "submodules and the questions of inspect are no use of it"
    assert whole.ran == []
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        whole.other  # noqa: B018
    assert whole.__spec__
    assert whole.__loader__ is whole.__spec__.loader


def test_deferred_package_that_asks_for_its_own_names_is_executed_once(package: str, tmp_path: Path) -> None:
    text = f"import {package} as itself\nearly = hasattr(itself, 'late')\nlate = part = 1\nran = []"
    (tmp_path / package / "__init__.py").write_text(text)
    with deferred(package):
        whole = importlib.import_module(package)
    assert whole.late == 1
    assert whole.early is False


def test_deferred_package_that_fails_is_tried_again(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "__init__.py").write_text("import no_such_package_at_all")
    with deferred(package):
        whole = importlib.import_module(package)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
            whole.ran  # noqa: B018


@pytest.mark.integration
def test_tfx_is_imported_without_clients_of_kubernetes_which_still_can_be_imported() -> None:
    code = """
import sys
import pipeline.create
print([name for name in ("kubernetes", "kubernetes.client", "matplotlib") if name in sys.modules])
from tfx.components.infra_validator import executor
print(executor.kubernetes_runner.KubernetesRunner.__name__, "kubernetes.client" in sys.modules)
import matplotlib.pyplot
import keras_tuner  # looked for scikit-learn when TFX imported it
print(keras_tuner.oracles.BayesianOptimizationOracle("loss", seed=1).gpr is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "KubernetesRunner True", "True"], done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.integration
def test_tensorflow_is_imported_without_keras_which_still_can_be_imported() -> None:
    code = """
import os, sys
from components.lean_imports import tensorflow_without_keras
tensorflow_without_keras()
import tensorflow as tf
print([name for name in ("keras", "tf_keras", "IPython", "sklearn", "matplotlib") if name in sys.modules], flush=True)
for use in (
    "tf.keras.layers.Dense(3)",
    "__import__('tensorflow.keras').keras.layers.Dense(3)",
    "__import__('tensorflow.keras.layers', fromlist=['Dense']).Dense(3)",
    "__import__('keras').layers.Dense(3)",
):
    if os.fork() == 0:  # each is the first use in its process
        print(eval(use)(tf.ones((2, 1))).shape, flush=True)
        os._exit(0)
    os.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", *["(2, 3)"] * 4], done.stderr
