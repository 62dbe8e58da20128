"""Compile `pipeline.create_pipeline(config)` to the file that Kubeflow Pipelines or Vertex AI Pipelines runs."""

import hashlib
import json
import re
from typing import Any

import yaml

from components import lean_imports, startup
from components.errors import UserError
from kubeflow.compile import pods, spec
from pipeline.config.places import Places
from pipeline.config.run import Config

BACKENDS = ("kfp", "vertex")
ENTRYPOINT = ("python", "-m", "kubeflow.entrypoint", "--backend")
STAGING_EXECUTOR = "kubeflow.task.staging.Executor"
# Relative to the root of this repository, where the entrypoint goes first of all.
_SCHEMA = "components/validate/schema/schema.pbtxt"
_LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner", "PrismRunner")


def pipeline_name(model_name: str) -> str:
    """A name that both back ends accept; different models never share one."""
    name = model_name.lower().replace("_", "-").rstrip("-")
    if re.fullmatch(r"[a-z0-9_]*[a-z0-9]", model_name):
        return name
    # Another spelling of the same letters may be another model.
    return f"{name}-{hashlib.sha256(model_name.encode()).hexdigest()[:6]}"


def compile_pipeline(config: Config, backend: str, rehearse: bool = False) -> str:
    """The text of the YAML file: the same sources and configuration give the same bytes.

    Args:
      backend: "kfp" or "vertex".
      rehearse: for this machine, where local paths stand for buckets and no image is pulled.

    Raises:
      UserError: the configuration has something that this back end cannot do.
    """
    if not rehearse:
        _check(config, backend)
    if config.training.logical_cpus > 1:
        raise UserError(
            "training.logical_cpus splits the processor of one's own machine, to try several devices out; pods are "
            f"given theirs. Leave it out. Received: training.logical_cpus={config.training.logical_cpus}"
        )
    compiled = _specification(config, backend)
    spec.never_cache(compiled)
    spec.use_executor(compiled, "CorpusExampleGen", STAGING_EXECUTOR)
    where = places(config)
    staging = {"directory": where.corpus, "checksum": config.corpus.checksum, "min_chars": config.corpus.min_chars}
    spec.give_constant(compiled, "CorpusExampleGen", "staging", json.dumps(staging, sort_keys=True))
    spec.add_run_parameter(
        compiled, "corpus", config.corpus.source, "A known name, a path in the state volume, gs://... or a URL"
    )
    spec.give_run_parameter(compiled, "CorpusExampleGen", "input_base", "corpus")
    spec.give_run_parameter(compiled, "Pusher", "corpus", "corpus")
    spec.add_run_parameter(
        compiled, "training", "{}", 'JSON of training values that replace those compiled in: {"steps": 2000}'
    )
    for task in ("Tuner", "Trainer"):
        if task in spec.tasks(compiled):
            spec.give_run_parameter(compiled, task, "training_overrides", "training")
    pods.set_resources(compiled, config, backend)
    spec.check(compiled)
    documents = [compiled] + ([pods.platform_document(compiled, config)] if backend == "kfp" else [])
    return yaml.safe_dump_all(documents, sort_keys=True, width=120, allow_unicode=True)


def _specification(config: Config, backend: str) -> dict[str, Any]:
    """What TFX makes of the pipeline."""
    with startup.importing():
        lean_imports.frameworks()
        from tfx.orchestration.data_types import PipelineInfo
        from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

        from pipeline.create import Inputs, create_pipeline
        from pipeline.local import beam_args

    # The corpus is staged by the run itself, so nothing about its content, nor about the registry, is known here.
    inputs = Inputs(config.corpus.source, config.corpus.source, _SCHEMA, run_key="", newest_other="")
    pipeline = create_pipeline(config, places(config), inputs, beam_args(config))
    # Runs give the root of the artifacts; the name may not have the underscores that a model's may.
    pipeline.pipeline_info = PipelineInfo(pipeline_name(config.model_name), "")
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=config.cluster.image or "rehearsal",
            default_commands=[*ENTRYPOINT, backend],
            use_pipeline_spec_2_1=True,
        )
    )
    # The runner's result is the very dictionary that protobuf made of the specification.
    return dict(runner.run(pipeline, write_out=False)["pipelineSpec"])


def places(config: Config) -> Places:
    """Where a run in the cluster puts things."""
    cluster = config.cluster
    return Places.of(config.model_copy(update={"root": cluster.root, "serving_dir": pods.serving_dir(config)}))


def _check(config: Config, backend: str) -> None:
    cluster = config.cluster
    if not cluster.image:
        raise UserError(
            "A container image with this repository in it is needed: build one from the Dockerfile, push it where the "
            "cluster can pull it, and name it with --image or cluster.image. Received: none"
        )
    for key, place in (("cluster.root", cluster.root), ("cluster.serving_dir", pods.serving_dir(config))):
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
    if cluster.root.rstrip("/") == pods.serving_dir(config).rstrip("/"):
        raise UserError(
            "State and served models are two volumes and need two places: what is in the state is not for servers. "
            f"Received: cluster.root={cluster.root}, and the same for cluster.serving_dir or serving.mount_path"
        )
    if not (cluster.pipeline_root or "gs://").startswith(("gs://", "minio://", "s3://")):
        raise UserError(
            "cluster.pipeline_root must be a folder in the back end's object store, gs://..., minio://... or s3://..., "
            f"or be left out. Received: cluster.pipeline_root={cluster.pipeline_root}"
        )
    if backend == "vertex":
        pods.refuse_on_vertex(config)
        if not (cluster.pipeline_root or "").startswith("gs://"):
            raise UserError(
                "Vertex AI needs a bucket for the artifacts of runs: set cluster.pipeline_root to gs://bucket/folder. "
                f"Received: cluster.pipeline_root={cluster.pipeline_root}"
            )
    runner = re.search(r"--runner[= ](\S+)", " ".join(config.beam_args))
    if runner and not runner[1].endswith(_LOCAL_RUNNERS):
        for key, given in (("pipeline_root", cluster.pipeline_root), ("root", cluster.root)):
            if not (given or "").startswith("gs://"):
                raise UserError(
                    "Beam workers on other machines have to see the artifacts and the staged corpus: set "
                    "cluster.pipeline_root and cluster.root to folders in a bucket, gs://bucket/folder. With minio:// "
                    f"or s3:// only the pod itself has copies. Received: {runner[1]}, cluster.{key}={given}"
                )
