#!/bin/sh
# Installs the programs that the tests start themselves, where they are missing.
set -eu
cd "$(dirname "$0")/.."

command -v redis-server >/dev/null 2>&1 || sh scripts/install_debian.sh redis-server
# Not on the PATH of everybody: the tests start Debian's own script below /usr/lib.
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null 2>&1 ||
    sh scripts/install_debian.sh rabbitmq-server
# The page /docs is read in a browser.
command -v chromium >/dev/null 2>&1 || sh scripts/install_debian.sh chromium
