#!/usr/bin/env bash
# run_instance.sh v1 CATEGORY ONNX VNNLIB [RESULTS [TIMEOUT]]
#
# Decides one instance and writes RESULTS (by default out.txt): sat, unsat, unknown, timeout or error in its first line,
# and after sat the witness. It always ends with exit code 0, within TIMEOUT seconds (by default 300).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
if is_version "${1:-}" && "$python" -c pass; then
    exec "$python" "$here/instance.py" run "${@:2}"
fi
echo error > "${5:-out.txt}"
exit 0
