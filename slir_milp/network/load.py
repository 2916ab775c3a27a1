"""Loading a network from a file, whatever its format."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from slir_milp.network.files import is_nnet, read_bytes, unpacked
from slir_milp.network.normal_form import Network


def load_network(path: str | os.PathLike[str], *, check: bool = True) -> Network:
    """Read a network.

    Parameters
    ----------
    path
        An ``.onnx`` or ``.nnet`` file, or either packed as ``.gz``.
    check
        Compare what was read with the runtime at random points.

    Raises
    ------
    NetworkError
        If the file cannot be read, means something unsupported, or disagrees with the runtime.
    """
    stored = read_bytes(path)
    content = unpacked(stored, path)
    from slir_milp.network.graph import parse_onnx, read_graph
    from slir_milp.network.lowering import lower

    network = lower(read_graph(parse_onnx(content, Path(path).parent)))
    return replace(network, sha256=hashlib.sha256(stored).hexdigest(), source=os.fspath(path))
