"""The network that a proof speaks of, read twice.

:mod:`slir_milp.network` reads networks of every kind and arranges their neurons in the layers that proofs number.  A
file that is a chain of the plain operators below, or a .nnet file, is read here once more by other means, and both
readings are written as terms over the inputs, in exact arithmetic, with one number for equal neurons.  If the outputs
are equal terms, the network computes what the file says: to pass, a mistake must have been made alike in both readings.
"""

from __future__ import annotations

import gzip
from hashlib import sha256
from math import prod
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import RELU, Curve, Hinge
from slir_milp.errors import ProofError
from slir_milp.network import Network, load_network

if TYPE_CHECKING:
    from flint import fmpq
    from onnx import NodeProto, TensorProto

    from slir_milp.activations.registry import Registry

Row: TypeAlias = "dict[int, fmpq]"
"""A linear term: the coefficients, none zero, of inputs and neurons by their numbers; ``_ONE`` stands for one."""
Shape: TypeAlias = tuple[int, ...]
_ONE = -1
_MOST_PRODUCTS = 2**23
_WIDEST_SUM = 2**11
_ATTRIBUTES = {
    **{name: set[str]() for name in ("Add", "Identity", "MatMul", "Relu", "Sigmoid", "Sub", "Tanh")},
    **{"Constant": {"value"}, "Dropout": {"ratio"}, "Flatten": {"axis"}, "LeakyRelu": {"alpha"}},
    **{"Gemm": {"alpha", "beta", "transA", "transB"}, "Reshape": {"allowzero"}},
}
"""The operators read here, and the attributes they may have."""


class _NotReadError(ValueError):
    """The file holds more than a plain chain."""


def read_network(path: str | PathLike[str], activations: Registry | None = None) -> tuple[Network, bool]:
    """Read a network, and say whether the second reading covers it; if so, both agree.

    ``path`` and ``activations`` are those of :func:`slir_milp.network.load_network`.

    Raises
    ------
    NetworkError
        The file cannot be read as a network.
    ProofError
        The two readings contradict each other, or the file changed between them.
    """
    network = load_network(path, activations=activations)
    name = fspath(path)
    with open(path, "rb") as file:
        stored = file.read()
    if sha256(stored).hexdigest() != network.sha256:
        raise ProofError(f"{name} changed while it was read; check again.")
    content = gzip.decompress(stored) if name.endswith(".gz") else stored
    read = _read_nnet if name.removesuffix(".gz").endswith(".nnet") else _read_onnx
    terms = _Terms(network.input_size)
    try:
        if not all(affine.is_exact for affine in network.affines):
            raise _NotReadError  # it holds coefficients known up to a rounding, which cannot be compared
        expected, rows = read(content, terms), terms.inputs
        for layer in network.layers:
            rows = terms.affine(layer.affine.weight, rows, layer.affine.bias)
            rows = [terms.neuron(layer.functions[i], row) for i, row in zip(layer.function_index, rows, strict=True)]
        agreed: bool | None = terms.affine(network.output.weight, rows, network.output.bias) == expected
    except (ValueError, ArithmeticError, LookupError):
        agreed = None
    if agreed is False and network.is_piecewise_linear:  # (curves may be written as formulas in several ways)
        raise ProofError(f"two independent readings of {name} differ; no proof about it can be accepted.")
    if not agreed:  # then this reading stands alone, and is made anew: a remembered one may be the search's
        network = load_network(path, activations=activations, remembered=False)
    return network, bool(agreed)


class _Terms:
    """Terms over inputs and neurons; a neuron is a function and its row, so that equal ones have one number."""

    def __init__(self, inputs: int) -> None:
        from flint import fmpq

        self._one = fmpq(1)
        self._neurons: dict[tuple[object, ...], list[tuple[Row, int]]] = {}  # rows hash slowly: a part is the key
        self._count = inputs
        self._products = 0
        self.inputs: list[Row] = [{i: self._one} for i in range(inputs)]

    def affine(self, weight: Any, rows: list[Row], offset: Any, alpha: float = 1.0, beta: float = 1.0) -> list[Row]:
        """Rows of ``alpha * weight @ rows + beta * offset``, exactly."""
        results = []
        rows_of_weight = weight if isinstance(weight, np.ndarray) else weight.toarray()
        scale, offset_scale = self._exact(alpha), self._exact(beta)
        for weights, constant in zip(rows_of_weight, offset, strict=True):
            total: Row = {_ONE: offset_scale * self._exact(constant)}
            used = np.flatnonzero(weights)
            for j, value in zip(used.tolist(), weights[used].tolist(), strict=True):
                factor = scale * self._exact(value)
                self._products += len(rows[j])
                for number, coefficient in rows[j].items():
                    total[number] = total.get(number, 0) + factor * coefficient
            if self._products > _MOST_PRODUCTS:
                raise _NotReadError  # it would take minutes
            results.append({number: coefficient for number, coefficient in total.items() if coefficient})
        return results

    def neuron(self, function: Hinge | Curve | str, row: Row) -> Row:
        """Output of the neuron that applies a hinge or a curve, or the curve of a formula, to a row."""
        if isinstance(function, Hinge):  # of slopes l and r: l x + (r - l) relu(x)
            left, right = self._exact(function.negative_slope), self._exact(function.positive_slope)
            terms = {**{number: left * c for number, c in row.items()}, self._number("relu(x)", row): right - left}
            return {number: coefficient for number, coefficient in terms.items() if coefficient}
        name = function.formula.text if isinstance(function, Curve) and function.formula else function
        return {self._number(name, row): self._one}

    def _number(self, function: object, row: Row) -> int:
        alike = self._neurons.setdefault((function, frozenset(row), row.get(min(row, default=_ONE))), [])
        number = next((number for other, number in alike if other == row), None)
        if number is None:
            self._count += 1
            number = self._count
            alike.append((row, number))
        return number

    def _exact(self, number: float) -> fmpq:
        return type(self._one)(*float(number).as_integer_ratio())


