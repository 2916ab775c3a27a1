"""Squares exchanged for others: a network that encloses the one in the file.

Products and quadratic forms reach the normal form as sums of squares, which can be written in many ways.  A proof may
exchange the squares of a layer and the coefficients by which later rows use them.  Nothing that it says of them is
believed: whatever differs becomes a radius of the row, computed here.

Statement 6.  Let ``v`` be the values that the layer is given, in a box: ``v = m + r·u`` with ``|u_q| ≤ 1``.  Let
``t_s + e_s`` be the arguments of its squares, ``t_s`` by the stored coefficients and ``|e_s| ≤ o_s`` by their radii;
``t'_s`` those after the exchange, which are exact.  A *carrier* is an identity neuron whose row is a single one: it
repeats a square.  Any other later row uses the squares with coefficients ``w_s``, known to within ``p_s``, and adds a
constant ``c``; after the exchange, ``w'_s`` and ``c'``.  Its values before and after differ by at most ``|D| + E``,

    D = Σ w_s t_s² - Σ w'_s t'_s² + c - c',    E = Σ (|w_s| o_s (2 T_s + o_s) + p_s (T_s + o_s)²),    T_s ≥ |t_s|,

for ``(t + e)² - t² = e (2t + e)``.  ``D`` is a quadratic form of ``(u, 1)``; with ``Q`` its matrix, ``|D| ≤ Σ |Q_ij|``.
The radius of ``c'`` is increased by as much.  So for every input in the box the new network, with some choice of its
constants within their radii, gives the values they had to all outputs and to all neurons but the exchanged squares and
their carriers: by induction over the layers.  What is refuted of the new network in the box is refuted of the old one.
Several exchanges follow each other, each of the network that the last one gave.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from slir_milp.activations import Curve
from slir_milp.activations.formula import X
from slir_milp.certificate.check.arithmetic import LARGEST, Array, Balls, Exact, float_beyond, rational
from slir_milp.certificate.check.curves import CurveRanges
from slir_milp.certificate.check.lines import Activations
from slir_milp.certificate.check.relaxation import Map
from slir_milp.certificate.rewriting import BIAS, Records
from slir_milp.errors import ProofError
from slir_milp.network.affine import Affine
from slir_milp.network.neurons import finish
from slir_milp.network.normal_form import Layer, Network
from slir_milp.network.storage import to_dense
from slir_milp.query.formula import And, Atom, Formula

_MOST_PRODUCTS, _MOST_ELEMENTS, _MOST_FORMS = 2**26, 2**24, 2**20


class _Part(NamedTuple):
    """What changes in one affine map: records of coefficients, and of constants."""

    coefficients: Records
    constants: Records

    @property
    def rows(self) -> Array:
        return np.union1d(self.coefficients["row"], self.constants["row"])


class _Squares(NamedTuple):
    """Squares ``s`` of ``t_s = forms_s · (u, 1)`` with ``|t_s| ≤ sizes_s``, known to within ``errors_s``."""

    forms: Array
    sizes: Array
    errors: Array


def box_of(formula: Formula, inputs: int) -> tuple[Array, Array]:
    """A box that holds every input that meets a formula: float64 ends, infinite where nothing is known."""
    lower, upper = np.full(inputs, -np.inf), np.full(inputs, np.inf)
    if isinstance(formula, Atom):
        if len(formula.terms) == 1 and formula.terms[0][0] < inputs:
            ((q, coefficient),) = formula.terms
            end = float_beyond(rational(-formula.constant / coefficient), up=coefficient > 0)
            (upper if coefficient > 0 else lower)[q] = end
    elif formula.parts:
        parts = [box_of(part, inputs) for part in formula.parts]
        larger, smaller = (np.maximum, np.minimum) if isinstance(formula, And) else (np.minimum, np.maximum)
        lower, upper = reduce(larger, (low for low, _ in parts)), reduce(smaller, (high for _, high in parts))
    return lower, upper


class Rewriter:
    """A network, and what it becomes by exchanging squares of one layer after another.

    Parameters
    ----------
    network
        The network in the file.
    formula
        The formula; the result encloses the network for every input that meets it.

    Attributes
    ----------
    network
        What it has become.
    """

    def __init__(self, network: Network, formula: Formula) -> None:
        self.network, self._formula, self._next = network, formula, 0

    def exchange(self, records: Records) -> None:
        """Exchange squares as a proof says; see :mod:`slir_milp.certificate.rewriting`.

        Raises
        ------
        ProofError
            Something else would be exchanged, or the squares have no bounds.
        """
        first = np.cumsum([0, *(affine.rows for affine in self.network.affines)])
        where = np.searchsorted(first, records["row"], side="right") - 1
        k, parts = int(where[0]), list[_Part]()
        if not self._next <= k < len(self.network.layers) >= where.max() or where.min() < k:
            raise ProofError("a rewriting names rows that are not there, or rows before those it exchanges.")
        for j, affine in enumerate(self.network.affines):
            part = records[where == j].copy()
            part["row"] -= np.uint32(first[j])
            constant = part["column"] == BIAS
            parts.append(_Part(part[~constant], part[constant]))
            if (part["column"][~constant] >= affine.columns).any() or affine.rows * affine.columns > _MOST_ELEMENTS:
                raise ProofError("a rewriting names columns that are not there, or the network is too large for it.")
        try:
            self.network = _rewritten(self.network, k, parts, *box_of(self._formula, self.network.input_size))
        except (OverflowError, ValueError):
            raise ProofError("a rewriting exchanges squares that have no bounds.") from None
        self._next = k + 1


def _rewritten(network: Network, k: int, parts: list[_Part], lower: Array, upper: Array) -> Network:
    """Statement 6, for all inputs of a box."""
    layer, depth, affines = network.layers[k], len(network.layers), list(network.affines)
    members = parts[k].rows
    squares = [isinstance(f, Curve) and f.formula == X**2 for f in layer.functions]
    if not np.array(squares)[layer.function_index[members]].all():
        raise ProofError("a rewriting exchanges neurons that are no squares.")
    affines[k] = _exchanged(layer.affine, parts[k], members)
    old, new = _squares([layer.affine, affines[k]], members, *_given(network, k, lower, upper))
    carried = np.full(layer.size, -1)
    carried[members] = np.arange(len(members))
    for j in range(k + 1, depth + 1):
        if (carried[parts[j].coefficients["column"]] < 0).any():
            raise ProofError("a rewriting changes coefficients of something else than the squares it exchanges.")
        onward = _carriers(network.layers[j], carried, parts[j].rows) if j < depth else np.full(affines[j].rows, -1)
        affines[j] = _widened(affines[j], _exchanged(affines[j], parts[j]), carried, onward, old, new)
        carried = onward
    layers = tuple(replace(layer, affine=affine) for layer, affine in zip(network.layers, affines[:-1], strict=True))
    return replace(network, layers=layers, output=affines[-1])


def _given(network: Network, k: int, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Bounds of what layer ``k`` is given, by interval arithmetic."""
    numbers, low, high = Balls(), lower[None], upper[None]
    for layer in network.layers[:k]:
        map_, largest = Map(layer.affine, numbers), np.maximum(abs(low), abs(high))
        activations = Activations(layer, numbers, {curve: CurveRanges(curve) for curve, _ in layer.curves})
        with np.errstate(all="ignore"):
            size, radius = map_.sizes(np.where(largest < LARGEST, largest, np.inf))
            rounding = numbers.gamma(2 * (layer.affine.rows + layer.affine.columns) + 64) * size
            low, high = activations.ranges(*map_.interval(low, high, rounding, radius))
    return low[0], high[0]


