"""Backward evaluation of one conjunction in rational arithmetic, for regions that only rounding keeps open.

Where a bound is exactly zero (a query that is decided by a tie) no float64 bound can settle it.  Here the same walk
is made with fractions: the slopes and weights are the proposals of the float64 search, the lines' offsets are exact,
and neurons whose float64 bounds are within rounding of zero have their bounds recomputed exactly first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.region import NeuronBounds
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network

_NEAR = Fraction(1, 2**30)
_ZERO, _ONE = Fraction(0), Fraction(1)
Fractions = list[Fraction]


@dataclass(frozen=True)
class ExactRow:
    """One inequality ``Σ coefficients·y + Σ inputs·x + constant ≤ 0`` (``< 0`` if strict), exact."""

    outputs: dict[int, Fraction]
    inputs: dict[int, Fraction]
    constant: Fraction
    strict: bool


@dataclass(frozen=True)
class _Line:
    slope: Fraction
    offset: Fraction


def refuted_exactly(
    network: Network,
    rows: Sequence[ExactRow],
    lower: Sequence[Fraction],
    upper: Sequence[Fraction],
    neurons: NeuronBounds,
    slopes: Sequence[Fraction],
    weights: Sequence[Fraction],
    sides: Sequence[int] | None = None,
    multipliers: Sequence[Fraction] | None = None,
    *,
    thorough: bool = False,
) -> bool:
    """Whether the conjunction is proven to have no solution in the box, in exact arithmetic.

    Parameters
    ----------
    network
        A network with exact coefficients.
    rows
        The conjunction.
    lower, upper
        The box.
    neurons
        Sound bounds of every pre-activation.
    slopes
        Proposed slope of each kink line, one per neuron over all layers.
    weights
        Proposed non-negative weight of each row.
    sides
        Per neuron over all layers the side that the region puts it on (1, −1, or 0 for none); ``None`` for none.
    multipliers
        Proposed ``β·σ`` per neuron, with ``σx ≤ 0`` in the region; those of the wrong sign for their side are dropped.
    thorough
        Whether the bounds of every unstable neuron are made exact, not only of those within rounding of zero.

    Returns
    -------
    bool
        ``False`` also where the network has inexact coefficients or a bound is infinite: then nothing is claimed.
    """
    if not all(affine.is_exact for affine in network.affines):
        return False
    if not all(np.isfinite(ends).all() for ends in (*neurons.lower, *neurons.upper)):
        return False
    if sides is None or multipliers is None:
        valid = None
    else:
        valid = [m if m * side < 0 else _ZERO for m, side in zip(multipliers, sides, strict=True)]
    walk = _Walk(network, lower, upper, neurons, slopes, valid, thorough)
    outputs = [_ZERO] * network.output_size
    inputs = [_ZERO] * network.input_size
    constant, strict = _ZERO, False
    for weight, row in zip(weights, rows, strict=True):
        if not weight > 0:
            continue
        strict |= row.strict
        constant += weight * row.constant
        for j, value in row.outputs.items():
            outputs[j] += weight * value
        for q, value in row.inputs.items():
            inputs[q] += weight * value
    bound = walk.bound(len(network.layers), outputs, inputs, constant, use_multipliers=True)
    return bound > 0 or (strict and bound == 0)


class _Walk:
    """Exact lines of every layer, made from the first to the last, and rows walked through them."""

    def __init__(
        self,
        network: Network,
        lower: Sequence[Fraction],
        upper: Sequence[Fraction],
        neurons: NeuronBounds,
        slopes: Sequence[Fraction],
        multipliers: Sequence[Fraction] | None,
        thorough: bool,
    ) -> None:
        self._network, self._lower, self._upper, self._thorough = network, lower, upper, thorough
        ends = np.cumsum([0, *(layer.size for layer in network.layers)]).tolist()
        self._multipliers = None if multipliers is None else [multipliers[a:b] for a, b in pairwise(ends)]
        self._lines: list[list[tuple[_Line, _Line]]] = []
        start = 0
        for k, layer in enumerate(network.layers):
            kinks = slopes[start : start + layer.size]
            self._lines.append(self._layer_lines(k, layer, neurons.lower[k], neurons.upper[k], kinks))
            start += layer.size

    def bound(
        self, k: int, row: Fractions, inputs: Fractions | None, constant: Fraction, *, use_multipliers: bool = False
    ) -> Fraction:
        """Exact lower bound of a row over the values of affine map ``k``."""
        affines = self._network.affines
        while True:
            affine = affines[k]
            constant += sum((c * Fraction(float(b)) for c, b in zip(row, affine.bias, strict=True) if c), _ZERO)
            row = _through(affine, row)
            if k == 0:
                break
            k -= 1
            for j, c in enumerate(row):
                if c:
                    line = self._lines[k][j][0 if c > 0 else 1]
                    constant += c * line.offset
                    row[j] = c * line.slope
            if use_multipliers and self._multipliers is not None:
                row = [c + beta for c, beta in zip(row, self._multipliers[k], strict=True)]
        if inputs is not None:
            row = [a + b for a, b in zip(row, inputs, strict=True)]
        ends = zip(row, self._lower, self._upper, strict=True)
        return constant + sum((c * (low if c > 0 else high) for c, low, high in ends if c), _ZERO)

    def _layer_lines(
        self, k: int, layer: Layer, lower: Vector, upper: Vector, kinks: Sequence[Fraction]
    ) -> list[tuple[_Line, _Line]]:
        lines = []
        for i in range(layer.size):
            negative = Fraction(float(layer.negative_slope[i]))
            positive = Fraction(float(layer.positive_slope[i]))
            low, high = Fraction(float(lower[i])), Fraction(float(upper[i]))
            near = self._thorough or min(-low, high) < _NEAR * max(-low, high, _ONE)
            if near and low < 0 < high and negative != positive:
                low, high = self._tight(k, i, layer.size, low, high)
            if low >= 0 or high <= 0 or negative == positive:
                line = _Line(positive if low >= 0 else negative, _ZERO)
                lines.append((line, line))
                continue
            chord_slope = (positive * high - negative * low) / (high - low)
            chord = _Line(chord_slope, (positive - chord_slope) * high)
            kink = min(max(kinks[i], min(negative, positive)), max(negative, positive))
            through = _Line(kink, _ZERO)
            lines.append((through, chord) if positive > negative else (chord, through))
        return lines

    def _tight(self, k: int, i: int, size: int, low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
        unit = [_ZERO] * size
        unit[i] = _ONE
        low = max(low, self.bound(k, unit, None, _ZERO))
        unit = [_ZERO] * size
        unit[i] = -_ONE
        return low, min(high, -self.bound(k, unit, None, _ZERO))


def _through(affine: Affine, row: Fractions) -> Fractions:
    result = [_ZERO] * affine.columns
    for i, c in enumerate(row):
        if not c:
            continue
        columns, values = _row_of(affine, i)
        for j, w in zip(columns, values, strict=True):
            if w:
                result[int(j)] += c * Fraction(float(w))
    return result


def _row_of(affine: Affine, i: int) -> tuple[NDArray[np.intp], Vector]:
    weight = affine.weight
    if isinstance(weight, np.ndarray):
        return np.arange(affine.columns), weight[i]
    start, end = weight.indptr[i], weight.indptr[i + 1]
    return weight.indices[start:end], weight.data[start:end]
