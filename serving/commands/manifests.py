"""Write the files for a deployment of TF Serving: its configuration, Docker Compose, Kubernetes, and monitoring.

They follow from the sections `serving` and `cluster` of the configuration; the same settings give the same files.
"""

import argparse
import json
import os
from dataclasses import replace
from typing import Any

import yaml

from components import files
from components.errors import UserError
from components.models import versions
from pipeline.config.run import Config
from pipeline.config.serving import ServingSettings
from serving.commands.shared import config_options
from serving.manifests import kustomize, secrets
from serving.manifests.compose import compose
from serving.manifests.monitoring import alerts, dashboard, scraping
from serving.rollout import labels
from serving.rollout.inventory import ModelPaths
from serving.tf_serving import flags, model_config
from serving.tf_serving.model_config import All, ServedModel

_HEADER = "# Written by `python -m serving manifests`: change the settings and run it again instead of editing.\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `manifests`."""
    parser.add_argument("--output", required=True, metavar="DIR", help="existing files in it are replaced")
    config_options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the files and print their paths."""
    config = config_options.load(arguments)
    for name, text in contents(config).items():
        path = os.path.join(arguments.output, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write(path, text, mode=0o644)
        except OSError as error:
            raise UserError(
                f"The manifests cannot be written: {error.strerror}. Give another directory, or free disk space. "
                f"Received: --output {arguments.output}"
            ) from error
        print(path)
    return 0


def contents(config: Config) -> dict[str, str]:
    """Return contents by path below the output directory."""
    paths, settings = ModelPaths.of(config), config.serving
    # The pipeline in a cluster pushes to a bucket, or to the volume that is mounted at `mount_path`.
    pushed_to = config.cluster.serving_dir or ""
    bucket = pushed_to.rstrip("/") if "://" in pushed_to else None
    directory = bucket or settings.mount_path
    # Nothing was pushed to a new volume or bucket yet, whatever is served here.
    first = model_config.merged("", ServedModel(paths.name, os.path.join(directory, paths.name), All()))
    same = bucket in (None, paths.serving_dir.rstrip("/"))
    objects = kustomize.manifests(config, first, bucket)
    return {
        model_config.FILE_NAME: model_config.merged("", _cluster_entry(paths, directory)) if same else first,
        **flags.flag_files(settings),
        "docker-compose.yaml": _yaml(compose(settings, config.model_name, paths.serving_dir)),
        **{os.path.join("kubernetes", name): _yaml(manifest) for name, manifest in objects.items()},
        **{os.path.join("kubernetes", name): text for name, text in secrets.templates(config).items()},
        **{os.path.join("monitoring", name): text for name, text in _monitoring(settings, paths.name).items()},
    }


def _monitoring(settings: ServingSettings, model: str) -> dict[str, str]:
    # Not among those of Kubernetes: without the Prometheus operator, `kubectl apply` fails for its objects.
    return {
        scraping.RULES_FILE: _yaml(alerts.rules(settings, model)),
        "dashboard.json": json.dumps(dashboard.dashboard(settings, model), ensure_ascii=False, indent=2) + "\n",
        "podmonitor.yaml": _yaml(scraping.pod_monitor(settings, model)),
        "prometheus.yml": _yaml(scraping.prometheus(settings, model)),
        "prometheusrule.yaml": _yaml(scraping.prometheus_rule(settings, model)),
    }


def _cluster_entry(paths: ModelPaths, directory: str) -> ServedModel:
    """The first entry for a volume or bucket: what is served here, under the path that the cluster sees."""
    base_path = os.path.join(directory, paths.name)
    found = versions.complete(paths.base)
    if not found:
        return ServedModel(paths.name, base_path, All())
    here = model_config.find(paths.config_path, paths.name) or labels.first_entry(paths.name, base_path, found)
    return replace(labels.repaired(here, found), base_path=base_path)


def _yaml(content: dict[str, Any]) -> str:
    return _HEADER + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))
