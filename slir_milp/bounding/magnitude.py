"""How large every value can get in a box, and from that what each rounding can cost.

Backward evaluation computes ``c' = fl(c·W)`` for a row ``c`` over the ``n`` pre-activations of a layer.  Whatever
``c`` is, ``|c' − c·W| ≤ γ_n |c||W|`` entrywise, and the values ``z`` that ``W`` multiplies obey ``|z| ≤ m``.  So the
functional moves by at most ``γ_n Σ_i |c_i| v_i`` with ``v = |W|·m + |b|``; the slope that made ``c_i`` and the sum of
the constants cost a few more roundings of the same quantity.  Everything that is charged per unit of ``|c_i|`` is put
in one vector, :attr:`Slack.affine`.  It is computed once for a root box and holds in every region inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import shift
from slir_milp.bounding.region import NeuronBounds
from slir_milp.bounding.rounding import UNDERFLOW, UNIT, gamma
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network

_UP = 1.0 + 2.0**-30
"""Covers the roundings of the few products and sums by which the bounds below are themselves computed."""


@dataclass(frozen=True, eq=False)
class Slack:
    """Charges for rounding, valid for every sub-box of the box they were made for.

    Attributes
    ----------
    affine
        For every affine map (output included) the charge per unit of each row's coefficient, shape ``(rows,)``.
    offset
        Relative charge on every product of a coefficient and a line's offset.
    inputs
        Charge per unit of each input's coefficient, shape ``(inputs,)``.
    underflow
        Absolute charge on every bound.
    """

    affine: tuple[Vector, ...]
    offset: float
    inputs: Vector
    underflow: float

    def times(self, factor: float) -> Slack:
        """Charges that leave so many times the room."""
        affine = tuple(factor * charge for charge in self.affine)
        return Slack(affine, factor * self.offset, factor * self.inputs, factor * self.underflow)


def affine_interval(affine: Affine, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Bounds of an affine map over a box, rounded outward; infinite where arithmetic overflows."""
    weight = affine.weight
    terms = weight.shape[1] + 4
    with np.errstate(over="ignore", invalid="ignore"):
        centre = 0.5 * lower + 0.5 * upper
        # The radius is measured from the rounded centre, so that [centre − radius, centre + radius] contains the box.
        radius = np.maximum(upper - centre, centre - lower) * (1.0 + 4 * UNIT)
        middle = weight @ centre + affine.bias
        spread = abs(weight) @ radius
        magnitude = np.maximum(np.abs(lower), np.abs(upper))
        error = gamma(terms) * (abs(weight) @ magnitude + spread + np.abs(affine.bias) + np.abs(middle))
        if affine.weight_radius is not None:
            error = error + affine.weight_radius @ magnitude
        if affine.bias_radius is not None:
            error = error + affine.bias_radius
        reach = (spread + error) * _UP + 4.0 * terms * UNDERFLOW
        low, high = middle - reach, middle + reach
        low, high = low - np.abs(low) * 2 * UNIT, high + np.abs(high) * 2 * UNIT
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def activation_interval(layer: Layer, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Bounds of the activations over intervals of their arguments, rounded outward."""
    with np.errstate(over="ignore", invalid="ignore"):
        first, last = _activated(layer, lower), _activated(layer, upper)
        ends = [first, last, np.where((lower < 0) & (upper > 0), 0.0, first)]
        low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
        # A slope times an end point is one rounding; slopes 0, 1 and −1 make none, and zero stays zero.
        pad = np.where(_single_rounding(layer), 0.0, 1.0)
        low = low - pad * (np.abs(low) * (2 * UNIT) + UNDERFLOW)
        high = high + pad * (np.abs(high) * (2 * UNIT) + UNDERFLOW)
    for curve, here in layer.curves:
        flat = np.zeros(len(here))
        low[here] = shift.below(curve.table, lower[here], upper[here], flat).offset
        high[here] = shift.above(curve.table, lower[here], upper[here], flat).offset
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _activated(layer: Layer, x: Vector) -> Vector:
    """Ends of intervals through the activations, where a slope of zero makes zero even of an infinite end."""
    slope = np.where(x < 0, layer.negative_slope, layer.positive_slope)
    return np.where(slope == 0, 0.0, slope * x)


def _single_rounding(layer: Layer) -> NDArray[np.bool_]:
    """Mask of the neurons whose slopes multiply without rounding."""
    exact = np.array([-1.0, 0.0, 1.0])
    return np.isin(layer.negative_slope, exact) & np.isin(layer.positive_slope, exact)


def slack(network: Network, lower: Vector, upper: Vector, neurons: NeuronBounds | None = None) -> Slack:
    """Rounding charges for every bound computed inside a box.

    Parameters
    ----------
    network
        The network.
    lower, upper
        The box.
    neurons
        Sound bounds of every pre-activation in the box, where better ones than by interval arithmetic are known: the
        charges are proportional to magnitudes.

    Soundness
    ---------
    Rests on interval arithmetic rounded outward and on round-to-nearest float64.  A magnitude that overflows makes the
    charge infinite, and every bound that needs it minus infinity.
    """
    depth = len(network.affines)
    charges: list[Vector] = []
    inputs = np.maximum(np.abs(lower), np.abs(upper))
    total = float(np.sum(inputs))
    largest = max(max(affine.rows, affine.columns) for affine in network.affines)
    for k, affine in enumerate(network.affines):
        magnitude = np.maximum(np.abs(lower), np.abs(upper))
        with np.errstate(over="ignore", invalid="ignore"):
            value = abs(affine.weight) @ magnitude + np.abs(affine.bias)
            charge = gamma(affine.rows + affine.columns + 4 * depth + 16) * value
            if affine.weight_radius is not None:
                charge = charge + affine.weight_radius @ magnitude
            if affine.bias_radius is not None:
                charge = charge + affine.bias_radius
            charges.append(np.nan_to_num(charge * _UP, nan=np.inf, posinf=np.inf))
            total += float(np.sum(value) + np.sum(magnitude))
        if k < len(network.layers):
            low, high = affine_interval(affine, lower, upper)
            if neurons is not None:
                low, high = np.maximum(low, neurons.lower[k]), np.minimum(high, neurons.upper[k])
            lower, upper = activation_interval(network.layers[k], low, high)
    terms = 2 * largest + 4 * depth + 16
    return Slack(
        affine=tuple(charges),
        offset=gamma(terms),
        inputs=gamma(len(inputs) + 4 * depth + 16) * inputs * _UP,
        underflow=16.0 * UNDERFLOW * terms * depth * (1.0 + total),
    )
