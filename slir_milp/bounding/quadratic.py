"""Sums of squares made ready for a box.

A sum of products, such as a Lyapunov function's change ``d'Ps``, reaches the normal form as squares of linear forms
that are only ever added up in fixed proportions: ``q(z) = Σ_j κ_j (a_j·z + b_j)²``.  Infinitely many other squares have
the same sum, and the chords above them lose ``|κ_j|·width(a_j·z)²/4`` each.  Let ``u`` be the coordinates of a box in
which it is ``[−1, 1]^n``, and ``A`` the matrix of ``q`` in them.  The eigenvectors of ``A`` give the squares
``Σ_k λ_k (v_k·u + β_k)²`` whose coefficients have the least sum ``Σ|λ_k|`` among all with unit vectors: the nuclear
norm of ``A``.  For a single product ``x·y`` they are ``(x/r ± y/s)²``: see :mod:`slir_milp.bounding.balance`.

Eigenvectors are rounded, so the new sum differs from ``q``, and it is given no chance to do so unseen: the coefficients
of the difference are computed in rational arithmetic, and their magnitudes, added up for ``|u_i| ≤ 1``, bound it on the
box.  That bound becomes a radius of every row that uses the sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.catalogue import activation
from slir_milp.activations.outward import enclosure
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix, Vector, is_sparse
from slir_milp.network.neurons import finish
from slir_milp.network.normal_form import Network

Indices = NDArray[np.intp]

_MOST_VARIABLES = 40
_MOST_SQUARES = 64
_WORTH = 0.9
"""Squares are exchanged if their coefficients, of unit vectors, sum to less than this share of what they did."""


@dataclass(frozen=True, eq=False)
class Use:
    """Rows of affine map ``map`` that use a group's sum, and the columns at which its squares arrive there."""

    map: int
    rows: Indices
    columns: Indices


@dataclass(frozen=True, eq=False)
class Group:
    """Squares of one layer that only occur as ``Σ κ_j s_j``; a row of ``uses`` has it times its first coefficient."""

    members: Indices
    kappa: tuple[Fraction, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, eq=False)
class _Squares:
    """``Σ σ_k (v_k·z + β_k)² + constant``, which differs from a group's sum by at most ``error`` on the box."""

    rows: NDArray[np.float64]
    biases: Vector
    signs: Vector
    constant: float
    error: float


def dense(matrix: Matrix) -> NDArray[np.float64]:
    """Matrix with its zeros."""
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray())


def carried(network: Network, k: int) -> tuple[Indices, Indices]:
    """Neurons of layer ``k`` that only repeat one of the layer before, and which one."""
    layer, affine = network.layers[k], network.layers[k].affine
    weight = dense(affine.weight)
    same = (layer.negative_slope == 1) & (layer.positive_slope == 1) & (affine.bias == 0)
    if affine.bias_radius is not None:
        same &= affine.bias_radius == 0
    if affine.weight_radius is not None:
        same &= ~dense(affine.weight_radius).any(axis=1)
    same &= ((weight != 0).sum(axis=1) == 1) & (weight.max(axis=1, initial=0.0) == 1)
    rows = np.flatnonzero(same)
    return rows, weight[rows].argmax(axis=1) if len(rows) else rows


def squares_of(network: Network, k: int) -> Indices:
    """Neurons of layer ``k`` that are squares."""
    square = activation("square")
    here = [index for curve, index in network.layers[k].curves if curve == square]
    return np.sort(np.concatenate([np.zeros(0, np.intp), *here]))


def uses_of(network: Network, k: int, neurons: Indices) -> list[tuple[Use, NDArray[np.float64]]] | None:
    """Where neurons of layer ``k`` are used, through any neurons that only carry them on, and with which coefficients.

    ``None`` if some coefficient is known only up to a radius, or the neurons do not travel together.
    """
    found = []
    at = neurons
    for following in range(k + 1, len(network.affines)):
        affine = network.affines[following]
        weight = dense(affine.weight)
        rows, sources = carried(network, following) if following < len(network.layers) else (at[:0], at[:0])
        own = np.setdiff1d(np.flatnonzero(weight[:, at].any(axis=1)), rows)
        if affine.weight_radius is not None and dense(affine.weight_radius)[:, at].any():
            return None  # (a coefficient of zero may have a radius too)
        if len(own):
            found.append((Use(following, own, at), weight[np.ix_(own, at)]))
        on = [np.flatnonzero(sources == p) for p in at]
        if all(len(o) == 0 for o in on):
            break
        if any(len(o) != 1 for o in on):
            return None
        at = rows[np.concatenate(on)]
    return found


