#!/usr/bin/env bash
# Runs the README's test command on the newer stack (TFX 1.21, Python 3.13) in a Debian 13 tree, for machines whose
# glibc is too old. Needs root and debootstrap; the tree is kept for the next run.
#
#   scripts/test_newer_stack.sh [TREE]          default: /var/tmp/char-rnn-debian13
#   PYTEST_ARGS="-k windows" scripts/test_newer_stack.sh
#   PYTEST_ARGS="-n0 -m slow tests/kubeflow/test_rehearsal_runs.py" scripts/test_newer_stack.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tree=${1:-/var/tmp/char-rnn-debian13}

if [ ! -x "$tree/usr/bin/python3.13" ]; then
  debootstrap --variant=minbase --include=python3,python3-pip,python3-dev,git,g++,ca-certificates \
    trixie "$tree" http://deb.debian.org/debian
fi

# Network configuration of this machine: names, certificates, package indexes.
cp /etc/resolv.conf "$tree/etc/resolv.conf"
cp /etc/hosts "$tree/etc/hosts"
mkdir -p "$tree/etc/ssl/certs"
cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"

if [ ! -x "$tree/usr/bin/chromium" ]; then # not by debootstrap, which does not resolve its alternative dependencies
  chroot "$tree" env DEBIAN_FRONTEND=noninteractive bash -c \
    "apt-get -qq update && apt-get -qq install --no-install-recommends chromium dbus-user-session"
fi

mkdir -p "$tree/src/project" "$tree/src/corpora"
# Files that an earlier run copied and that are gone since then must not be tested again.
find "$tree/src/project" -mindepth 1 -maxdepth 1 ! -name .venv ! -name .tools -exec rm -rf {} +
tar -C "$root" --exclude=./.git --exclude=./.venv --exclude=./.tools --exclude=./output -cf - . |
  tar -C "$tree/src/project" -xf -
if [ -n "${CORPORA:-}" ]; then
  tar -C "$CORPORA" -cf - . | tar -C "$tree/src/corpora" -xf -
fi

for place in proc dev; do
  mountpoint -q "$tree/$place" || mount --bind "/$place" "$tree/$place"
done
trap 'umount --lazy "$tree/proc" "$tree/dev"' EXIT # lazy, because servers of the tests may still run

chroot "$tree" /usr/bin/env -i HOME=/root PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
  UV_PYTHON=3.13 CORPORA=/src/corpora \
  SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
  bash -c "cd /src/project && python3 -m pip install -qq --upgrade --target .tools uv &&
    .tools/bin/uv run --group dev pytest ${PYTEST_ARGS:-}"