def _squares(maps: list[Affine], members: Array, lower: Array, upper: Array) -> list[_Squares]:
    """Arguments of squares before and after, over intervals of what is given, of which those used must be finite."""
    numbers, found = Exact(), []
    weights = [to_dense(affine.weight)[members] for affine in maps]
    radii = [0 * weights[0] if a.weight_radius is None else to_dense(a.weight_radius)[members] for a in maps]
    used = np.any([*weights, *radii], axis=(0, 1))
    if weights[0].size > _MOST_FORMS:
        raise ProofError("a rewriting exchanges more squares than can be compared.")
    low, high = numbers.array(lower[used]), numbers.array(upper[used])
    for affine, weight, radius in zip(maps, weights, radii, strict=True):
        part = numbers.array(weight[:, used])
        level = part @ ((low + high) / 2) + numbers.array(affine.bias[members])
        forms = np.column_stack([part * ((high - low) / 2), level])
        errors = numbers.array(radius[:, used]) @ np.maximum(abs(low), abs(high))
        errors = errors + (0 if affine.bias_radius is None else numbers.array(affine.bias_radius[members]))
        found.append(_Squares(forms, abs(forms).sum(axis=1), errors))
    return found


def _carriers(layer: Layer, carried: Array, changed: Array) -> Array:
    """For each neuron the place of the square that it only repeats, or -1; none of those ``changed`` does."""
    affine, weight = layer.affine, to_dense(layer.affine.weight)
    plain = (layer.negative_slope == 1) & (layer.positive_slope == 1) & (affine.bias == 0)
    plain &= ((weight != 0).sum(axis=1) == 1) & (weight.max(axis=1, initial=0.0) == 1)
    if affine.weight_radius is not None:
        plain &= ~to_dense(affine.weight_radius).any(axis=1)
    if affine.bias_radius is not None:
        plain &= affine.bias_radius == 0
    plain[changed] = False
    return np.where(plain, carried[weight.argmax(axis=1)], -1)


