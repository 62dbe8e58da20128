import subprocess
import sys
from pathlib import Path

import pytest

from components.lean_imports import absent

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
