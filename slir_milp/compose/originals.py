"""Every model of a composition by itself: what its own file says, on ONNX Runtime and in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.compose.products import product_values
from slir_milp.network.affine import Vector
from slir_milp.network.runtime import FloatArray, Runtime

if TYPE_CHECKING:
    from slir_milp.compose.models import Model
    from slir_milp.compose.problem import Composition
    from slir_milp.network.normal_form import Network

Interval = tuple[Fraction, Fraction]


class Originals:
    """The models of a composition, run one by one.

    It takes the inputs and gives the outputs of the composed network, but knows nothing of its graph.

    Parameters
    ----------
    composition
        What was composed.
    optimized
        Whether ONNX Runtime may fuse operators, as it does by default, or is to run them as they are written.

    Notes
    -----
    Sessions are opened when they are first needed; ONNX Runtime may refuse a model then, by a ``NetworkError``.
    """

    def __init__(self, composition: Composition, *, optimized: bool = True) -> None:
        self._composition, self._optimized = composition, optimized
        self._runtimes: dict[str, Runtime] = {}

    @property
    def rounds_to_half(self) -> bool:
        """Whether some model computes in float16."""
        return any(model.is_half for model in self._composition.models.values())

    def outputs(self, point: FloatArray) -> FloatArray:
        """Outputs of the composed network at one of its inputs, as the models compute them."""
        return self(np.asarray(point, dtype=np.float64))

    def __call__(self, point: Vector) -> Vector:
        """The same."""
        composition = self._composition
        values = np.concatenate([value for tensor in self.tensors(point) for value in tensor[1:]])
        if not composition.monomials:
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            products = product_values(np.concatenate([np.asarray(point), values]), composition.monomials)
        return np.concatenate([values, products])

    def tensors(self, point: Vector) -> list[list[Vector]]:
        """For every network the elements of its inputs (all of them together), and of each tensor that it gives."""
        found: list[list[Vector]] = []
        for name, places, wanted in self._composition.layout():
            inputs = np.asarray(point)[places]
            results = self._runtime(name).tensors(inputs)
            found.append([inputs, *(results[place].astype(np.float64).ravel() for place in wanted)])
        return found

    def _runtime(self, name: str) -> Runtime:
        if name not in self._runtimes:
            model = self._composition.models[name]
            content, path = model.proto.SerializeToString(), str(model.path)
            self._runtimes[name] = Runtime.in_memory(content, path, optimized=self._optimized)
        return self._runtimes[name]

    def exact(self, point: Sequence[Fraction]) -> list[list[list[Interval]]]:
        """The same in real arithmetic, as enclosures.

        Raises
        ------
        UndefinedValueError
            A model has no value there.
        """
        from slir_milp.network.exact import exact_outputs

        found: list[list[list[Interval]]] = []
        networks = {name: _lowered(model) for name, model in self._composition.models.items()}
        for name, places, wanted in self._composition.layout():
            inputs = [point[place] for place in places]
            values = exact_outputs(networks[name], inputs)
            starts = np.cumsum([0, *(spec.size for spec in networks[name].outputs)])
            found.append([[(x, x) for x in inputs], *(values[starts[place] : starts[place + 1]] for place in wanted)])
        return found


def _lowered(model: Model) -> Network:
    from onnx import ModelProto, TensorProto

    from slir_milp.network.graph import read_graph
    from slir_milp.network.lowering import lower
    from slir_milp.network.repair import widen_precision

    proto = ModelProto()
    proto.CopyFrom(model.proto)
    widen_precision(proto, TensorProto.FLOAT16, TensorProto.FLOAT)
    return lower(read_graph(proto))
