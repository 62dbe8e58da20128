"""Settings that a backend cannot run are reported before compiling."""

import re

from components import beam, command_line
from components.errors import UserError
from kubeflow.compile import pods
from pipeline.config.run import Config

# [registry/]path[:tag][@digest], as the container runtimes parse it. A first part with a dot or a port is the registry.
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?"
)


def check(config: Config, backend: str) -> None:
    """Check the settings of the cluster.

    Raises:
      UserError: a setting is missing, or the backend does not support it.
    """
    _check_image(config.cluster.image)
    _check_volumes(config, backend)
    _check_pipeline_root(config, backend)
    if backend == "vertex":
        pods.check_on_vertex(config)
    _check_webhook(config, backend)
    _check_beam(config)


def check_devices(config: Config) -> None:
    """Reject simulated devices, which are for local runs."""
    if config.training.logical_cpus > 1:
        raise UserError(
            "training.logical_cpus simulates several devices on a local machine; pods have real ones. Leave it out. "
            f"Received: training.logical_cpus={config.training.logical_cpus}"
        )


def _check_image(image: str | None) -> None:
    if not image:
        raise UserError(
            "A container image with this repository in it is needed: build one from the Dockerfile, push it where the "
            "cluster can pull it, and name it with --image or cluster.image. Received: none"
        )
    parsed = _IMAGE.fullmatch(image)
    if not parsed:
        raise UserError(
            "cluster.image cannot be the name of an image. It is written registry.example/path/name:tag or ...@sha256: "
            "with 64 hexadecimal digits; path and name are in lower case, and a scheme such as https:// is not part "
            f"of it. Received: cluster.image={image}"
        )
    if not parsed["digest"] and parsed["tag"] in (None, ":latest"):
        command_line.print_error(
            "warning: Without a separate tag or a digest, each pod runs the newest image that its node pulled or "
            "has: tasks of one run may differ, and a schedule runs whatever is pushed next. Tag every build. "
            f"Received: cluster.image={image}"
        )


def _check_volumes(config: Config, backend: str) -> None:
    root, served = config.cluster.root, pods.serving_dir(config)
    for key, place in (("cluster.root", root), ("cluster.serving_dir", served)):
        if backend == "vertex" and not place.startswith("gs://"):
            raise UserError(
                f"Vertex AI mounts no volumes: {key} must be a folder in a bucket, such as gs://bucket/char-rnn. "
                f"Received: {key}={place}"
            )
        if not re.match(r"/.*[^/]|gs://[^/]", place):
            raise UserError(
                f"{key} must be the absolute path where a volume is mounted, or gs://bucket/folder: TensorFlow opens "
                f"no other object store. Received: {key}={place}"
            )
    if root.rstrip("/") == served.rstrip("/"):
        raise UserError(
            "State and served models need two volumes with different paths: servers must not see the state. "
            f"Received: cluster.root={root}, and the same for cluster.serving_dir or serving.mount_path"
        )
    claim = config.cluster.state_claim
    if "://" not in root + served and claim == config.serving.volume_claim:
        raise UserError(
            "State and served models need two volumes: servers must not see the state. Received: "
            f"cluster.state_claim={claim}, serving.volume_claim={claim}"
        )


def _check_pipeline_root(config: Config, backend: str) -> None:
    root = config.cluster.pipeline_root
    if backend == "vertex" and not (root or "").startswith("gs://"):
        raise UserError(
            "Vertex AI needs a bucket for the artifacts of runs: set cluster.pipeline_root to gs://bucket/folder. "
            f"Received: cluster.pipeline_root={root}"
        )
    if root and not root.startswith(("gs://", "minio://", "s3://")):
        raise UserError(
            "cluster.pipeline_root must be a folder in the backend's object store, gs://..., minio://... or s3://..., "
            f"or be left out. Received: cluster.pipeline_root={root}"
        )


def _check_webhook(config: Config, backend: str) -> None:
    webhook = config.cluster.failure_webhook
    if not webhook or "://" in webhook:
        return
    if backend == "vertex":
        raise UserError(
            "Vertex AI gives its containers no secrets: cluster.failure_webhook must be the address itself. "
            f"Received: cluster.failure_webhook={webhook}"
        )
    # Otherwise the first failed run would find this mistake.
    if webhook not in {variable.name for variable in config.cluster.pods.of("FailureReport").secret_variables}:
        raise UserError(
            "cluster.failure_webhook names an environment variable that no secret sets: give the address itself, or "
            f'cluster.pods.FailureReport.secret_variables=[{{name="{webhook}", secret="...", key="..."}}]. '
            f"Received: cluster.failure_webhook={webhook}"
        )


def _check_beam(config: Config) -> None:
    beam.check_runner(config.beam_args)
    runner = beam.runner(config.beam_args)
    if not runner:
        return
    for key, place in (("pipeline_root", config.cluster.pipeline_root), ("root", config.cluster.root)):
        if not (place or "").startswith("gs://"):
            raise UserError(
                "Beam workers on other machines must be able to read the artifacts and the staged corpus: set "
                "cluster.pipeline_root and cluster.root to folders in a bucket, gs://bucket/folder. With minio:// "
                f"or s3:// only the pod itself has copies. Received: {runner}, cluster.{key}={place}"
            )
