"""Operators that slide a window: convolutions and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network import compose, storage
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.hinges import largest
from slir_milp.network.operators.tensor import Shape, Tensor
from slir_milp.network.storage import Index


@dataclass(frozen=True, eq=False)
class _Windows:
    """What a window sees from each of its positions.

    Attributes
    ----------
    places
        Shape ``(positions, window)``: flat spatial index of each element, ``-1`` outside of the input.
    padded
        Same shape: whether the element lies in the input or its padding.
    """

    places: Index
    padded: NDArray[np.bool_]


def _windows(call: Call, source: Shape, result: Shape, kernel: Shape) -> _Windows:
    """Windows of a call over a spatial shape; the number of positions is given by the result's."""
    dimensions = len(source)
    strides = _numbers(call, "strides", dimensions, 1)
    dilations = _numbers(call, "dilations", dimensions, 1)
    begins, ends = _pads(call, source, result, kernel, strides, dilations)
    if int(np.prod(result, dtype=object)) * int(np.prod(kernel, dtype=object)) > storage.MAX_ENTRIES:
        raise NetworkError(f"operator {call.node.op_type} is larger than supported")
    places: Index = np.zeros((1, 1), dtype=np.intp)
    inside = np.ones((1, 1), dtype=bool)
    padded = np.ones((1, 1), dtype=bool)
    for axis in range(dimensions):
        position = np.arange(result[axis])[:, None] * strides[axis] - begins[axis]
        along = position + np.arange(kernel[axis])[None, :] * dilations[axis]
        places = _outer(places * source[axis], along, np.add)
        inside = _outer(inside, (along >= 0) & (along < source[axis]), np.logical_and)
        padded = _outer(padded, along < source[axis] + ends[axis], np.logical_and)
    return _Windows(np.where(inside, places, -1), padded)


def _outer(left: NDArray[Any], right: NDArray[Any], combine: np.ufunc) -> NDArray[Any]:
    """Combine windows over some dimensions with those over the next."""
    both: NDArray[Any] = combine(left[:, None, :, None], right[None, :, None, :])
    return both.reshape(left.shape[0] * right.shape[0], left.shape[1] * right.shape[1])


def _numbers(call: Call, name: str, count: int, otherwise: int) -> Shape:
    values = tuple(int(value) for value in call.attributes.get(name, [otherwise] * count))
    if len(values) != count or any(abs(value) > 2**31 for value in values):
        raise NetworkError(f"operator {call.node.op_type} has an attribute {name} that does not fit its input")
    return values


