#!/bin/sh
# Makes .venv from requirements.lock (hashes required) and installs Indexmill into it; does nothing when nothing changed.
set -eu
cd "$(dirname "$0")/.."

# The folder is part of the mark: a venv that was moved along with its checkout does not work.
wanted="$PWD $(cat requirements.lock pyproject.toml scripts/setup_venv.sh | cksum)"
up_to_date() {
    [ "$(cat .venv/.installed 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c "" 2>/dev/null
}
up_to_date && exit 0

# `make serve` and `make demo` may be started at the same time on a fresh clone.
if [ -z "${INDEXMILL_SETUP_LOCKED:-}" ] && command -v flock >/dev/null 2>&1; then
    INDEXMILL_SETUP_LOCKED=1 exec flock pyproject.toml sh scripts/setup_venv.sh
fi

uv=$(sh scripts/ensure_uv.sh)
echo "Setting up .venv" >&2
# A venv of another place or of a removed Python cannot be mended.
"$uv" venv --quiet --clear --python ">=3.11" .venv || {
    echo "Indexmill needs Python 3.11 or newer: install it and try again." >&2
    exit 1
}
"$uv" pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
# The build backend is locked too, so nothing is fetched without a hash.
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$wanted" >.venv/.installed
