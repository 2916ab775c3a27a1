"""Products made ready for a box.

The normal form writes a product as a difference of two squares, ``x·y = (p² − m²)/4`` with ``p = c·x + y/c`` and
``m = c·x − y/c``.  Any ``c > 0`` will do, but not equally well: on intervals of widths ``a`` and ``b`` the chords above
the squares are at most ``(c·a + b/c)²/4`` too high, so the product is enclosed within ``(c·a + b/c)²/16`` on either
side.  That is least, ``a·b/4``, for ``c² = b/a``, which is what McCormick's planes, the hull of the product over the
box, lose in its middle (G. P. McCormick, *Mathematical Programming* 10, 1976).  A network is read before its query is
known, so the choice is made here, for the box of the query; ``c`` is a power of two, by which scaling is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.magnitude import activation_interval, affine_interval
from slir_milp.bounding.quadratic import carried, dense, groups, reduced, squares_of
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.neurons import finish
from slir_milp.network.normal_form import Network

_MOST = 40
"""Largest power of two that a factor is scaled by: beyond, the rounding of the sum would cost more."""

Indices = NDArray[np.intp]


def prepared(network: Network, lower: Vector, upper: Vector, *, everywhere: bool = False) -> Network:
    """The network with its products and sums of squares written as suits a box.

    Parameters
    ----------
    network
        The network.
    lower, upper
        The box that it is to be bounded on.
    everywhere
        Whether the result must be the same function outside of the box too; then products are balanced, but sums of
        squares are left as they are.

    Returns
    -------
    Network
        The same function on the box; ``network`` itself if there is nothing to gain.  Where numbers were rounded, radii
        say by how much.
    """
    for _, changed in stages(network, lower, upper, everywhere=everywhere):
        network = changed
    return network


def stages(
    network: Network, lower: Vector, upper: Vector, *, everywhere: bool = False
) -> Iterator[tuple[int, Network]]:
    """The same layer by layer: after each, its number and the network with the squares of layers so far exchanged."""
    for k in range(len(network.layers)):
        free = squares_of(network, k)
        if len(free):
            for group in () if everywhere else groups(network, k):
                network = reduced(network, k, group, lower, upper) or network
                free = np.setdiff1d(free, group.members)
            found = _products(free, _uses(network)[k])
            network = _balanced(network, k, found, lower, upper, everywhere=everywhere)
        yield k, network
        layer = network.layers[k]
        lower, upper = activation_interval(layer, *affine_interval(layer.affine, lower, upper))


def _balanced(
    network: Network, k: int, products: _Products, lower: Vector, upper: Vector, *, everywhere: bool
) -> Network:
    """The network with the factors of some products of layer ``k`` rescaled for a box of what the layer is given.

    Later rows take ``w·p² - w·m²`` with coefficients that may be known up to radii only.  For the stored ones nothing
    changes; what the true ones are off by multiplies other squares than before, and the most that this can make is
    added to the radius of each row.
    """
    affine = _rescaled(network.affines[k], products, lower, upper) if len(products.first) else None
    if affine is None:
        return network
    before, after = (_largest_squares(a, lower, upper) for a in (network.affines[k], affine))
    members = np.union1d(products.first, products.second)
    moved = np.zeros(affine.rows)
    moved[members] = np.maximum(before, after)[members]
    affines = list(network.affines)
    affines[k] = affine
    for following in range(k + 1, len(affines)):
        radius = affines[following].weight_radius
        reach = np.zeros(affines[following].rows) if radius is None else (dense(radius) != 0) @ (moved > 0)
        if radius is not None and reach.any():
            with np.errstate(over="ignore", invalid="ignore"):
                reach = np.where(reach > 0, dense(radius) @ moved * (1 + 2.0**-30) + 2.0**-1000, 0.0)
            if everywhere or not np.isfinite(reach).all():
                return network
            affines[following] = _loosened(affines[following], reach)
        if following == len(network.layers):
            break
        rows, sources = carried(network, following)
        moved, passed = np.zeros(affines[following].rows), moved
        moved[rows] = passed[sources]
    layers = tuple(replace(layer, affine=a) for layer, a in zip(network.layers, affines[:-1], strict=True))
    return replace(network, layers=layers, output=affines[-1])


def _largest_squares(affine: Affine, lower: Vector, upper: Vector) -> Vector:
    """Upper bound on the square of every row over a box; infinite where it overflows."""
    low, high = affine_interval(affine, lower, upper)
    with np.errstate(over="ignore"):
        return np.asarray(np.maximum(np.abs(low), np.abs(high)) ** 2 * (1 + 2.0**-50) + 2.0**-1000)


def _loosened(affine: Affine, reach: Vector) -> Affine:
    """The map with larger radii of its biases."""
    radius = reach if affine.bias_radius is None else (affine.bias_radius + reach) * (1 + 2.0**-50)
    return replace(affine, bias_radius=radius)


def _uses(network: Network) -> list[NDArray[np.float64]]:
    """For every layer the coefficients of its neurons in all later rows that do more than carry one value on."""
    following: NDArray[np.float64] = np.zeros((0, network.output_size))
    carries: list[tuple[Indices, Indices]] = [carried(network, k) for k in range(1, len(network.layers))]
    carries.append((np.zeros(0, np.intp), np.zeros(0, np.intp)))
    found: list[NDArray[np.float64]] = []
    for affine, (rows, sources) in zip(reversed(network.affines[1:]), reversed(carries), strict=True):
        own = np.delete(dense(affine.weight), rows, axis=0)
        later = np.zeros((following.shape[0], affine.columns))
        np.add.at(later.T, sources, following[:, rows].T)
        following = np.vstack([own, later])
        found.append(following)
    return found[::-1]


@dataclass(frozen=True, eq=False)
class _Products:
    """Pairs of squares of one layer: ``p² − (2^shift·m)²`` is all that is ever made of them."""

    first: Indices
    second: Indices
    shift: NDArray[np.int64]


def _products(here: Indices, uses: NDArray[np.float64]) -> _Products:
    """Find the squares that only ever occur as differences: their coefficients are opposite, up to a power of four."""
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
