"""Curves that a box leaves one value, exactly: those that hang on inputs alone that it fixes.

Rounding would leave their arguments an interval, and at a jump (is the number zero? what is its whole part?) even the
argument itself would not do: lines close a jump.  So such a curve gives way to its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from slir_milp.activations import IDENTITY, Curve, Hinge
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.neurons import finish
from slir_milp.network.normal_form import Layer, Network

_LARGEST = Fraction(2) ** 1000


def without_pinned(network: Network, lower: Vector, upper: Vector) -> Network:
    """The network with its pinned curves replaced by their values.

    Parameters
    ----------
    network
        The network; what is not exact in it pins nothing.
    lower, upper
        The box.

    Returns
    -------
    Network
        The same function on the box; ``network`` itself if nothing is pinned.
    """
    known = {q: Fraction(float(lower[q])) for q in np.flatnonzero(lower == upper).tolist()}
    layers, maps = list(network.layers), list(network.affines)
    for k, layer in enumerate(network.layers):
        arguments = _values(maps[k], known) if known else {}
        if not arguments:
            break
        functions = {row: layer.functions[layer.function_index[row]] for row in arguments}
        results = {row: _applied(functions[row], value) for row, value in arguments.items()}
        known = {row: value for row, value in results.items() if value is not None}
        curves = {row: float(value) for row, value in known.items() if isinstance(functions[row], Curve)}
        if curves and maps[k + 1].is_exact:
            layers[k] = _silenced(layer, maps[k], list(curves))
            maps[k], maps[k + 1] = layers[k].affine, _with_constants(maps[k + 1], curves)
            known = {row: value for row, value in known.items() if row not in curves}
    if all(a is b for a, b in zip(maps, network.affines, strict=True)):
        return network
    layers = [replace(layer, affine=affine) for layer, affine in zip(layers, maps, strict=False)]
    return replace(network, layers=tuple(layers), output=maps[-1])


def _values(affine: Affine, known: Mapping[int, Fraction]) -> dict[int, Fraction]:
    """Values of the rows that are exact and read known columns alone."""
    if not affine.is_exact:
        return {}
    rows, columns, weights = storage.entries(affine.weight)
    is_known = np.zeros(affine.columns, dtype=bool)
    is_known[list(known)] = True
    free = np.zeros(affine.rows, dtype=bool)
    free[rows[~is_known[columns]]] = True
    found = {row: Fraction(float(affine.bias[row])) for row in np.flatnonzero(~free).tolist()}
    for place in np.flatnonzero(~free[rows]).tolist():
        found[int(rows[place])] += Fraction(float(weights[place])) * known[int(columns[place])]
    return found


def _applied(function: Hinge | Curve, x: Fraction) -> Fraction | None:
    """Value of an activation, if it and the argument are numbers of float64."""
    if abs(x) > _LARGEST or Fraction(float(x)) != x:
        return None
    if isinstance(function, Hinge):
        return x * Fraction(function.negative_slope if x < 0 else function.positive_slope)
    if function.formula is None:
        return None
    from flint import arb

    value = function.formula.ball(arb(float(x)))
    return Fraction(float(value)) if value.is_exact() and value.is_finite() and arb(float(value)) == value else None


def _silenced(layer: Layer, affine: Affine, rows: list[int]) -> Layer:
    """The layer with some neurons that are zero, whatever they are given."""
    functions = layer.functions if IDENTITY in layer.functions else (*layer.functions, IDENTITY)
    index = layer.function_index.copy()
    index[rows] = functions.index(IDENTITY)
    kept = np.arange(affine.rows)
    kept[rows] = -1
    keeping = storage.selection(kept, affine.rows)
    return Layer(finish(compose.compose(keeping, affine)), functions, index)


def _with_constants(affine: Affine, values: Mapping[int, float]) -> Affine:
    """The map with some of its columns standing for numbers."""
    kept, numbers = np.arange(affine.columns), np.zeros(affine.columns)
    kept[list(values)] = -1
    numbers[list(values)] = list(values.values())
    inner = Affine(storage.selection(kept, affine.columns), numbers)
    return finish(compose.shift(compose.compose(affine.weight, inner), affine.bias))
