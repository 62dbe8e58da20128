"""How the pushed model is served: one set of values for every server, and for the manifests that describe them."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.section import Section

Port = Annotated[int, Field(ge=1, le=65_535)]
PositiveInt = Annotated[int, Field(ge=1)]


class BatchingSettings(Section):
    """How requests that wait at the same time are joined."""

    # TF Serving joins requests unseen, so that one with a bad value fails all that it was joined with, and all wait for
    # the longest. The embedded server checks each first. auto: only where that is done; on, off: whatever the server.
    mode: Literal["auto", "on", "off"] = "auto"
    max_rows: PositiveInt = 64  # rows in one batch
    max_waiting: PositiveInt = 100  # batches that may wait; more are refused
    timeout_microseconds: Annotated[int, Field(ge=0)] = 0  # how long a batch waits for more rows
    threads: PositiveInt | None = None  # batches that run at the same time; None: one for each core


class ResourceSettings(Section):
    """What one server takes in a cluster, in Kubernetes' notation, and how many there are."""

    cpu: str = Field("2", pattern=r"^\d+(\.\d+)?m?$")
    memory: str = Field("1Gi", pattern=r"^\d+(Mi|Gi)$")
    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 4
    gpus: Annotated[int, Field(ge=0)] = 0  # of NVIDIA, for each server; `image` then has to be one for GPUs
    target_cpu_percent: Annotated[int, Field(ge=1, le=100)] = 70  # the autoscaler adds a replica above this


class ServingSettings(Section):
    """Where and how to serve."""

    host: str = Field("127.0.0.1", min_length=1)  # address to listen on; 0.0.0.0: every machine that reaches this one
    rest_port: Port = 8501
    grpc_port: Port = 8500
    playground_port: Port = 8502
    image: str = Field("tensorflow/serving:2.20.0", min_length=1)
    poll_seconds: PositiveInt = 1  # between looks for a new version
    config_poll_seconds: PositiveInt = 2  # between looks at models.config for changed labels
    request_timeout_seconds: PositiveInt = 120
    start_seconds: PositiveInt = 120  # until a version must be loaded, when a server starts or a label moves to it
    stop_seconds: PositiveInt = 30  # for requests under way, when a server is asked to stop
    max_request_bytes: PositiveInt = 16 * 1024 * 1024  # embedded server only
    max_concurrent_requests: PositiveInt = 256  # embedded server only; more are refused with 503
    # In a cluster: the volume that holds the serving directory, its size, and where servers and pipeline mount it.
    volume_claim: str = Field("char-rnn-serving", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    volume_size: str = Field("10Gi", pattern=r"^\d+(Mi|Gi|Ti)$")
    mount_path: str = Field("/models", pattern=r"^/[A-Za-z0-9._/-]+$")
    service_account: str | None = None  # that servers in a cluster run as: one that may read the bucket, if it is one
    user_id: PositiveInt = 1000  # that a container runs as; it must be able to read the serving directory
    batching: BatchingSettings = BatchingSettings()
    resources: ResourceSettings = ResourceSettings()
