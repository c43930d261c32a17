#!/usr/bin/env bash
# Make this checkout ready to run: system packages, a virtual environment in .venv, the locked Python packages, Pliant itself.
# Safe to run again at any time; says nothing and ends at once when there is nothing to do.  `make setup` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(openvswitch-switch mininet iproute2 iputils-ping iperf3 arping ethtool net-tools util-linux)
venv=.venv
stamp=$venv/.setup-stamp

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

installed() { [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
    command -v dpkg-query apt-get >/dev/null ||
        die "this knows Debian and Ubuntu.  Elsewhere install by hand: ${packages[*]}, and read scripts/setup.sh"
    local missing=()
    for package in "$@"; do installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || die "as root: apt-get install ${missing[*]}"
    say "installing system packages: ${missing[*]}"
    # A machine that was just started updates itself: wait for it rather than fail on its lock.
    as_root apt-get update -qq -o DPkg::Lock::Timeout=300
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
}

find_python() {  # the first interpreter that is new enough
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        command -v "$candidate" && return
    done
    die "needs Python 3.11 or newer (on Ubuntu 22.04: apt-get install python3.11 python3.11-venv)"
}

venv_works() {  # it is whole, of an interpreter that is still there, and this checkout was not moved since
    grep -qsF "$(pwd -P)/$venv/bin/" $venv/bin/pip && $venv/bin/python -c 'import pip' 2>/dev/null
}

make_venv() {
    local python
    venv_works && return
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        install_packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    say "making a virtual environment with $("$python" --version)"
    "$python" -m venv --clear $venv
}

install_packages "${packages[@]}"
make_venv
wanted=$(cat pyproject.toml requirements/dev.txt | sha256sum)
if [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
    say "installing the locked Python packages (a minute or two the first time)"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
    say "installing Pliant into $venv"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    echo "$wanted" > $stamp
    say "ready"
fi
