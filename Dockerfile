# syntax=docker/dockerfile:1
# One image for every task of the pipeline, and for compiling and deploying it.
#
#   docker build -t REGISTRY/char-rnn:TAG .                          CPU
#   docker build -t REGISTRY/char-rnn:TAG-gpu --target gpu .         with CUDA's libraries; the node has the driver
#   docker build -t REGISTRY/char-rnn-beam:TAG --target beam .       for Beam's workers on Dataflow or Flink
ARG PYTHON=3.13

FROM python:${PYTHON}-slim-trixie AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Some locked packages are source distributions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv
# Compile bytecode, because tasks cannot write it.
ENV UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON=/usr/local/bin/python UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /app
COPY pyproject.toml uv.lock ./
# Install exactly the locked versions.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --extra kubeflow --extra vertex

FROM build AS build-gpu
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --extra kubeflow --extra vertex --extra gpu

FROM build AS build-beam
# Beam's boot program asks pip whether Beam is installed, and starts no worker without an answer. This is Python's own.
RUN /opt/venv/bin/python -m ensurepip

FROM python:${PYTHON}-slim-trixie AS base
# `python` is that of the environment; this project's packages precede installed packages of the same names; a user id
# without an entry in /etc/passwd has a name and a home directory.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp USER=pipeline LOGNAME=pipeline XDG_CACHE_HOME=/tmp/.cache
# Folders for copies of the Kubeflow Pipelines launcher, and mount points of volumes.
RUN mkdir -p /minio /s3 /gcs /oci /mnt/state /models && chmod 1777 /minio /s3 /gcs /oci /mnt/state /models
WORKDIR /app
COPY pyproject.toml uv.lock local_runner.py ./
COPY components components
COPY kubeflow kubeflow
COPY pipeline pipeline
COPY serving serving
COPY trainer trainer
COPY transform transform
RUN python -m compileall -q . && chmod -R a+rX /app
# Kubernetes may choose another user; files are readable for all. No ENTRYPOINT: the backend passes the full command.
USER 1000:0
CMD ["python", "-m", "kubeflow", "--help"]

FROM base AS gpu
COPY --from=build-gpu /opt/venv /opt/venv

FROM base AS cpu-base
COPY --from=build /opt/venv /opt/venv

# Workers start Beam's boot program; its version must be the locked one.
FROM base AS beam
COPY --from=build-beam /opt/venv /opt/venv
COPY --from=apache/beam_python3.13_sdk:2.76.0 /opt/apache/beam /opt/apache/beam
# Otherwise the boot program makes a new environment for each worker, without the packages in /opt/venv, in a directory
# that only root can write.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]

# The default target.
FROM cpu-base AS cpu