def groups(network: Network, k: int) -> Iterator[Group]:
    """Squares of layer ``k`` that are only ever added up in fixed proportions, three or more of them."""
    columns: dict[tuple[object, ...], list[tuple[int, Vector]]] = {}
    for i in squares_of(network, k).tolist():
        used = uses_of(network, k, np.array([i]))
        if not used:
            continue
        column = np.concatenate([coefficients[:, 0] for _, coefficients in used])
        places = tuple((use.map, *use.rows.tolist()) for use, _ in used)
        shape = tuple(np.round(column / column[0], 9).tolist())
        columns.setdefault((places, shape), []).append((i, column))
    for found in columns.values():
        lead = [Fraction(c) for c in found[0][1].tolist()]
        members, kappa = [], []
        for i, column in found:
            exact = [Fraction(c) for c in column.tolist()]
            if all(a * lead[0] == b * exact[0] for a, b in zip(exact, lead, strict=True)):
                members.append(i)
                kappa.append(exact[0] / lead[0])
        if 3 <= len(members) <= _MOST_SQUARES:
            used = uses_of(network, k, np.array(members))
            if used is not None:
                yield Group(np.array(members), tuple(kappa), tuple(use for use, _ in used))


def reduced(network: Network, k: int, group: Group, lower: Vector, upper: Vector) -> Network | None:
    """The network with a group's squares exchanged for those of the eigenvectors; ``None`` if that is not worth it.

    Parameters
    ----------
    network, k, group
        A group of layer ``k``.
    lower, upper
        Bounds of what the layer's affine map is given; the result is the same function on that box only.
    """
    squares = _eigensquares(network.affines[k], group, lower, upper)
    if squares is None:
        return None
    affines = list(network.affines)
    affines[k] = _with_rows(affines[k], group.members, squares)
    for use in group.uses:
        affines[use.map] = _with_uses(affines[use.map], use, squares)
    layers = tuple(replace(layer, affine=affine) for layer, affine in zip(network.layers, affines[:-1], strict=True))
    return replace(network, layers=layers, output=affines[-1])


def _eigensquares(affine: Affine, group: Group, lower: Vector, upper: Vector) -> _Squares | None:
    a_all = dense(compose.take(affine, group.members).weight)
    radii = None if affine.weight_radius is None else dense(storage.take_rows(affine.weight_radius, group.members))
    support = np.flatnonzero(a_all.any(axis=0) if radii is None else a_all.any(axis=0) | radii.any(axis=0))
    low, high = lower[support], upper[support]
    if len(support) > _MOST_VARIABLES or not np.isfinite(high - low).all():
        return None
    a, b = a_all[:, support], affine.bias[group.members]
    centre = 0.5 * low + 0.5 * high
    radius = np.maximum(high - centre, centre - low) * (1 + 2.0**-50)
    kappa = np.array([float(x) for x in group.kappa])
    # In plain float64: whatever comes out, its error is computed below.
    scaled, level = a * radius, a @ centre + b
    with np.errstate(over="ignore", invalid="ignore"):
        form = (scaled.T * kappa) @ scaled
    if not np.isfinite(form).all() or not np.isfinite(level).all():
        return None
    values, vectors = np.linalg.eigh(form)
    large = np.argsort(-np.abs(values))[: len(group.members)]
    large = large[np.abs(values[large]) > 1e-13 * np.abs(values).max(initial=0.0)]
    if not len(large):
        return None
    values, vectors = values[large], vectors[:, large].T
    size = np.sqrt(np.abs(values))
    rows = np.divide(vectors * size[:, None], radius, out=np.zeros_like(vectors), where=radius > 0)
    biases = size * ((vectors @ (scaled.T @ (kappa * level))) / values) - rows @ centre
    if not np.isfinite(rows).all() or not np.isfinite(biases).all():
        return None
    if np.abs(values).sum() > _WORTH * float(np.abs(kappa) @ (scaled**2).sum(axis=1)):
        return None
    signs = np.sign(values)
    constant, error = _difference(a, b, group.kappa, rows, biases, signs, centre, radius)
    if affine.weight_radius is not None or affine.bias_radius is not None:
        magnitude = np.maximum(np.abs(low), np.abs(high))
        off = np.zeros(len(b)) if radii is None else radii[:, support] @ magnitude
        if affine.bias_radius is not None:
            off = off + affine.bias_radius[group.members]
        off = off * (1 + 2.0**-40)
        terms = np.abs(level) + np.abs(scaled).sum(axis=1) + (np.abs(a) @ np.abs(centre) + np.abs(b)) * 2.0**-40
        largest = terms * (1 + 2.0**-30) + 2.0**-1000
        error += Fraction(float((np.abs(kappa) @ (2 * largest * off + off**2)) * (1 + 2.0**-30) + 2.0**-1000))
    shift = float(constant)
    full = np.zeros((len(rows), a_all.shape[1]))
    full[:, support] = rows
    return _Squares(full, biases, signs, shift, enclosure(error + abs(constant - Fraction(shift)))[1])


