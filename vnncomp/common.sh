# What the three scripts share: where the program is, and the check of the version string.

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$here")"
venv="${SLIR_MILP_VNNCOMP_VENV:-$here/.venv}"
python="$venv/bin/python"

# The competition's runner exports its shell options; its trace would drown the log.
set +x

is_version() {
    [[ "${1:-}" == v1 ]] && return
    echo "slir-milp: the first argument should be v1, the version of these scripts' arguments, but is '${1:-}'" >&2
    return 1
}
