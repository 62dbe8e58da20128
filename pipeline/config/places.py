"""Paths of the files of a run: one root with the same layout for every runner."""

import contextlib
import os

from components.errors import UserError
from pipeline.config.run import Config


class Places:
    """Paths of one model lineage below a root, which may be a bucket.

    >>> Places(Config(root="gs://bucket", model_name="poems")).serving
    'gs://bucket/serving/poems'

    Attributes:
      root: directory of everything that a run writes.
      pipeline: TFX's artifacts.
      metadata: ML Metadata's SQLite file.
      corpus: staged corpora, by content digest.
      schema: staged schemas, by content digest.
      checkpoints: checkpoints of training, by digest of data, configuration and code.
      registry: entries of blessed models.
      serving: TF Serving's base path of the model.
      logs: framework logs.
      reports: plots of training runs.
      lock: file whose lock keeps a second run out.
    """

    def __init__(self, config: Config) -> None:
        """Derive the paths from a configuration; local ones become absolute."""
        self.root = _absolute(config.root)
        self.pipeline = os.path.join(self.root, "pipeline")
        self.metadata = os.path.join(self.root, "metadata.db")
        self.corpus = os.path.join(self.root, "corpus")
        self.schema = os.path.join(self.root, "schema")
        self.checkpoints = os.path.join(self.root, "checkpoints")
        self.registry = os.path.join(self.root, "registry", config.model_name)
        serving = config.serving_dir or os.path.join(self.root, "serving")
        self.serving = os.path.join(_absolute(serving), config.model_name)
        self.logs = os.path.join(self.root, "logs")
        self.reports = os.path.join(self.root, "reports")
        self.lock = os.path.join(self.root, ".lock")

    def check_names(self) -> None:
        """Check that the model's directories are not another model's, on a file system that ignores case.

        Raises:
          UserError: one of them has the name of another model, which differs in upper and lower case only.
        """
        for path in (self.registry, self.serving):
            parent, name = os.path.split(path)
            listed: list[str] = []
            with contextlib.suppress(OSError):  # it does not exist, or is a bucket, or what needs it reports the error
                listed = os.listdir(parent)
            other = next((other for other in listed if other.lower() == name.lower()), name)
            if name not in listed and other != name and os.path.exists(path):
                raise UserError(
                    f"The model {other} uses this directory: its file system ignores upper and lower case. Choose "
                    f"another name with --model, or another directory. Received: --model {name}, {path}"
                )


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))
