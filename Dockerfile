# syntax=docker/dockerfile:1
# One image for every task of the pipeline, and for compiling and deploying it.
#
#   docker build -t REGISTRY/char-rnn:TAG .                                CPU
#   docker build -t REGISTRY/char-rnn:TAG-gpu --target gpu .               with CUDA's libraries; the node brings the driver
#   docker build -t REGISTRY/char-rnn-beam:TAG --target beam .             for Beam's workers on Dataflow or Flink
ARG PYTHON=3.13

FROM python:${PYTHON}-slim-trixie AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Some locked packages come as sources.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv
# With bytecode, because the tasks may write none.
ENV UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON=/usr/local/bin/python UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /app
COPY pyproject.toml uv.lock ./
# Exactly what the lock says, or nothing.
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --extra kubeflow --extra vertex

FROM build AS build-gpu
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --extra kubeflow --extra vertex --extra gpu

FROM python:${PYTHON}-slim-trixie AS base
# `python` is the environment's; our packages come before those of the index that have the same names; a user id that is
# in no list of users still has a name and a home.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp USER=pipeline LOGNAME=pipeline XDG_CACHE_HOME=/tmp/.cache
# Where the launcher of Kubeflow Pipelines keeps its copies, and where volumes are mounted.
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
# Kubernetes may choose any other; files are readable for all. No ENTRYPOINT: the back end brings the whole command.
USER 1000:0
CMD ["python", "-m", "kubeflow", "--help"]

FROM base AS gpu
COPY --from=build-gpu /opt/venv /opt/venv

FROM base AS cpu-base
COPY --from=build /opt/venv /opt/venv

# Beam's workers start with a program of Beam's own; its version has to be that of the lock.
FROM cpu-base AS beam
COPY --from=apache/beam_python3.13_sdk:2.76.0 /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]

# The default target.
FROM cpu-base AS cpu
