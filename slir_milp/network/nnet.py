"""The ``.nnet`` format: fully connected ReLU networks as text.

After comment lines (``//``) come, one line each and separated by commas: the number of layers, inputs, outputs and the
largest layer's size; the layer sizes; an unused flag; smallest and largest inputs; means and ranges of the inputs and
of the output; then for every layer its weights, one row a line, and its biases, one a line.
Format: https://github.com/sisl/NNet.

What is read is the function of *normalised* inputs and outputs that the weights describe; means and ranges are not
applied, just as in the ONNX files made from such networks, so that queries for the one fit the other.  The weights are
the float32 numbers nearest to the decimal numbers in the text: those are the weights that the ONNX twins of the public
ACAS Xu networks store, all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import RELU
from slir_milp.errors import NetworkError
from slir_milp.network.affine import Affine
from slir_milp.network.neurons import finish
from slir_milp.network.normal_form import Layer, Network, TensorSpec

_HEADER_LINES = 7
_MAX_SIZE = 2**20

Single = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines that are not comments, each with its number in the file."""

    lines: tuple[tuple[int, str], ...]

    def numbers(self, position: int, count: int | None = None) -> NDArray[np.float64]:
        """Numbers on a line, of which there must be ``count``."""
        if position >= len(self.lines):
            raise NetworkError("the file ends too early; it may have been cut off")
        number, line = self.lines[position]
        words = line.rstrip().rstrip(",").split(",")
        try:
            if "_" in line:
                raise ValueError
            values = np.array([float(word) for word in words])
        except ValueError:
            raise NetworkError(f"line {number} is not a list of numbers separated by commas") from None
        if not np.all(np.abs(values) <= np.finfo(np.float32).max):
            raise NetworkError(f"line {number} holds a number that float32 cannot hold")
        if count is not None and values.size != count:
            raise NetworkError(f"line {number} holds {values.size} numbers where {count} are expected")
        return values

    def whole_numbers(self, position: int, count: int) -> list[int]:
        """Numbers on a line, which must be positive integers; more than ``count`` are ignored."""
        values = self.numbers(position)
        number = self.lines[position][0]
        if values.size < count or np.any(values[:count] < 1) or np.any(values[:count] % 1):
            raise NetworkError(f"line {number} should hold {count} positive whole numbers")
        if np.any(values[:count] > _MAX_SIZE):
            raise NetworkError(f"line {number} asks for more than the {_MAX_SIZE} supported")
        return [int(value) for value in values[:count]]


def _weights(content: bytes) -> list[tuple[Single, Single]]:
    """Weight matrix and biases of every layer, first to last."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise NetworkError("the file is not text, so it is no .nnet file") from None
    lines = _Lines(
        tuple(
            (number, line)
            for number, line in enumerate(text.splitlines(), start=1)
            if line.strip() and not line.startswith("//")
        )
    )
    layers, inputs, outputs = lines.whole_numbers(0, 3)
    sizes = lines.whole_numbers(1, layers + 1)
    if sizes[0] != inputs or sizes[-1] != outputs:
        raise NetworkError(
            f"line {lines.lines[1][0]} gives sizes {sizes[0]} … {sizes[-1]}, but the line before says {inputs} inputs "
            f"and {outputs} outputs"
        )
    for position, count in ((3, inputs), (4, inputs), (5, inputs + 1), (6, inputs + 1)):
        lines.numbers(position, count)
    found, position = [], _HEADER_LINES
    for columns, rows in pairwise(sizes):
        if position + 2 * rows > len(lines.lines):
            raise NetworkError("the file ends too early; it may have been cut off")
        weight = np.array([lines.numbers(position + row, columns) for row in range(rows)], dtype=np.float32)
        bias = np.array([lines.numbers(position + rows + row, 1)[0] for row in range(rows)], dtype=np.float32)
        found.append((weight, bias))
        position += 2 * rows
    if position != len(lines.lines):
        raise NetworkError(f"line {lines.lines[position][0]} comes after the last bias; the sizes may be wrong")
    return found


def read_nnet(content: bytes) -> Network:
    """Read a network from the contents of a ``.nnet`` file.

    Raises
    ------
    NetworkError
        If the text is malformed; the message names the line.
    """
    maps = [finish(Affine(weight.astype(np.float64), bias.astype(np.float64))) for weight, bias in _weights(content)]
    layers = tuple(Layer(affine, (RELU,), np.zeros(affine.rows, dtype=np.int32)) for affine in maps[:-1])
    return Network(layers, maps[-1], (TensorSpec("X", (maps[0].columns,)),), (TensorSpec("Y", (maps[-1].rows,)),))


class NnetRunner:
    """Evaluation in float32 by NumPy.

    Parameters
    ----------
    content
        Contents of the file.
    """

    def __init__(self, content: bytes) -> None:
        self._layers = _weights(content)
        self.input_size = int(self._layers[0][0].shape[1])

    def tensors(self, point: NDArray[np.floating]) -> list[Single]:
        """Outputs at a point, as the only tensor."""
        return [self.run(point)]

    def run(self, point: NDArray[np.floating]) -> Single:
        """Outputs at a point."""
        values = point.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for weight, bias in self._layers[:-1]:
                values = np.maximum(weight @ values + bias, np.float32(0))
            weight, bias = self._layers[-1]
            return np.asarray(weight @ values + bias)
