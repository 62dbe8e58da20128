"""Write what TF Serving needs elsewhere: its configuration, a Docker Compose file and Kubernetes manifests.

All of it follows from the section `serving` of the configuration; the same settings give the same files.
"""

import argparse
import os
from dataclasses import replace
from typing import Any

import yaml

from components.errors import UserError
from pipeline.config.run import Config
from serving.commands.shared import config_options
from serving.manifests.compose import compose
from serving.manifests.kubernetes import manifests
from serving.rollout import inventory, labels
from serving.rollout.inventory import Shelf
from serving.tf_serving import flags, model_config
from serving.tf_serving.model_config import All, ServedModel

_HEADER = "# Written by `python -m serving manifests`: change the settings and write it again, rather than edit it.\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--output", required=True, metavar="DIR", help="files there are replaced")
    config_options.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the files and list them."""
    config = config_options.load(options)
    for name, text in files(config).items():
        path = os.path.join(options.output, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            model_config.write_whole(path, text)
        except OSError as error:
            raise UserError(
                f"The manifests cannot be written: {error.strerror}. Give a directory of your own, or make room. "
                f"Received: --output {options.output}"
            ) from error
        print(path)
    return 0


def files(config: Config) -> dict[str, str]:
    """Contents by path below the output directory."""
    shelf, settings = Shelf.of(config), config.serving
    # Where the pipeline in a cluster pushes to: a bucket, or the volume that is mounted at the settings' path.
    pushed_to = config.cluster.serving_dir or ""
    bucket = pushed_to.rstrip("/") if "://" in pushed_to else None
    objects = manifests(settings, config.model_name, bucket)
    return {
        model_config.FILE_NAME: model_config.merged("", _cluster_entry(shelf, bucket or settings.mount_path)),
        **flags.files(settings),
        "docker-compose.yaml": _yaml(compose(settings, config.model_name, shelf.serving_dir)),
        **{os.path.join("kubernetes", name): _yaml(manifest) for name, manifest in objects.items()},
    }


def _cluster_entry(shelf: Shelf, place: str) -> ServedModel:
    """The first `models.config` of a volume or bucket: what is served here, under the path that the cluster sees."""
    base_path = os.path.join(place, shelf.name)
    versions = inventory.whole_versions(shelf.base)
    if not versions:
        return ServedModel(shelf.name, base_path, All())
    here = model_config.find(shelf.config_path, shelf.name) or labels.fresh(shelf.name, base_path, versions)
    return replace(labels.mended(here, versions), base_path=base_path)


def _yaml(content: dict[str, Any]) -> str:
    return _HEADER + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))
