"""How the pipeline runs in a cluster: image, storage, resources and schedule. The local runner uses none of it."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.pods import DOMAIN, WORD, Name, Pods, Seconds
from pipeline.config.section import Section
from pipeline.config.serving import PositiveInt

Claim = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


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
    # kfp: Secrets with the credentials of the image's registry, in the namespace of the pods.
    image_pull_secrets: tuple[Name, ...] = ()
    # Seconds before the first retry of a failed task; each further pause is twice as long.
    retry_seconds: Seconds = 60
    # kfp 2.17: seconds after which a run is ended as failed. 0: the server's default, two weeks.
    run_timeout_seconds: Seconds = 0
    pods: Pods = Pods()
    # kfp: the Kubernetes resource that stands for a GPU.
    gpu_resource: str = Field("nvidia.com/gpu", pattern=f"^{DOMAIN}/{WORD}$")
    # vertex: the accelerator type.
    vertex_gpu: str = Field("NVIDIA_TESLA_T4", pattern=r"^NVIDIA_[A-Z0-9_]+$")
    # Workers of the TFJob that `python -m kubeflow tfjob` prints.
    workers: PositiveInt = 2
    # vertex: the Google Cloud project.
    project: str | None = None
    # vertex: the region.
    region: str = Field("us-central1", min_length=1)
