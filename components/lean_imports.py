"""Import a framework without packages that it imports only for functions that nothing here calls.

`import tensorflow` ends with an import of Keras, and Keras tries to import IPython, Matplotlib and scikit-learn: half
of the time that TensorFlow's import takes. All of these are optional: where a package is not installed the framework
works without it.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


@contextlib.contextmanager
def absent(*packages: str) -> Iterator[None]:
    """While this is entered, these packages are as if they were not installed, unless they are imported already.

    Afterwards they can be imported as usual; what looked for them meanwhile does without them.
    """
    hidden = [package for package in packages if package not in sys.modules]
    for package in hidden:
        sys.modules[package] = None  # type: ignore[assignment] # `import` then raises ModuleNotFoundError
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]


def tensorflow_without_keras() -> None:
    """Import TensorFlow alone, for processes that only use SavedModels: half of the CPU-seconds.

    A later `import keras`, `import tensorflow.keras` or `tf.keras` works. SavedModels that hold Keras objects need
    Keras; exports of this project hold none.
    """
    # Not `absent`: TensorFlow also asks where Keras lies, and keeps the answer for `import tensorflow.keras`.
    refusing = _Refusing("keras", "tf_keras")
    sys.meta_path.insert(0, refusing)
    try:
        import tensorflow  # noqa: F401
    finally:
        sys.meta_path.remove(refusing)


class _Refusing:
    """Finds packages where they lie, and refuses to load them."""

    def __init__(self, *packages: str) -> None:
        self._packages = packages

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._packages else None
        if spec is not None:
            spec.loader = self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError(f"not loaded to save time: {module.__name__}", name=module.__name__)
