#!/usr/bin/env bash
# prepare_instance.sh v1 CATEGORY ONNX VNNLIB
#
# Ends what an earlier instance may have left behind, and reads both files once: that compares the network with ONNX
# Runtime and leaves its normal form in the program's cache. Nothing keeps running. Files that cannot be read are no
# failure here: run_instance.sh says so in the results.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
is_version "${1:-}" || exit 1
"$python" "$here/instance.py" prepare "${@:2}" || echo "slir-milp: the instance could not be prepared" >&2
exit 0
