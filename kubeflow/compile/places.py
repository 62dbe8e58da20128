"""Paths on the cluster: the state volume, the serving volume, or buckets in their place."""

from pipeline.config.places import Places
from pipeline.config.run import Config


def places(config: Config) -> Places:
    """Return the paths of a run on the cluster."""
    return Places.of(config.model_copy(update={"root": config.cluster.root, "serving_dir": serving_dir(config)}))


def serving_dir(config: Config) -> str:
    """Return the serving directory as the pods see it; by default the servers' mount path."""
    return config.cluster.serving_dir or config.serving.mount_path
