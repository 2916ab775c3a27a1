"""Bounds of perceptrons with smooth neurons, made by sampling each function: used only to check verdicts.

Every neuron is put between two lines.  A slope is picked, the function minus the line is sampled on the neuron's
interval, and the offset moved beyond all samples by ``bend * step² / 8``, the most that a function whose derivative has
that Lipschitz constant can differ from the broken line through its samples.  Plain float64: the margin asked for is far
above its rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .smooth import Function
from .training import Array

SAMPLES = 400
Map = tuple[Array, Array]  # weight and bias
Lines = tuple[Array, Array, Array, Array]  # slope and offset of the lower lines, then of the upper ones
Enclose = Callable[[Array, Array], Lines]


def lines(function: Function, low: Array, high: Array) -> Lines:
    """Lines below and above the function on each interval, of the least area among a few slopes."""
    share = np.linspace(0.0, 1.0, SAMPLES + 1)[:, None]
    width = np.maximum(high - low, 1e-9)
    x = low + share * width
    y = function.value(x)
    chord = (y[-1] - y[0]) / width
    ends = function.slope(low), function.slope(high)
    slopes = np.stack((chord, *ends, function.slope((low + high) / 2), (chord + ends[0]) / 2, (chord + ends[1]) / 2))
    rest = y - slopes[:, None] * x
    allowance = function.bend * (width / SAMPLES) ** 2 / 8 + 1e-12
    below, above = rest.min(axis=1) - allowance, rest.max(axis=1) + allowance
    middle = (low + high) / 2
    columns = np.arange(low.size)
    lower, upper = (slopes * middle + below).argmax(axis=0), (slopes * middle + above).argmin(axis=0)
    return slopes[lower, columns], below[lower, columns], slopes[upper, columns], above[upper, columns]


def least(weights: list[Map], found: list[Lines], rows: Array, constants: Array, low: Array, high: Array) -> Array:
    """Lower bounds of ``rows @ z + constants`` over the box, z the outputs of the last layer that has its lines."""
    for (weight, bias), (slope_low, offset_low, slope_high, offset_high) in zip(
        reversed(weights[: len(found)]), reversed(found), strict=True
    ):
        positive, negative = np.maximum(rows, 0), np.minimum(rows, 0)
        constants = constants + positive @ offset_low + negative @ offset_high
        rows = positive * slope_low + negative * slope_high
        constants, rows = constants + rows @ bias, rows @ weight.T
    return constants + np.maximum(rows, 0) @ low + np.minimum(rows, 0) @ high


def output_bounds(
    enclose: Enclose, weights: list[Map], rows: Array, constants: Array, low: Array, high: Array
) -> Array:
    """Lower bounds, over a box of inputs, of ``rows @ outputs + constants``.

    ``weights`` are the affine maps ``x @ weight + bias``, between each two the activation, which ``enclose`` puts
    between lines on given intervals.
    """
    found: list[Lines] = []
    for weight, bias in weights[:-1]:
        below = least(weights, found, weight.T, bias, low, high)
        above = -least(weights, found, -weight.T, -bias, low, high)
        found.append(enclose(below, above))
    weight, bias = weights[-1]
    return least(weights, found, rows @ weight.T, rows @ bias + constants, low, high)


def affine_maps(parameters: dict[str, Array]) -> list[Map]:
    """The maps that :func:`slir_milp.problems.make.training.dense` names."""
    depth = sum(name[0] == "w" for name in parameters)
    return [(parameters[f"w{i}"], parameters[f"b{i}"]) for i in range(depth)]
