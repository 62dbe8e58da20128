"""Paths of the files of a run: one root with the same layout for every runner."""

import os
from dataclasses import dataclass

from pipeline.config.run import Config


@dataclass(frozen=True)
class Places:
    """Paths of one model lineage below a root, which may be a bucket.

    >>> Places.of(Config(root="gs://bucket", model_name="poems")).serving
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

    root: str
    pipeline: str
    metadata: str
    corpus: str
    schema: str
    checkpoints: str
    registry: str
    serving: str
    logs: str
    reports: str
    lock: str

    @classmethod
    def of(cls, config: Config) -> "Places":
        """Return the paths of a configuration; local ones become absolute."""
        root = config.root if "://" in config.root else os.path.abspath(os.path.expanduser(config.root))
        serving = config.serving_dir or os.path.join(root, "serving")
        serving = serving if "://" in serving else os.path.abspath(os.path.expanduser(serving))
        return cls(
            root=root,
            pipeline=os.path.join(root, "pipeline"),
            metadata=os.path.join(root, "metadata.db"),
            corpus=os.path.join(root, "corpus"),
            schema=os.path.join(root, "schema"),
            checkpoints=os.path.join(root, "checkpoints"),
            registry=os.path.join(root, "registry", config.model_name),
            serving=os.path.join(serving, config.model_name),
            logs=os.path.join(root, "logs"),
            reports=os.path.join(root, "reports"),
            lock=os.path.join(root, ".lock"),
        )
