#!/bin/sh
# Installs the programs that the tests start themselves, where they are missing.
set -eu
cd "$(dirname "$0")/.."

command -v redis-server >/dev/null 2>&1 || sh scripts/install_debian.sh redis-server
