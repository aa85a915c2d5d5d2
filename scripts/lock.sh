#!/bin/sh
# Writes requirements.lock: one lock with hashes for every platform, Python and extra; no registry's name gets into it.
set -eu
cd "$(dirname "$0")/.."

uv=$(sh scripts/ensure_uv.sh)
"$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
    --no-emit-find-links --extra auth --extra dev --extra readers --extra sources --extra worker ${UPGRADE:+--upgrade} \
    --output-file requirements.lock pyproject.toml
if grep -n "://" requirements.lock; then
    echo "requirements.lock names a host: lock without a registry or a link of your own." >&2
    exit 1
fi
