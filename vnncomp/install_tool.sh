#!/usr/bin/env bash
# install_tool.sh v1
#
# Installs slir-milp from this checkout into an environment of its own, vnncomp/.venv. It takes Python 3.11 or later with
# venv and headers, and a C compiler; what is missing is installed by apt if this runs as root or may use sudo.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
is_version "${1:-}" || exit 1

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# Whether this Python can compile an extension: a compiler, and the headers.
can_compile() {
    command -v cc >/dev/null &&
        [[ -f "$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]]
}

is_ready() {
    local found
    found="$(find_python)" && can_compile "$found"
}

apt_install() {
    local as_root=()
    [[ "$(id -u)" -eq 0 ]] || as_root=(sudo -n)
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y --no-install-recommends "$@"
}

if ! is_ready && command -v apt-get >/dev/null; then
    echo "slir-milp: installing Python and a C compiler"
    if [[ "$(id -u)" -eq 0 ]]; then apt-get update; else sudo -n apt-get update; fi || true
    apt_install build-essential python3 python3-venv python3-dev || true
    for version in 3.13 3.12 3.11; do
        is_ready && break
        apt_install "python$version" "python$version-venv" "python$version-dev" || true
    done
fi
if ! is_ready; then
    echo "slir-milp: Python 3.11 or later with its venv module and headers, and a C compiler, are needed" >&2
    exit 1
fi

echo "slir-milp: installing into $venv"
"$(find_python)" -m venv --clear "$venv"
"$python" -m pip install --quiet --disable-pip-version-check "$root"
"$venv/bin/slir-milp" --version