def _difference(
    a: NDArray[np.float64],
    b: Vector,
    kappa: tuple[Fraction, ...],
    rows: NDArray[np.float64],
    biases: Vector,
    signs: Vector,
    centre: Vector,
    radius: Vector,
) -> tuple[Fraction, Fraction]:
    """``Σ κ_j (a_j·z + b_j)² − Σ σ_k (v_k·z + β_k)²``: its value at the centre, and how far it may be from that."""
    weights = [*kappa, *(Fraction(-s) for s in signs.tolist())]
    middle = [Fraction(x) for x in centre.tolist()]
    reach = [Fraction(x) for x in radius.tolist()]
    linear, level = [], []
    for row, bias in zip([*a.tolist(), *rows.tolist()], [*b.tolist(), *biases.tolist()], strict=True):
        exact = [Fraction(x) for x in row]
        level.append(sum((p * q for p, q in zip(exact, middle, strict=True) if p), Fraction(bias)))
        linear.append([p * r for p, r in zip(exact, reach, strict=True)])
    value = sum((w * t * t for w, t in zip(weights, level, strict=True)), Fraction(0))
    off = Fraction(0)
    for i in range(len(middle)):
        slope = sum((w * row[i] * t for w, row, t in zip(weights, linear, level, strict=True)), Fraction(0))
        off += 2 * abs(slope)
        for j in range(i + 1):
            entry = sum((w * row[i] * row[j] for w, row in zip(weights, linear, strict=True) if row[j]), Fraction(0))
            off += abs(entry) * (1 if i == j else 2)
    return value, off


def _with_rows(affine: Affine, members: Indices, squares: _Squares) -> Affine:
    """The map with the group's rows exchanged: first the new ones, then rows of zeros."""
    rows = np.zeros((len(members), affine.columns))
    biases = np.zeros(len(members))
    rows[: len(squares.rows)], biases[: len(squares.rows)] = squares.rows, squares.biases
    at, columns = np.nonzero(rows)
    new = Affine(storage.from_entries(rows.shape, at, columns, rows[at, columns]), biases)
    if not is_sparse(affine.weight):
        new = Affine(rows, biases)
    order = np.arange(affine.rows)
    order[members] = affine.rows + np.arange(len(members))
    return finish(compose.take(compose.stack([affine, new]), order))


def _with_uses(affine: Affine, use: Use, squares: _Squares) -> Affine:
    """The map with the new squares' signs times what its rows had of the group's first."""
    weight = dense(affine.weight).copy()
    first = weight[use.rows, use.columns[0]].copy()
    weight[np.ix_(use.rows, use.columns)] = 0.0
    weight[np.ix_(use.rows, use.columns[: len(squares.signs)])] = first[:, None] * squares.signs
    bias = affine.bias.copy()
    radius = np.zeros(affine.rows) if affine.bias_radius is None else affine.bias_radius.copy()
    for row, factor in zip(use.rows.tolist(), first.tolist(), strict=True):
        exact = Fraction(float(bias[row])) + Fraction(factor) * Fraction(squares.constant)
        bias[row] = float(exact)
        off = abs(exact - Fraction(float(bias[row]))) + abs(Fraction(factor)) * Fraction(squares.error)
        radius[row] = enclosure(Fraction(float(radius[row])) + off)[1]
    if is_sparse(affine.weight):
        at, columns = np.nonzero(weight)
        return finish(
            replace(
                affine,
                weight=storage.from_entries(weight.shape, at, columns, weight[at, columns]),
                bias=bias,
                bias_radius=radius,
            )
        )
    return finish(replace(affine, weight=weight, bias=bias, bias_radius=radius))
