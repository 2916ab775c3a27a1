"""Products made ready for a box.

The normal form writes a product as a difference of two squares, ``x·y = (p² − m²)/4`` with ``p = c·x + y/c`` and
``m = c·x − y/c``.  Any ``c > 0`` will do, but not equally well: on intervals of widths ``a`` and ``b`` the chords above
the squares are at most ``(c·a + b/c)²/4`` too high, so the product is enclosed within ``(c·a + b/c)²/16`` on either
side.  That is least, ``a·b/4``, for ``c² = b/a``, which is what McCormick's planes, the hull of the product over the
box, lose in its middle (G. P. McCormick, *Mathematical Programming* 10, 1976).  A network is read before its query is
known, so the choice is made here, for the box of the query; ``c`` is a power of two, by which scaling is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.catalogue import activation
from slir_milp.bounds.magnitude import activation_interval, affine_interval
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Matrix, Vector, is_sparse
from slir_milp.network.neurons import finish
from slir_milp.network.normal_form import Layer, Network

_MOST = 40
"""Largest power of two that a factor is scaled by: beyond, the rounding of the sum would cost more."""

Indices = NDArray[np.intp]


def balanced(network: Network, lower: Vector, upper: Vector) -> Network:
    """Rescale the factors of every product of a network.

    Parameters
    ----------
    network
        The network.
    lower, upper
        The box that it is to be bounded on.

    Returns
    -------
    Network
        The same function; ``network`` itself if there is nothing to gain.  Where a sum of rescaled factors is rounded,
        its radius says by how much.
    """
    square = activation("square")
    if all(curve != square for layer in network.layers for curve, _ in layer.curves):
        return network
    uses = _uses(network)
    layers: list[Layer] = []
    changed = False
    for k, layer in enumerate(network.layers):
        products = _products(layer, uses[k])
        if len(products.first):
            affine = _rescaled(layer.affine, products, lower, upper)
            if affine is not None:
                layer, changed = replace(layer, affine=affine), True
        layers.append(layer)
        lower, upper = activation_interval(layer, *affine_interval(layer.affine, lower, upper))
    return replace(network, layers=tuple(layers)) if changed else network


def _uses(network: Network) -> list[Matrix]:
    """For every layer the coefficients of its neurons in all later rows that do more than carry one value on."""
    following: Matrix = np.zeros((0, network.output_size))
    carried: list[tuple[Indices, Indices]] = [_carried(network, k) for k in range(1, len(network.layers))]
    carried.append((np.zeros(0, np.intp), np.zeros(0, np.intp)))
    found: list[Matrix] = []
    for affine, (rows, sources) in zip(reversed(network.affines[1:]), reversed(carried), strict=True):
        weight = affine.weight.toarray() if is_sparse(affine.weight) else affine.weight
        own = np.delete(weight, rows, axis=0)
        later = np.zeros((following.shape[0], affine.columns))
        np.add.at(later, (slice(None), sources), following[:, rows])
        following = np.vstack([own, later])
        found.append(following)
    return found[::-1]


def _carried(network: Network, k: int) -> tuple[Indices, Indices]:
    """Neurons of layer ``k`` that only repeat one of the layer before, and which one."""
    layer, affine = network.layers[k], network.layers[k].affine
    weight = affine.weight.toarray() if is_sparse(affine.weight) else affine.weight
    same = (layer.negative_slope == 1) & (layer.positive_slope == 1) & (affine.bias == 0)
    for radius in (affine.weight_radius, affine.bias_radius):
        if radius is not None:
            same &= np.asarray(abs(radius).sum(axis=1) if radius.ndim == 2 else radius).ravel() == 0
    same &= ((weight != 0).sum(axis=1) == 1) & (weight.max(axis=1, initial=0.0) == 1)
    rows = np.flatnonzero(same)
    return rows, weight[rows].argmax(axis=1) if len(rows) else rows


@dataclass(frozen=True, eq=False)
class _Products:
    """Pairs of squares of one layer: ``p² − (2^shift·m)²`` is all that is ever made of them."""

    first: Indices
    second: Indices
    shift: NDArray[np.int64]


def _products(layer: Layer, uses: Matrix) -> _Products:
    """Find the squares that only ever occur as differences: their coefficients are opposite, up to a power of four."""
    here = np.concatenate([np.zeros(0, np.intp), *(index for curve, index in layer.curves if curve == activation("square"))])
    waiting: dict[bytes, list[tuple[int, int]]] = {}
    pairs = []
    for i, column in zip(here.tolist(), uses[:, here].T, strict=True):
        used = column[column != 0]
        if not used.size:
            continue
        exponent = int(np.frexp(used[0])[1])
        scaled = np.ldexp(column, -exponent)
        partners = waiting.get((0.0 - scaled).tobytes(), [])
        partner = next((pair for pair in partners if (exponent - pair[1]) % 2 == 0), None)
        if partner is None:
            waiting.setdefault((0.0 + scaled).tobytes(), []).append((i, exponent))
        else:
            partners.remove(partner)
            pairs.append((partner[0], i, (exponent - partner[1]) // 2))
    first, second, shift = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
    return _Products(first, second, shift)


def _rescaled(affine: Affine, products: _Products, lower: Vector, upper: Vector) -> Affine | None:
    """The map with every pair of rows ``x + y, x − y`` rescaled; ``None`` if no pair has anything to gain."""
    p = compose.take(affine, products.first)
    m = compose.scale(compose.take(affine, products.second), np.ldexp(1.0, products.shift))
    x = compose.add(p, m)
    y = compose.add(p, compose.scale(m, np.full(m.rows, -1.0)))
    widths = []
    for factor in (x, y):
        low, high = affine_interval(factor, lower, upper)
        widths.append(high - low)
    usable = np.isfinite(widths[0]) & np.isfinite(widths[1]) & (widths[0] > 0) & (widths[1] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(usable, np.round(0.5 * np.log2(np.where(usable, widths[1] / widths[0], 1.0))), 0.0)
    power = np.clip(power, -_MOST, _MOST).astype(np.int64)
    if not power.any():
        return None
    # p + m is twice the first factor: halving it here keeps p'² − m'² = p² − m².
    x, y = compose.scale(x, np.ldexp(0.5, power)), compose.scale(y, np.ldexp(0.5, -power))
    difference = compose.add(x, compose.scale(y, np.full(y.rows, -1.0)))
    parts = [affine, compose.add(x, y), compose.scale(difference, np.ldexp(1.0, -products.shift))]
    changed = np.flatnonzero(power)
    order = np.arange(affine.rows)
    order[products.first[changed]] = affine.rows + changed
    order[products.second[changed]] = affine.rows + p.rows + changed
    return finish(compose.take(compose.stack(parts), order))
