"""Import frameworks without modules that they only need for functions that this project does not use.

docs/startup.md lists the costs of the imports.
"""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

# TFX's InfraValidator, which this project does not use, imports the clients of Kubernetes and Docker for them.
_SERVER_RUNNERS = tuple(
    f"tfx.components.infra_validator.model_server_runners.{name}"
    for name in ("kubernetes_runner", "local_docker_runner")
)


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Hide packages that are not imported yet, as if they were not installed.

    They can be imported as usual after the block. A module that tried to import them in the block remains without them.
    """
    names = [package for package in packages if package not in sys.modules]
    for package in names:
        sys.modules[package] = None  # type: ignore[assignment] # `import` then raises ModuleNotFoundError
    try:
        yield
    finally:
        for package in names:
            del sys.modules[package]


@contextlib.contextmanager
def lazy(*modules: str) -> Iterator[None]:
    """Execute modules that are imported in the block only when one of their attributes is first used.

    This helps with modules that are imported as a module (`from package import module`). Unknown names are ignored.
    """
    with _installed(_Finder(LazyLoader, *modules)):
        yield


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """Import without garbage collection, which takes a third of the CPU-seconds of an import of the frameworks.

    Imported objects live forever, so later collections ignore them as well.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def frameworks() -> None:
    """Import TensorFlow, Keras and TFX's components."""
    if "tfx.components" in sys.modules:
        return
    # Keras imports Matplotlib for functions that plot images, and works without it. scikit-learn cannot be hidden:
    # KerasTuner tries to import it at import time, and its Bayesian search needs it.
    with without_gc(), hidden("matplotlib"), lazy(*_SERVER_RUNNERS):
        import tfx.components  # noqa: F401


def tensorflow_without_keras() -> None:
    """Import TensorFlow without Keras, for processes that only use SavedModels: half of the CPU-seconds.

    A later `import keras`, `import tensorflow.keras` or `tf.keras` works. SavedModels with Keras objects need Keras;
    exports of this project have none.
    """
    # Not `hidden`: TensorFlow also looks up the path of Keras, and keeps it for `import tensorflow.keras`.
    if "tensorflow" in sys.modules:
        return
    with without_gc(), _installed(_Finder(_FailingLoader, "keras", "tf_keras")):
        import tensorflow  # noqa: F401


class _Finder:
    """Finds modules as usual; those with these names get another loader, made from the usual one."""

    def __init__(self, loader: Callable[[Any], Any], *names: str) -> None:
        self._loader, self._names = loader, names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is not None and spec.loader is not None:
            spec.loader = self._loader(spec.loader)
        return spec


@contextlib.contextmanager
def _installed(finder: _Finder) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _FailingLoader:
    def __init__(self, usual: Any) -> None:
        """Ignore the usual loader."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Use Python's default."""

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError(f"not loaded to save time: {module.__name__}", name=module.__name__)
