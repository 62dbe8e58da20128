"""Settings of the pods that run the components in a cluster: resources, nodes, retries, time-outs and secrets."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Section

# Kubernetes' syntax of a label: prefix/name=value. Prefix and value are optional, each has at most 63 characters.
WORD = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
Label = Annotated[str, Field(pattern=f"^({DOMAIN}/)?{WORD}=({WORD})?$")]
# The value of an annotation is any text.
Annotation = Annotated[str, Field(pattern=f"(?s)^({DOMAIN}/)?{WORD}=.*$")]
Name = Annotated[str, Field(pattern=f"^{DOMAIN}$", max_length=253)]  # of a Kubernetes object
# Kubernetes counts in millicores, and a pod needs at least some megabytes.
Cores = Annotated[float, Field(ge=0.001, le=1_000.0)]
Gigabytes = Annotated[float, Field(ge=0.01, le=100_000.0)]
Gpus = Annotated[int, Field(ge=0, le=16)]
Retries = Annotated[int, Field(ge=0, le=10)]  # the pause doubles with each
Seconds = Annotated[int, Field(ge=0, le=2_000_000_000)]  # Kubernetes has 32 bits for them


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


class SecretVariable(Section):
    """An environment variable with the value of a Kubernetes Secret, in the namespace of the pods."""

    # Name of the variable.
    name: str = Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")
    # Name of the Secret.
    secret: Name
    # Key of the value in the Secret.
    key: str = Field(pattern="^[A-Za-z0-9._-]+$", max_length=253)


class PodSettings(Section):
    """Settings of a component's pod. None: the value of `cluster.pods.default`."""

    # Cores that the pod requests: it runs only on a node that has so many free.
    cpu: Cores | None = None
    # Cores that the pod may use, but never fewer than `cpu`. TensorFlow gets as many threads.
    cpu_limit: Cores | None = None
    # Gigabytes of 10^9 bytes that the pod requests.
    memory_gb: Gigabytes | None = None
    # Gigabytes above which the pod is killed, but never fewer than `memory_gb`.
    memory_limit_gb: Gigabytes | None = None
    # Number of GPUs.
    gpus: Gpus | None = None
    # Times that the task is started again when it fails.
    retries: Retries | None = None
    # Seconds after which the task is ended as failed; each retry has as many. 0: no limit.
    timeout_seconds: Seconds | None = None
    # Labels that a node must have, each key=value.
    node_selector: tuple[Label, ...] | None = None
    # Taints of nodes that the pod tolerates.
    tolerations: tuple[Toleration, ...] | None = None
    # Labels of the pod, each key=value.
    labels: tuple[Label, ...] | None = None
    # Annotations of the pod, each key=value.
    annotations: tuple[Annotation, ...] | None = None
    # Environment variables with secrets.
    secret_variables: tuple[SecretVariable, ...] | None = None

    @model_validator(mode="after")
    def _check_names(self) -> "PodSettings":
        pairs = {key: getattr(self, key) or () for key in ("node_selector", "labels", "annotations")}
        names = {key: [text.partition("=")[0] for text in texts] for key, texts in pairs.items()}
        names["secret_variables"] = [variable.name for variable in self.secret_variables or ()]
        for key, given in names.items():
            if len(given) > len(set(given)):
                raise ValueError(f"{key} of a pod must have different names. Received: {', '.join(given)}")
        return self


class DefaultPod(PodSettings):
    """Values of every pod that its own section does not set."""

    cpu: Cores = 0.5
    cpu_limit: Cores = 2.0
    memory_gb: Gigabytes = 2.0
    memory_limit_gb: Gigabytes = 4.0
    gpus: Gpus = 0
    retries: Retries = 2
    timeout_seconds: Seconds = 24 * 3600
    node_selector: tuple[Label, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    labels: tuple[Label, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    secret_variables: tuple[SecretVariable, ...] = ()


class TrainerPod(PodSettings):
    """The pod that trains. None: the value of `cluster.pods.default`."""

    cpu: Cores | None = 1.0
    cpu_limit: Cores | None = 4.0
    memory_gb: Gigabytes | None = 3.0
    memory_limit_gb: Gigabytes | None = 8.0
    timeout_seconds: Seconds | None = 7 * 24 * 3600


class FailureReportPod(PodSettings):
    """The pod that reports a failed run. None: the value of `cluster.pods.default`."""

    cpu: Cores | None = 0.1
    cpu_limit: Cores | None = 0.5
    memory_gb: Gigabytes | None = 0.25
    memory_limit_gb: Gigabytes | None = 0.5
    timeout_seconds: Seconds | None = 600


class Pods(Section):
    """Settings of every component's pod, by the component's name."""

    default: DefaultPod = DefaultPod()
    CorpusExampleGen: PodSettings = PodSettings()
    StatisticsGen: PodSettings = PodSettings()
    ImportSchemaGen: PodSettings = PodSettings()
    ExampleValidator: PodSettings = PodSettings()
    AnomalyGate: PodSettings = PodSettings()
    DriftCheck: PodSettings = PodSettings()
    Transform: PodSettings = PodSettings()
    Tuner: TrainerPod = TrainerPod()
    Trainer: TrainerPod = TrainerPod()
    LastBlessed: PodSettings = PodSettings()
    Evaluator: PodSettings = PodSettings()
    InfraCheck: PodSettings = PodSettings()
    Pusher: PodSettings = PodSettings()
    Report: PodSettings = PodSettings()
    BulkInference: PodSettings = PodSettings()
    FailureReport: FailureReportPod = FailureReportPod()

    def of(self, component: str) -> DefaultPod:
        """Return the settings of one component; values that it does not set come from `default`."""
        own: PodSettings = getattr(self, component, PodSettings())
        values = self.default.model_dump() | own.model_dump(exclude_none=True)
        for request, limit in (("cpu", "cpu_limit"), ("memory_gb", "memory_limit_gb")):
            values[limit] = max(values[request], values[limit])
        return DefaultPod.model_validate(values)
