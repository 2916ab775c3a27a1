"""Loading a network from a file, whatever its format."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.errors import NetworkError
from slir_milp.network.cache import recall, remember
from slir_milp.network.files import is_nnet, read_bytes, unpacked
from slir_milp.network.normal_form import Network
from slir_milp.network.runtime import known_activations

if TYPE_CHECKING:
    from onnx import ModelProto

    from slir_milp.activations.registry import Registry


def load_network(
    path: str | os.PathLike[str] | ModelProto,
    *,
    check: bool = True,
    activations: Registry | None = None,
    remembered: bool = True,
) -> Network:
    """Read a network.

    Parameters
    ----------
    path
        An ``.onnx`` or ``.nnet`` file, or either packed as ``.gz``; or an ONNX model in memory, self-contained.
    check
        Compare what was read with the file's runtime at random points, unless the comparison with the very same file
        was made before and is remembered (see :mod:`slir_milp.network.cache`).
    activations
        Activations of one's own, for custom operators and local functions that stand for them; by default, what was
        registered in this process.
    remembered
        Whether an earlier reading of the very same file will do.

    Returns
    -------
    Network
        With the digest of the file's bytes, if it was read from a file.

    Raises
    ------
    NetworkError
        If the file cannot be read, means something unsupported, or disagrees with the runtime.

    Notes
    -----
    The network's meaning is real arithmetic over the stored constants.  Where a graph computes new constants from
    stored ones, in its own element type, the results count as the stored constants.
    """
    if not isinstance(path, (str, os.PathLike)):
        return _of_model(path, check, known_activations(activations))
    path = Path(path)
    stored = read_bytes(path)
    activations = known_activations(activations)
    network = recall(stored, path.name, activations) if remembered and not is_nnet(path) else None
    if network is None:
        content = unpacked(stored, path)
        if is_nnet(path):
            network = _read_nnet(path, content, check)
        else:
            network = _read_onnx(path, stored, content, check, activations)
    return replace(network, sha256=hashlib.sha256(stored).hexdigest(), source=str(path), activations=activations)


def _of_model(model: ModelProto, check: bool, activations: Registry | None) -> Network:
    """Network of a model in memory, which is kept: witnesses are replayed with it."""
    from slir_milp.network.compare import compare
    from slir_milp.network.graph import parse_onnx, read_graph
    from slir_milp.network.intermediates import OpenModel
    from slir_milp.network.lowering import lower
    from slir_milp.network.runtime import Runtime

    serialise = getattr(model, "SerializeToString", None)
    if serialise is None:
        raise NetworkError(f"a network is read from a path or an ONNX model, not from a {type(model).__name__}")
    content: bytes = serialise()
    network = lower(read_graph(parse_onnx(content, Path(), activations).proto), activations)
    if check:
        runtime = Runtime.in_memory(content, "the model", activations)
        compare(network, runtime, lambda: OpenModel(content, Path(), activations))
    return replace(network, activations=activations, model=content)


def _read_nnet(path: Path, content: bytes, check: bool) -> Network:
    from slir_milp.network.compare import compare
    from slir_milp.network.nnet import read_nnet
    from slir_milp.network.runtime import Runtime

    network = read_nnet(content)
    if check:
        compare(network, Runtime(path))
    return network


def _read_onnx(path: Path, stored: bytes, content: bytes, check: bool, activations: Registry | None) -> Network:
    from slir_milp.network.compare import compare
    from slir_milp.network.graph import parse_onnx, read_graph
    from slir_milp.network.intermediates import OpenModel
    from slir_milp.network.lowering import lower
    from slir_milp.network.runtime import Runtime

    model = parse_onnx(content, path.parent, activations)
    network = lower(read_graph(model.proto), activations)
    if check:
        compare(network, Runtime(path, activations), lambda: OpenModel(content, path.parent, activations))
        if model.is_self_contained:
            remember(stored, path.name, network)
    return network
