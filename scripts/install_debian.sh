#!/bin/sh
# Installs the named Debian packages that are missing: as root, else with sudo, else says what to do. Starts no service.
set -eu

missing=""
for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Indexmill needs these packages, under their names on Debian:$missing. Install them and try again." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    ask=""
    [ -t 0 ] || ask="-n"
    # $ask and $missing are lists of words.
    # shellcheck disable=SC2086
    if command -v sudo >/dev/null 2>&1 && sudo $ask sh "$0" $missing; then
        exit 0
    fi
    echo "Indexmill needs these packages: run 'apt-get install$missing' as root and try again." >&2
    exit 1
fi

# Debian starts a service right after its installation unless this file forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "Installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
install_missing() {
    # shellcheck disable=SC2086
    apt-get install --yes --quiet --no-install-recommends $missing >&2
}
# A fresh machine has no package list, an old one has a stale list.
install_missing || { apt-get update --quiet >&2 && install_missing; }
