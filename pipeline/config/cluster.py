"""How the pipeline runs in a cluster: image, storage, resources and schedule. The local runner uses none of it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Section
from pipeline.config.serving import PositiveInt

# Kubernetes' syntax of a label: prefix/name=value. Prefix and value are optional, each has at most 63 characters.
_WORD = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
Label = Annotated[str, Field(pattern=f"^({_DOMAIN}/)?{_WORD}=({_WORD})?$")]
Claim = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
# Kubernetes counts in millicores, and a pod needs at least some megabytes.
Cores = Annotated[float, Field(ge=0.001, le=1_000.0)]
Gigabytes = Annotated[float, Field(ge=0.01, le=100_000.0)]
Gpus = Annotated[int, Field(ge=0, le=16)]


class Toleration(Section):
    """A taint that a pod tolerates, in Kubernetes' notation."""

    # Key of the taint. Empty: every taint; only with operator Exists.
    key: str = ""
    # Exists: the taint may have any value. Equal: it must have `value`.
    operator: Literal["Exists", "Equal"] = "Exists"
    # Value of the taint; only with operator Equal.
    value: str = ""
    # Effect of the taint. Empty: every effect.
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    @model_validator(mode="after")
    def _check_operator(self) -> "Toleration":
        if self.operator == "Exists" and self.value:
            raise ValueError('a toleration of a value with operator="Equal": "Exists" matches every value')
        if self.operator == "Equal" and not self.key:
            raise ValueError('a toleration with a key: only operator="Exists" can be without one')
        return self


class PodSettings(Section):
    """Resources of a component's pod and the nodes that it may run on. None: the value of `cluster.pods.default`."""

    # Cores, as request and as limit.
    cpu: Cores | None = None
    # Gigabytes of 10^9 bytes, as request and as limit.
    memory_gb: Gigabytes | None = None
    # Number of GPUs.
    gpus: Gpus | None = None
    # Labels that a node must have, each key=value.
    node_selector: tuple[Label, ...] | None = None
    # Taints of nodes that the pod tolerates.
    tolerations: tuple[Toleration, ...] | None = None


class DefaultPod(PodSettings):
    """Values of every pod that its own section does not set."""

    cpu: Cores = 1.0
    memory_gb: Gigabytes = 4.0
    gpus: Gpus = 0
    node_selector: tuple[Label, ...] = ()
    tolerations: tuple[Toleration, ...] = ()


class TrainerPod(PodSettings):
    """The pod that trains. None: the value of `cluster.pods.default`."""

    cpu: Cores | None = 4.0
    memory_gb: Gigabytes | None = 8.0


class ReportPod(PodSettings):
    """The pod that reports a failed run. None: the value of `cluster.pods.default`."""

    cpu: Cores | None = 0.1
    memory_gb: Gigabytes | None = 0.25


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
    FailureReport: ReportPod = ReportPod()

    def of(self, component: str) -> DefaultPod:
        """Return the settings of one component; values that it does not set come from `default`."""
        own: PodSettings = getattr(self, component, PodSettings())
        return DefaultPod.model_validate(self.default.model_dump() | own.model_dump(exclude_none=True))


class ClusterSettings(Section):
    """Kubeflow Pipelines or Vertex AI Pipelines."""

    # Container image with this repository, see Dockerfile. Each build needs its own tag or digest. None: only
    # `rehearse` works.
    image: str | None = None
    # Directory for everything that runs write: below the mounted state volume, or gs://bucket/folder.
    root: str = Field("/mnt/state", min_length=1)
    # Models are pushed to <serving_dir>/<model_name>/<version>. None: `serving.mount_path`, as the servers see it.
    serving_dir: str | None = None
    # Namespace of the volumes, of the runs' pods and of the servers: that of the installation, or your profile's.
    namespace: Claim = "kubeflow"
    # Claim of the state volume, which is mounted at `cluster.root`; unused with a bucket.
    state_claim: Claim = "char-rnn-state"
    # Size of the state volume.
    state_size: str = Field("20Gi", pattern=r"^\d+(Mi|Gi|Ti)$")
    # Access mode of both volumes. ReadWriteOnce: all pods run on one node. ReadWriteMany: on any node, with a storage
    # class that has it.
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    # Storage class of both volumes. None: the cluster's default.
    storage_class: str | None = Field(None, min_length=1)
    # Folder of the runs' artifacts. None: the backend's default.
    pipeline_root: str | None = None
    # Experiment that groups the runs in the user interface.
    experiment: str = Field("char-rnn", min_length=1)
    # Cron expression. kfp: six fields, seconds first, in UTC. vertex: five fields. None: `deploy` needs --cron.
    schedule: str | None = None
    # Service account of the pods. None: the backend's default.
    service_account: str | None = None
    # Where failed runs are reported, as JSON whose `text` Slack's incoming webhooks show: an address, which anyone who
    # can read the pipeline can read; or the name of an environment variable of `cluster.pods.FailureReport` with it,
    # from a secret. kfp: needs 2.14. None: nowhere.
    failure_webhook: str | None = Field(None, pattern=r"^(https?://[^\s/]+\S*|[A-Za-z_][A-Za-z0-9_]*)$")
    pods: Pods = Pods()
    # kfp: the Kubernetes resource that stands for a GPU.
    gpu_resource: str = Field("nvidia.com/gpu", pattern=f"^{_DOMAIN}/{_WORD}$")
    # vertex: the accelerator type.
    vertex_gpu: str = Field("NVIDIA_TESLA_T4", pattern=r"^NVIDIA_[A-Z0-9_]+$")
    # Workers of the TFJob that `python -m kubeflow tfjob` prints.
    workers: PositiveInt = 2
    # vertex: the Google Cloud project.
    project: str | None = None
    # vertex: the region.
    region: str = Field("us-central1", min_length=1)
