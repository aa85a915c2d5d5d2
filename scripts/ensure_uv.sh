#!/bin/sh
# Prints the path of a working uv; without one, installs the version of requirements.lock into the private venv .tools/.
set -eu
cd "$(dirname "$0")/.."

if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
    command -v uv
    exit 0
fi
if [ -x .tools/bin/uv ] && .tools/bin/uv --version >/dev/null 2>&1; then
    echo "$PWD/.tools/bin/uv"
    exit 0
fi

# Debian splits venv off Python, and refuses pip outside of a venv (PEP 668): so a venv is the only way in.
make_venv() {
    rm -rf .tools
    python3 -m venv .tools >/dev/null 2>&1 && .tools/bin/python -m pip --version >/dev/null 2>&1
}
if ! make_venv; then
    sh scripts/install_debian.sh python3 python3-venv >&2 || {
        echo "Indexmill needs uv, or a python3 with the venv module to install uv with: install one of them and try again." >&2
        exit 1
    }
    make_venv || {
        echo "'python3 -m venv' still fails after python3-venv was installed: install uv by hand and try again." >&2
        exit 1
    }
fi

echo "Installing uv into .tools/" >&2
pinned=.tools/uv.txt
awk '/^uv==/ { found = 1; print; next } found && /^ +--hash/ { print; next } found { exit }' requirements.lock >"$pinned"
.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$pinned" >&2
echo "$PWD/.tools/bin/uv"