def _pads(
    call: Call, source: Shape, result: Shape, kernel: Shape, strides: Shape, dilations: Shape
) -> tuple[Shape, Shape]:
    """Padding before and after each dimension."""
    auto = call.attributes.get("auto_pad", "NOTSET")
    dimensions = len(source)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((result[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - source[axis], 0)
            for axis in range(dimensions)
        ]
        small = tuple(total // 2 for total in totals)
        large = tuple(total - total // 2 for total in totals)
        return (small, large) if auto == "SAME_UPPER" else (large, small)
    if auto == "VALID":
        return (0,) * dimensions, (0,) * dimensions
    pads = _numbers(call, "pads", 2 * dimensions, 0)
    return pads[:dimensions], pads[dimensions:]


def convolution(call: Call) -> list[Tensor]:
    """Lower Conv with constant filters."""
    tensor, filters = call.tensor(0), call.required(1)
    batch, channels = tensor.shape[:2]
    maps, kernel = filters.shape[0], filters.shape[2:]
    groups = int(call.attributes.get("group", 1))
    if groups < 1 or channels != filters.shape[1] * groups or maps % groups:
        raise NetworkError("operator Conv has filters that do not fit its input")
    windows = _windows(call, tensor.shape[2:], call.shape[2:], kernel)
    position, element = np.nonzero(windows.places >= 0)
    place = windows.places[position, element]
    shape = (batch, maps, filters.shape[1], place.size)
    if int(np.prod(shape, dtype=object)) > storage.MAX_ENTRIES:
        raise NetworkError("operator Conv is larger than supported")
    image, out_channel, in_channel, entry = np.ogrid[tuple(slice(extent) for extent in shape)]
    positions, places = windows.places.shape[0], int(np.prod(tensor.shape[2:]))
    source = (out_channel // (maps // groups)) * filters.shape[1] + in_channel
    rows = (image * maps + out_channel) * positions + position[entry] + 0 * in_channel
    columns = (image * channels + source) * places + place[entry]
    values = filters.reshape(maps, filters.shape[1], -1)[out_channel, in_channel, element[entry]] + 0 * image
    matrix = storage.from_entries(
        (int(np.prod(call.shape)), tensor.affine.rows), rows.ravel(), columns.ravel(), values.ravel()
    )
    result = compose.compose(matrix, tensor.affine)
    offset = call.constant(2)
    if offset is not None:
        result = compose.shift(result, np.tile(np.repeat(offset.ravel(), positions), batch))
    return call.result(result)


def transposed_convolution(call: Call) -> list[Tensor]:
    """Lower ConvTranspose with constant filters: each input sees, by its window, the results that it adds to."""
    tensor, filters = call.tensor(0), call.required(1)
    if call.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in call.attributes:
        raise call.unsupported("with its padding left to be computed")
    batch, channels = tensor.shape[:2]
    kernel, groups = filters.shape[2:], int(call.attributes.get("group", 1))
    maps = filters.shape[1] * groups
    if groups < 1 or channels != filters.shape[0] or channels % groups:
        raise NetworkError("operator ConvTranspose has filters that do not fit its input")
    windows = _windows(call, call.shape[2:], tensor.shape[2:], kernel)
    position, element = np.nonzero(windows.places >= 0)
    place = windows.places[position, element]
    shape = (batch, channels, filters.shape[1], place.size)
    if int(np.prod(shape, dtype=object)) > storage.MAX_ENTRIES:
        raise NetworkError("operator ConvTranspose is larger than supported")
    image, channel, within, entry = np.ogrid[tuple(slice(extent) for extent in shape)]
    results, sources = int(np.prod(call.shape[2:])), windows.places.shape[0]
    out_channel = channel // (channels // groups) * filters.shape[1] + within
    rows = (image * maps + out_channel) * results + place[entry]
    columns = (image * channels + channel) * sources + position[entry] + 0 * within
    values = filters.reshape(channels, filters.shape[1], -1)[channel, within, element[entry]] + 0 * image
    matrix = storage.from_entries(
        (int(np.prod(call.shape)), tensor.affine.rows), rows.ravel(), columns.ravel(), values.ravel()
    )
    result = compose.compose(matrix, tensor.affine)
    offset = call.constant(2)
    if offset is not None:
        result = compose.shift(result, np.tile(np.repeat(offset.ravel(), results), batch))
    return call.result(result)


def average_pool(call: Call) -> list[Tensor]:
    """Lower AveragePool."""
    windows, rows = _pooled(call)
    inside = windows.places >= 0
    counted = windows.padded if call.attributes.get("count_include_pad", 0) else inside
    result, element = np.nonzero(rows >= 0)
    ones = np.ones(result.size)
    affine = call.tensor(0).affine
    total = compose.compose(
        storage.from_entries((rows.shape[0], affine.rows), result, rows[result, element], ones), affine
    )
    counts = np.tile(counted.sum(axis=1), rows.shape[0] // counted.shape[0]).astype(np.float64)
    if np.any(counts == 0):
        raise NetworkError("operator AveragePool averages over no elements")
    return call.result(compose.divide(total, counts))


def max_pool(call: Call) -> list[Tensor]:
    """Lower MaxPool."""
    _, rows = _pooled(call)
    return call.result(largest(call.neurons, call.tensor(0).affine, rows))


def _pooled(call: Call) -> tuple[_Windows, Index]:
    """Windows over one channel, and row numbers, shape ``(results, window)``, over all channels."""
    tensor = call.tensor(0)
    source = tensor.shape[2:]
    windows = _windows(call, source, call.shape[2:], _numbers(call, "kernel_shape", len(source), 1))
    channels = int(np.prod(tensor.shape[:2]))
    offsets = np.arange(channels)[:, None, None] * int(np.prod(source))
    rows = np.where(windows.places < 0, -1, windows.places + offsets)
    return windows, rows.reshape(-1, windows.places.shape[1])
