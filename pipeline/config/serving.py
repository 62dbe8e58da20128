"""How the pushed model is served: the same values for every server, and for the manifests that describe them."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from pipeline.config.section import Section

Port = Annotated[int, Field(ge=1, le=65_535)]
PositiveInt = Annotated[int, Field(ge=1)]


class BatchingSettings(Section):
    """How waiting requests are joined into batches."""

    # auto: the embedded server only. It validates each request first, where TF Serving fails all requests of a batch
    # that holds one bad value, and makes all wait for the longest. on, off: for every server.
    mode: Literal["auto", "on", "off"] = "auto"
    # Rows in one batch.
    max_rows: PositiveInt = 64
    # Batches that may wait; further requests are refused.
    max_waiting: PositiveInt = 100
    # Microseconds that a batch waits for more rows.
    timeout_microseconds: NonNegativeInt = 0
    # Batches that run at the same time. None: one for each core.
    threads: PositiveInt | None = None


class ResourceSettings(Section):
    """Resources of one server in a cluster, in Kubernetes' notation, and the number of servers."""

    # CPU request: cores, or millicores with the suffix m. There is no limit.
    cpu: str = Field("1", pattern=r"^\d+(\.\d+)?m?$")
    # Memory request and limit.
    memory: str = Field("1Gi", pattern=r"^\d+(Mi|Gi)$")
    # Fewest servers.
    min_replicas: PositiveInt = 1
    # Most servers that the autoscaler starts.
    max_replicas: PositiveInt = 4
    # NVIDIA GPUs of each server. `serving.image` must then be an image for GPUs.
    gpus: NonNegativeInt = 0
    # Average CPU use, in percent of the request, above which the autoscaler adds a server.
    target_cpu_percent: Annotated[int, Field(ge=1, le=100)] = 70


class AccessSettings(Section):
    """API key and TLS of the embedded server and the page, and of the commands that send requests to them."""

    # File with the API keys that servers accept, one in each line; clients send the first. None: no key is needed.
    api_key_file: str | None = None
    # File with the server's certificate and its chain, PEM. Clients accept exactly this certificate. None: no TLS.
    tls_cert: str | None = None
    # File with the private key of that certificate, PEM, without a password. Only servers need it.
    tls_key: str | None = None


class RequestLogSettings(Section):
    """Log of the requests for predictions, JSON lines; embedded server only."""

    # File. None: no log.
    file: str | None = None
    # Whether lines hold the texts that were sent and returned.
    text: bool = False
    # Size in bytes at which the file is renamed and a new one started.
    max_bytes: PositiveInt = 100 * 1024 * 1024
    # Number of renamed files to keep.
    files: PositiveInt = 5


class MonitoringSettings(Section):
    """Prometheus alert rules and the Grafana dashboard that `python -m serving manifests` writes."""

    # Label `job` of the servers in Prometheus. None: the name of their objects, for example char-rnn-serving.
    job: str | None = Field(None, pattern=r"^[A-Za-z0-9_./:-]+$")
    # Share of requests that may fail, or find no version, before an alert.
    max_error_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    # Seconds that 99 % of the successful requests may take before an alert.
    max_latency_seconds: Annotated[float, Field(gt=0)] = 10.0


class ServingSettings(Section):
    """Where and how models are served."""

    # Address to listen on. 127.0.0.1: this machine only. 0.0.0.0: every machine that can reach this one.
    host: str = Field("127.0.0.1", min_length=1)
    # Port of the REST API.
    rest_port: Port = 8501
    # Port of the gRPC API; TF Serving only.
    grpc_port: Port = 8500
    # Port of the playground page.
    playground_port: Port = 8502
    # Container image of TF Serving.
    image: str = Field("tensorflow/serving:2.20.0", min_length=1)
    # Seconds between checks for a new version.
    poll_seconds: PositiveInt = 1
    # Seconds between checks of models.config for changed labels.
    config_poll_seconds: PositiveInt = 2
    # Seconds until a request times out.
    request_timeout_seconds: PositiveInt = 120
    # Seconds in which a version must load when a server starts or a label moves to it.
    start_seconds: PositiveInt = 120
    # Seconds that running requests get to finish when a server stops.
    stop_seconds: PositiveInt = 30
    # Largest request body in bytes; embedded server only.
    max_request_bytes: PositiveInt = 16 * 1024 * 1024
    # Concurrent requests; more are refused with 503. Embedded server only.
    max_concurrent_requests: PositiveInt = 256
    # Cluster: what runs the servers. kubernetes: a Deployment. kserve: an InferenceService of KServe 0.16 or newer.
    platform: Literal["kubernetes", "kserve"] = "kubernetes"
    # Cluster: claim of the volume that holds the serving directory.
    volume_claim: str = Field("char-rnn-serving", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    # Cluster: size of that volume.
    volume_size: str = Field("10Gi", pattern=r"^\d+(Mi|Gi|Ti)$")
    # Cluster: where servers and pipeline mount that volume.
    mount_path: str = Field("/models", pattern=r"^/[A-Za-z0-9._/-]+$")
    # Cluster: service account of the servers. A serving directory in a bucket needs one that may read it. None: the
    # namespace's default.
    service_account: str | None = None
    # Cluster: user id of the containers. It must be able to read the serving directory.
    user_id: PositiveInt = 1000
    access: AccessSettings = AccessSettings()
    batching: BatchingSettings = BatchingSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    request_log: RequestLogSettings = RequestLogSettings()
    resources: ResourceSettings = ResourceSettings()