def _widened(before: Affine, after: Affine, carried: Array, onward: Array, old: _Squares, new: _Squares) -> Affine:
    """A later map with radii that make up for the exchange."""
    numbers, radius = Exact(), before.weight_radius
    weights, changed = (to_dense(affine.weight) for affine in (before, after))
    radii = 0 * weights if radius is None else to_dense(radius)
    columns = carried >= 0
    touched = np.logical_or.reduce([(m[:, columns] != 0).any(axis=1) for m in (weights, changed, radii)])
    touched = (touched | (before.bias != after.bias)) & (onward < 0)
    total = np.zeros(after.rows) if after.bias_radius is None else after.bias_radius.copy()
    places = carried[columns]
    for i in np.flatnonzero(touched).tolist():
        w, v, p = (numbers.array(m[i, columns]) for m in (weights, changed, radii))
        o, size = old.errors[places], old.sizes[places]
        off = (abs(w) * o * (2 * size + o) + p * (size + o) ** 2).sum()
        forms = np.concatenate([old.forms[places[w != 0]], new.forms[places[v != 0]]])
        constant = rational(float(before.bias[i])) - rational(float(after.bias[i]))
        off += _largest(np.concatenate([w[w != 0], -v[v != 0]]), forms, constant)
        total[i] = float_beyond(rational(float(total[i])) + off, up=True)
    if not np.isfinite(total).all():
        raise OverflowError
    return replace(after, bias_radius=total if total.any() else None)


def _largest(weights: Array, forms: Array, constant: Any) -> Any:
    """``Σ |Q_ij|`` of the form ``Σ weight_s · (forms_s · (u, 1))² + constant``."""
    numbers, used = Exact(), (forms != 0).any(axis=0)
    used[-1] = True
    forms = forms[:, used]
    if forms.size * forms.shape[1] > _MOST_PRODUCTS:
        raise ProofError("a rewriting makes sums of squares that are too large to be compared.")
    matrix = numbers.product(forms.T, numbers.matrix(weights[:, None] * forms))
    matrix[-1, -1] += constant
    return abs(matrix).sum()


def _exchanged(affine: Affine, part: _Part, whole: Array | tuple[()] = ()) -> Affine:
    """The map with some coefficients and constants exchanged; of the rows ``whole`` nothing else is left."""
    weight, bias = to_dense(affine.weight).copy(), affine.bias.copy()
    radius = None if affine.weight_radius is None else to_dense(affine.weight_radius).copy()
    bias_radius = None if affine.bias_radius is None else affine.bias_radius.copy()
    for kept in (weight, bias, radius, bias_radius):
        if kept is not None:
            kept[list(whole)] = 0.0
    weight[part.coefficients["row"], part.coefficients["column"]] = part.coefficients["value"]
    bias[part.constants["row"]] = part.constants["value"]
    return finish(Affine(weight, bias, radius, bias_radius))
