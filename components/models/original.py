"""Where the SavedModel of a Model artifact was exported to: a directory below the root, which every later run can open.

The registry names this directory. On open-source Kubeflow Pipelines the artifact itself cannot be opened later: its
path is that of a pod's own copy (`/minio/...`), and TensorFlow has no client for its URI.
"""

import os

from components.models import versions

_NAME = "exported_to.txt"  # next to the SavedModel, in the artifact


def note(model: str, original: str) -> None:
    """Write down where the SavedModel of an artifact was exported to.

    Args:
      model: path of the artifact's SavedModel.
      original: path of the export that it is a copy of.
    """
    from tensorflow.io import gfile

    gfile.makedirs(os.path.dirname(_place(model)))
    with gfile.GFile(_place(model), "w") as file:
        file.write(original)


def of(model: str, digest: str) -> str:
    """Return the path of a SavedModel's original; its own path if there is none with this digest any more."""
    from tensorflow.io import gfile

    if not gfile.exists(_place(model)):
        return model
    with gfile.GFile(_place(model)) as file:
        original = str(file.read())
    return original if versions.holds(original, digest) else model


def place(artifact: str) -> str:
    """Return the path of the file in a Model artifact that states where its SavedModel was exported to."""
    return os.path.join(artifact, _NAME)


def _place(model: str) -> str:
    return place(os.path.dirname(model.rstrip("/")))
