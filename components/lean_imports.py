"""Import frameworks without what they import only for functions that nothing here calls.

What it saves, and what else is in the imports: docs/startup.md.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

# What TFX's InfraValidator, which is not used here, starts servers with: the clients of Kubernetes and Docker.
_SERVER_STARTERS = tuple(
    f"tfx.components.infra_validator.model_server_runners.{name}"
    for name in ("kubernetes_runner", "local_docker_runner")
)


@contextlib.contextmanager
def absent(*packages: str) -> Iterator[None]:
    """While this is entered, these packages are as if they were not installed, unless they are imported already.

    Afterwards they can be imported as usual; a module that looked for them meanwhile does without them for good.
    """
    hidden = [package for package in packages if package not in sys.modules]
    for package in hidden:
        sys.modules[package] = None  # type: ignore[assignment] # `import` then raises ModuleNotFoundError
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


@contextlib.contextmanager
def postponed(*modules: str) -> Iterator[None]:
    """A module of these that is imported while this is entered runs when something of it is first used.

    That is for modules that are imported whole (`from package import module`); from another one something is used at
    once. Nothing changes for a name that does not exist.
    """
    with _first(_Postponing(*modules)):
        yield


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Import without the garbage collector, which would look through all that is imported again and again.

    A third of the CPU-seconds of an import of the frameworks. What is imported stays, so it is left out of every later
    search for garbage, too.
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
    # Keras imports Matplotlib for functions that draw images, and does without it. Not so scikit-learn: KerasTuner
    # looks for it while it is imported, and its Bayesian search needs it.
    with uncollected(), absent("matplotlib"), postponed(*_SERVER_STARTERS):
        import tfx.components  # noqa: F401


def tensorflow_without_keras() -> None:
    """Import TensorFlow alone, for processes that only use SavedModels: half of the CPU-seconds.

    A later `import keras`, `import tensorflow.keras` or `tf.keras` works. SavedModels that hold Keras objects need
    Keras; exports of this project hold none.
    """
    # Not `absent`: TensorFlow also asks where Keras lies, and keeps the answer for `import tensorflow.keras`.
    if "tensorflow" in sys.modules:
        return
    with uncollected(), _first(_Refusing("keras", "tf_keras")):
        import tensorflow  # noqa: F401


class _Finder:
    """Finds modules where they lie."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is not None and spec.loader is not None:
            self.change(spec)
        return spec

    def change(self, spec: ModuleSpec) -> None:
        """Have it loaded in another way."""
        raise NotImplementedError


@contextlib.contextmanager
def _first(finder: _Finder) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Postponing(_Finder):
    def change(self, spec: ModuleSpec) -> None:
        assert spec.loader is not None
        spec.loader = LazyLoader(spec.loader)


class _Refusing(_Finder):
    def change(self, spec: ModuleSpec) -> None:
        spec.loader = self  # type: ignore[assignment]

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError(f"not loaded to save time: {module.__name__}", name=module.__name__)
