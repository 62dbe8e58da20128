"""Import a framework without packages that it imports only for functions that nothing here calls.

`import tensorflow` ends with an import of Keras, and Keras tries to import IPython, Matplotlib and scikit-learn: half
of the time that TensorFlow's import takes. All of these are optional: where a package is not installed the framework
works without it.
"""

import contextlib
import sys
from collections.abc import Iterator


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

    A later `import keras` works. SavedModels that hold Keras objects need Keras; exports of this project hold none.
    """
    with absent("keras", "tf_keras"):
        import tensorflow  # noqa: F401
