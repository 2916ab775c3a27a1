"""A model run with every tensor in sight, for when its outputs alone leave a doubt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slir_milp.network.affine import Vector
from slir_milp.network.graph import parse_onnx
from slir_milp.network.runtime import Runtime

if TYPE_CHECKING:
    from slir_milp.activations.registry import Registry


class OpenModel:
    """A model all of whose tensors are outputs, run operator by operator as it is written.

    Parameters
    ----------
    content
        Bytes of the ONNX model.
    folder
        Where weights in other files are found.
    activations
        Those of one's own.

    Raises
    ------
    NetworkError
        If the runtime refuses the model in this form.
    """

    def __init__(self, content: bytes, folder: Path, activations: Registry | None = None) -> None:
        model = parse_onnx(content, folder, activations).proto
        self._outputs = len(model.graph.output)
        known = {value.name for value in model.graph.output}
        for node in model.graph.node:
            if node.op_type != "Constant":
                for name in node.output:
                    if name and name not in known:
                        model.graph.output.add().name = name
        self._runtime = Runtime.as_written(
            model.SerializeToString(), "the network with all its tensors as outputs", activations
        )

    def __call__(self, point: NDArray[np.floating]) -> tuple[Vector, float]:
        """Outputs at a point, and the largest magnitude among all that the model computes there."""
        tensors = self._runtime.tensors(point)
        outputs = np.concatenate([tensor.ravel() for tensor in tensors[: self._outputs]]).astype(np.float64)
        sizes = [np.abs(t[np.isfinite(t)]).max(initial=0.0) for t in tensors if t.dtype.kind == "f"]
        return outputs, float(max(sizes, default=0.0))
