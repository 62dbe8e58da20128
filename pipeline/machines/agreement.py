"""What all machines of a run must have in common, and how a difference is reported."""

import os
from importlib.metadata import version
from typing import Any

from pipeline import cache_keys
from pipeline.config.places import Places
from pipeline.config.run import Config
from trainer.cluster import Cluster

_SHOWN = 3  # differences in a message


def facts(config: Config, places: Places, cluster: Cluster) -> dict[str, str]:
    """Return configuration, code and library versions as text, by the names under which users know them."""
    settings = config.model_dump(mode="json")
    settings |= {"root": places.root, "serving_dir": os.path.dirname(places.serving)}
    return {
        "the cluster in TF_CONFIG": ", ".join(cluster.addresses),
        **_flat(settings),
        "the digest of the code": cache_keys.digest(cache_keys.TRANSFORM, cache_keys.TRAINER, cache_keys.EXPORT),
        **{f"the version of {library}": version(library) for library in cache_keys.TRAINER.libraries},
    }


def differences(here: dict[str, str], there: dict[str, str], this: str, other: str) -> str:
    """Return what differs, as a text; "" if nothing does.

    >>> differences({"training.steps": "5"}, {"training.steps": "6"}, "a:2222", "b:2222")
    'training.steps is 5 on a:2222 and 6 on b:2222'

    Args:
      here, there: as from `facts`.
      this, other: addresses of the two machines.
    """
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    texts = [f"{name} is {here.get(name)} on {this} and {there.get(name)} on {other}" for name in names[:_SHOWN]]
    return "; ".join([*texts, *([f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])])


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return flat
