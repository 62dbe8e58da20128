"""How the pipeline runs in a cluster: image, storage, resources and schedule. The local runner uses none of it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Section

# As Kubernetes has them: prefix/name=value, where prefix and value may be missing, of at most 63 characters each.
_WORD = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
Label = Annotated[str, Field(pattern=f"^({_DOMAIN}/)?{_WORD}=({_WORD})?$")]
Claim = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
PositiveInt = Annotated[int, Field(ge=1)]
# Kubernetes counts in thousandths of a core, and a pod needs some megabytes at least.
Cores = Annotated[float, Field(ge=0.001, le=1_000.0)]
Gigabytes = Annotated[float, Field(ge=0.01, le=100_000.0)]
Gpus = Annotated[int, Field(ge=0, le=16)]


class Toleration(Section):
    """A taint that a pod may be scheduled in spite of, in Kubernetes' own words."""

    key: str = ""  # empty: every taint; only with operator Exists
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""  # empty: every effect

    @model_validator(mode="after")
    def _as_kubernetes(self) -> "Toleration":
        if self.operator == "Exists" and self.value:
            raise ValueError('a toleration of a value with operator="Equal": "Exists" holds for every value')
        if self.operator == "Equal" and not self.key:
            raise ValueError('a toleration with a key: only operator="Exists" goes without')
        return self


class PodSettings(Section):
    """What the pod of a component asks for and where it may run; None: what `pods.default` says."""

    cpu: Cores | None = None  # cores, as request and as limit
    memory_gb: Gigabytes | None = None  # gigabytes of 10^9 bytes, as request and as limit
    gpus: Gpus | None = None
    node_selector: tuple[Label, ...] | None = None  # key=value
    tolerations: tuple[Toleration, ...] | None = None


class DefaultPod(PodSettings):
    """What every pod gets, but for what its own section says."""

    cpu: Cores = 1.0
    memory_gb: Gigabytes = 4.0
    gpus: Gpus = 0
    node_selector: tuple[Label, ...] = ()
    tolerations: tuple[Toleration, ...] = ()


class TrainerPod(PodSettings):
    """The pod that trains."""

    cpu: Cores | None = 4.0
    memory_gb: Gigabytes | None = 8.0


class Pods(Section):
    """Settings of every component's pod, by the component's name."""

    default: DefaultPod = DefaultPod()
    CorpusExampleGen: PodSettings = PodSettings()
    StatisticsGen: PodSettings = PodSettings()
    ImportSchemaGen: PodSettings = PodSettings()
    ExampleValidator: PodSettings = PodSettings()
    AnomalyGate: PodSettings = PodSettings()
    Transform: PodSettings = PodSettings()
    Tuner: TrainerPod = TrainerPod()
    Trainer: TrainerPod = TrainerPod()
    LastBlessed: PodSettings = PodSettings()
    Evaluator: PodSettings = PodSettings()
    InfraCheck: PodSettings = PodSettings()
    Pusher: PodSettings = PodSettings()

    def of(self, component: str) -> DefaultPod:
        """The settings of one component, with the gaps filled from `default`."""
        own: PodSettings = getattr(self, component, PodSettings())
        return DefaultPod.model_validate(self.default.model_dump() | own.model_dump(exclude_none=True))


class ClusterSettings(Section):
    """Kubeflow Pipelines or Vertex AI Pipelines."""

    image: str | None = None  # holds this repository, see Dockerfile; a tag or digest of its own for every state of it
    root: str = Field("/mnt/state", min_length=1)  # what `root` is locally: a mounted directory or gs://bucket/folder
    # TF Serving reads <serving_dir>/<model_name>/<version>; None: `serving.mount_path`, as the servers see it.
    serving_dir: str | None = None
    state_claim: Claim = "char-rnn-state"  # volume mounted at `root`, unless that is a bucket
    pipeline_root: str | None = None  # where artifacts of runs go; None: what the back end has as its default
    experiment: str = Field("char-rnn", min_length=1)  # groups the runs in the user interface
    schedule: str | None = None  # cron: six fields, seconds first, for kfp (UTC); five for vertex
    service_account: str | None = None  # that the pods run as; None: the back end's default
    pods: Pods = Pods()
    # kfp: the Kubernetes resource that a GPU is
    gpu_resource: str = Field("nvidia.com/gpu", pattern=f"^{_DOMAIN}/{_WORD}$")
    vertex_gpu: str = Field("NVIDIA_TESLA_T4", pattern=r"^NVIDIA_[A-Z0-9_]+$")  # vertex: the accelerator type
    workers: PositiveInt = 2  # of the TFJob that `python -m kubeflow tfjob` prints
    project: str | None = None  # vertex: Google Cloud project
    region: str = Field("us-central1", min_length=1)  # vertex
