"""Import frameworks without modules that they only need for functions that this project does not use.

docs/startup.md lists the costs of the imports.
"""

import contextlib
import functools
import gc
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import util
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# TFX's InfraValidator, which this project does not use, imports the clients of Kubernetes and Docker for them.
_SERVER_RUNNERS = tuple(
    f"tfx.components.infra_validator.model_server_runners.{name}"
    for name in ("kubernetes_runner", "local_docker_runner")
)


# Packages that TensorFlow imports for its first Keras and for clusters of Google's, and that it works without.
_OF_TENSORFLOW = ("googleapiclient", "h5py", "oauth2client", "scipy")
# Packages that Beam imports for data sources that this project does not use, and that it works without.
_OF_BEAM = ("google.cloud.bigquery", "google.cloud.bigquery_storage", "google.cloud.pubsub", "hdfs", "pandas")
# Packages and modules that import much, or everything that they contain, and of which a task needs a part or nothing:
# its executor, confidence intervals and the metrics of texts of TFMA, views in notebooks.
_DEFERRED = (
    "IPython",
    "kfp",
    "scipy.stats",
    "tensorflow_data_validation",
    "tensorflow_model_analysis",
    "tensorflow_model_analysis.metrics.bleu",
    "tensorflow_model_analysis.metrics.rouge",
    "tensorflow_model_analysis.view",
    "tfx.components",
    "tfx.components.evaluator.executor",
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
def deferred(*modules: str) -> Iterator[None]:
    """Execute modules that are imported in the block only when a name is used that is not one of their submodules.

    This helps with modules that are imported as a module, and with packages whose `__init__.py` imports everything that
    they contain. Unknown names are ignored.
    """
    with _installed(_Finder(_DeferringLoader, *modules)):
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
    with without_gc(), hidden("matplotlib"), deferred(*_SERVER_RUNNERS):
        import tfx.components  # noqa: F401


@contextlib.contextmanager
def one_task() -> Iterator[None]:
    """Import, in the block, TFX's entrypoint and one component's executor without what the others need."""
    tensorflow_without_keras()
    beam()
    with without_gc(), hidden("matplotlib"), deferred(*_SERVER_RUNNERS, *_DEFERRED), _keras_2():
        yield


def beam() -> None:
    """Import Beam without its data sources in Google Cloud and Hadoop, and without a warning of Google's libraries."""
    with without_gc(), hidden(*_OF_BEAM), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about the version of gRPC
        import apache_beam  # noqa: F401


@contextlib.contextmanager
def _keras_2() -> Iterator[None]:
    """Let `tf.keras`, if the block is the first to use it, be Keras 2: TFMA would import Keras 3 only to reject it."""
    name = "TF_USE_LEGACY_KERAS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def tensorflow_without_keras() -> None:
    """Import TensorFlow without Keras, for processes that only use SavedModels: half of the CPU-seconds.

    A later `import keras`, `import tensorflow.keras` or `tf.keras` works. SavedModels with Keras objects need Keras;
    exports of this project have none.
    """
    # Not `hidden`: TensorFlow also looks up the path of Keras, and keeps it for `import tensorflow.keras`.
    if "tensorflow" in sys.modules:
        return
    with without_gc(), hidden(*_OF_TENSORFLOW), _installed(_Finder(_FailingLoader, "keras", "tf_keras")):
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


class _DeferringLoader:
    """Loads a module without executing it, until a name is used that is not one of its submodules."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual
        self._lock = threading.RLock()
        self._started = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the usual loader create it."""
        created: ModuleType | None = self._usual.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty; its `__getattr__` executes it."""
        assert module.__spec__
        module.__spec__.loader = module.__loader__ = self._usual
        module.__getattr__ = functools.partial(self._get, module)  # type: ignore[method-assign]

    def _get(self, module: ModuleType, name: str) -> Any:
        if name.startswith("__") and name not in (
            "__all__",
            "__version__",
        ):  # as `inspect` and `pickle` ask of all modules
            raise AttributeError(name)
        with self._lock:
            if name in module.__dict__:  # another thread executed the module meanwhile
                return module.__dict__[name]
            submodule = f"{module.__name__}.{name}"
            if hasattr(module, "__path__") and util.find_spec(submodule):
                return importlib.import_module(submodule)
            if self._started:  # the module itself asks for a name that it does not have yet, or it has none such
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            self._started = True
            try:
                self._usual.exec_module(module)
            except BaseException:
                self._started = False
                raise
            del module.__getattr__
            return getattr(module, name)