def _read_nnet(content: bytes, terms: _Terms) -> list[Row]:
    """Outputs of a .nnet file as it stores them: normalised, of normalised inputs; its numbers are float32."""
    lines = [line for line in content.decode().splitlines() if line.strip() and not line.startswith("//")]
    table = [[word for word in line.split(",") if word.strip()] for line in lines]
    rows, start = terms.inputs, 7
    for size in map(int, table[1][1:]):
        rows = rows if start == 7 else [terms.neuron(RELU, row) for row in rows]
        weight, bias = (np.array(table[first : first + size], dtype=np.float32) for first in (start, start + size))
        rows, start = terms.affine(weight, rows, bias[:, 0]), start + 2 * size
    return rows


def _read_onnx(content: bytes, terms: _Terms) -> list[Row]:
    """Outputs of an ONNX file in which every operator takes constants and the result of the one before."""
    import onnx

    model = onnx.load_model_from_string(content)
    constants = {tensor.name: _constant(tensor) for tensor in model.graph.initializer}
    (data,) = (value for value in model.graph.input if value.name not in constants)
    shape = tuple(axis.dim_value or 1 for axis in data.type.tensor_type.shape.dim)
    if any(entry.domain in ("", "ai.onnx") and entry.version < 7 for entry in model.opset_import) or model.functions:
        raise _NotReadError  # (before version 7, operators repeated operands in other ways)
    name, rows = data.name, terms.inputs
    for node in model.graph.node:
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        (result,) = node.output
        if node.domain or not given.keys() <= _ATTRIBUTES[node.op_type] or given.get("transA"):
            raise _NotReadError
        if node.op_type == "Constant":
            constants[result] = _constant(given["value"])
        elif list(node.input).count(name) == 1:
            others = [constants[other] for other in node.input if other != name]
            shape, rows = _step(node, given, others, node.input[0] == name, shape, rows, terms)
            name = result
        else:
            raise _NotReadError
    (output,) = model.graph.output
    if output.name != name:
        raise _NotReadError
    return rows


def _step(
    node: NodeProto, given: dict[str, Any], others: list[Any], first: bool, shape: Shape, rows: list[Row], terms: _Terms
) -> tuple[Shape, list[Row]]:
    """Shape and rows of the result of an operator, of which the ``first`` operand (else the second) has these."""
    operator, size = node.op_type, len(rows)
    if operator in ("Add", "Sub") and size <= _WIDEST_SUM:
        shape = np.broadcast_shapes(shape, others[0].shape)
        offset = np.broadcast_to(others[0], shape).ravel()  # (too long, and refused, where it repeats the tensor)
        sign, offset_sign = (-1.0 if operator == "Sub" and second else 1.0 for second in (not first, first))
        return shape, terms.affine(np.eye(size), rows, offset, sign, offset_sign)
    if operator in ("MatMul", "Gemm"):
        weight = others[0].T if first and not given.get("transB") else others[0]
        result = (*shape[:-1], len(weight)) if first else (len(weight), *shape[1:])
        if weight.ndim != 2 or (shape[-1] if first else shape[0]) != size or (operator == "Gemm" and not first):
            raise _NotReadError
        offset = np.broadcast_to(others[1] if others[1:] else 0.0, (1, len(weight)))[0]
        return result, terms.affine(weight, rows, offset, given.get("alpha", 1.0), given.get("beta", 1.0))
    if operator in ("Relu", "LeakyRelu"):
        slope = given.get("alpha", float(np.float32(0.01))) if operator == "LeakyRelu" else 0.0
        return shape, [terms.neuron(Hinge(slope, 1.0), row) for row in rows]
    if operator in ("Sigmoid", "Tanh"):
        return shape, [terms.neuron(f"{operator.lower()}(x)", row) for row in rows]
    if operator == "Flatten":
        axis = given.get("axis", 1)
        return (prod(shape[:axis]), prod(shape[axis:])), rows
    if operator == "Reshape" and not given.get("allowzero"):
        extents = [extent or shape[i] for i, extent in enumerate(others[0])]
        return np.empty(shape, dtype=np.bool_).reshape(extents).shape, rows
    if operator == "Identity" or (operator == "Dropout" and len(others) < 2):  # (a third operand may ask for training)
        return shape, rows
    raise _NotReadError


def _constant(tensor: TensorProto) -> NDArray[Any]:
    from onnx import numpy_helper

    if tensor.external_data or tensor.data_type not in (tensor.FLOAT, tensor.DOUBLE, tensor.INT64):
        raise _NotReadError
    return numpy_helper.to_array(tensor)
