"""Compile the pipeline, or that of bulk jobs, to the file that Kubeflow Pipelines or Vertex AI Pipelines runs."""

import json
from typing import TYPE_CHECKING, Any

import yaml

from components import dns_label, lean_imports, startup
from kubeflow.compile import checks, pods, report, spec
from kubeflow.task import failure_report, run_parameters
from pipeline.config.run import Config

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

ENTRYPOINT = ("python", "-m", "kubeflow.entrypoint", "--backend")
FAILURE_REPORT = "FailureReport"  # name of the exit task
STAGING_EXECUTOR = "kubeflow.task.staging.Executor"
BULK = "BulkInference"
BULK_PARAMETERS = {
    "input": "JSON Lines, a path in the state volume or gs://...",
    "output": "The same; a run with the output of an interrupted one resumes that job",
    "options": "Further options of python -m serving bulk, such as --score or --chars 200 --seed 7",
}
_NO_IMAGE = "rehearsal"
_LONGEST_NAME = 128  # of a pipeline, on both backends
_SCHEMA = "components/validate/schema/schema.pbtxt"  # relative to the working directory of the entrypoint


def pipeline_name(model_name: str) -> str:
    """Return a name that both backends accept; different models never share one.

    Example:
      >>> pipeline_name("char_rnn")
      'char-rnn'
    """
    return dns_label.of(model_name, _LONGEST_NAME)


def compile_pipeline(config: Config, backend: str, rehearse: bool = False) -> str:
    """Return the text of the YAML file. The same sources and configuration give the same bytes.

    Args:
      backend: "kfp" or "vertex".
      rehearse: compile for this machine, where local paths stand for buckets and no image is needed.

    Raises:
      UserError: the configuration has a setting that the backend does not support.
    """
    if not rehearse:
        checks.check(config, backend)
    checks.check_devices(config)
    compiled = _compile_with_tfx(_training(config), config, backend)
    _stage_corpus_in_ingest(compiled, config)
    _declare_run_parameters(compiled, config)
    report.add(compiled, config)
    return _finish(compiled, config, backend)


def compile_bulk(config: Config, backend: str, rehearse: bool = False) -> str:
    """Return the text of the YAML file of the pipeline of bulk jobs; see `compile_pipeline`."""
    if not rehearse:
        checks.check(config, backend)
    with startup.importing():
        lean_imports.frameworks()
        from pipeline import bulk

    pipeline = bulk.create_pipeline(config, pods.places(config))
    compiled = _compile_with_tfx(pipeline, config, backend, "-bulk")
    defaults = spec.task_parameters(compiled, BULK, {})
    for name, description in BULK_PARAMETERS.items():
        spec.add_run_parameter(compiled, name, defaults[name], description, {BULK: name})
    return _finish(compiled, config, backend)


def _finish(compiled: spec.Spec, config: Config, backend: str) -> str:
    spec.never_cache(compiled)
    _report_failure(compiled, config)
    pods.configure(compiled, config, backend)
    spec.check(compiled)
    documents = [compiled] + ([pods.platform_document(compiled, config)] if backend == "kfp" else [])
    return yaml.safe_dump_all(documents, sort_keys=True, width=120, allow_unicode=True)


def _training(config: Config) -> "Pipeline":
    with startup.importing():
        lean_imports.frameworks()
        from pipeline.create import Inputs, create_pipeline

    # The run itself stages the corpus, so neither its content nor the registry is known here.
    inputs = Inputs(config.corpus.source, config.corpus.source, _SCHEMA, run_key="", newest_other="")
    return create_pipeline(config, pods.places(config), inputs)


def _compile_with_tfx(pipeline: "Pipeline", config: Config, backend: str, suffix: str = "") -> spec.Spec:
    with startup.importing():
        from tfx.orchestration.data_types import PipelineInfo
        from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

    # The run gives the root of the artifacts. The pipeline's name cannot have the underscores of a model's name.
    pipeline.pipeline_info = PipelineInfo(dns_label.of(config.model_name, _LONGEST_NAME - len(suffix)) + suffix, "")
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=config.cluster.image or _NO_IMAGE,
            default_commands=[*ENTRYPOINT, backend],
            use_pipeline_spec_2_1=True,
        )
    )
    return dict(runner.run(pipeline, write_out=False)["pipelineSpec"])


def _stage_corpus_in_ingest(compiled: spec.Spec, config: Config) -> None:
    corpus, directory = config.corpus, pods.places(config).corpus
    names = ("checksum", "holdout", "min_chars", "suffixes", "window")
    settings = {"directory": directory, **{name: getattr(corpus, name) for name in names}}
    spec.use_executor(compiled, "CorpusExampleGen", STAGING_EXECUTOR)
    spec.give_constant(compiled, "CorpusExampleGen", "staging", json.dumps(settings, sort_keys=True))


def _declare_run_parameters(compiled: spec.Spec, config: Config) -> None:
    description = "A known name, a path in the state volume, gs://... or a URL"
    receivers = {"CorpusExampleGen": "input_base", "Pusher": "corpus"}
    spec.add_run_parameter(compiled, "corpus", config.corpus.source, description, receivers)
    # The first task reads them only to check them, before hours of training.
    tasks = [task for task in ("CorpusExampleGen", "Tuner", "Trainer", "Evaluator") if task in spec.tasks(compiled)]
    for task in tasks:
        spec.give_constant(compiled, task, run_parameters.COMPILED, run_parameters.compiled(config))
    replaced = ", ".join(run_parameters.PRESET_SECTIONS)
    descriptions = {"preset": f"Name of a preset whose {replaced} replace those compiled in"}
    for section, example in run_parameters.EXAMPLES.items():
        descriptions[section] = f"JSON of values of the section {section} that replace those compiled in: {example}"
    for name, description in descriptions.items():
        default = "" if name == "preset" else "{}"
        receivers = dict.fromkeys(tasks, run_parameters.PREFIX + name)
        spec.add_run_parameter(compiled, name, default, description, receivers)


def _report_failure(compiled: spec.Spec, config: Config) -> None:
    webhook = config.cluster.failure_webhook
    if not webhook:
        return
    is_url = "://" in webhook
    variable = failure_report.VARIABLE if is_url else webhook
    name = compiled["pipelineInfo"]["name"]
    container: dict[str, Any] = {
        "image": config.cluster.image or _NO_IMAGE,
        "command": ["python", "-m", failure_report.__name__],
        "args": ["--pipeline", name, "--variable", variable, "--invocation", "{{$}}"],
    }
    if is_url:
        container["env"] = [{"name": variable, "value": webhook}]
    parameters = {"run": spec.RUN_NAME, "run_id": spec.RUN_ID}
    spec.add_exit_task(compiled, FAILURE_REPORT, container, parameters)
