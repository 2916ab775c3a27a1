"""The truth about tiny networks, by exact enumeration of their linear pieces.

Inside a polytope of inputs on which every kink met so far has one sign, everything is linear: it is enough to know the
values at the corners, and a corner that lies on an edge cut by a kink is a mixture of the edge's two ends.  So a cell
is its corners, each with the values of the layer reached (rational numbers), and the walk through a network is: map the
values, cut at every kink, go on with both halves.  Nothing is shared with the program under test but the normal form.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, product

import numpy as np

from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Network
from slir_milp.query import And, Atom, Formula

Numbers = tuple[Fraction, ...]
Functional = Callable[["Corner"], Fraction]


@dataclass(frozen=True)
class Corner:
    """A corner of a cell: the input, the current layer's values there, and (as bits) the constraints that are tight."""

    x: Numbers
    z: Numbers
    tight: int


Cell = tuple[Corner, ...]


def box_cell(lower: Sequence[float | Fraction], upper: Sequence[float | Fraction]) -> Cell:
    """The cell of a whole box; inputs of zero width give no corner twice."""
    ends = [
        ((a, 1 << 2 * q), (b, 2 << 2 * q)) if a != b else ((a, 3 << 2 * q),)
        for q, (a, b) in enumerate(zip(lower, upper, strict=True))
    ]
    corners = []
    for choice in product(*ends):
        x = tuple(Fraction(value) for value, _ in choice)
        corners.append(Corner(x, x, sum(bit for _, bit in choice)))
    return tuple(corners)


def cut(cell: Cell, functional: Functional) -> Cell:
    """The part of a cell where a linear functional is at most zero; empty if there is none."""
    values = [functional(corner) for corner in cell]
    bit = 1 << max((corner.tight.bit_length() for corner in cell), default=0)
    kept = [
        replace(corner, tight=corner.tight | bit) if value == 0 else corner
        for corner, value in zip(cell, values, strict=True)
        if value <= 0
    ]
    for i, low in enumerate(cell):
        for j, high in enumerate(cell):
            if values[i] < 0 < values[j] and _are_joined(cell, i, j):
                share = values[i] / (values[i] - values[j])
                x, z = _mix(low.x, high.x, share), _mix(low.z, high.z, share)
                kept.append(Corner(x, z, (low.tight & high.tight) | bit))
    return tuple(kept)


def _are_joined(cell: Cell, i: int, j: int) -> bool:
    """Whether two corners are the ends of an edge: no third one meets all the constraints that are tight at both."""
    common = cell[i].tight & cell[j].tight
    return not any(corner.tight & common == common for k, corner in enumerate(cell) if k not in (i, j))


def _mix(a: Numbers, b: Numbers, share: Fraction) -> Numbers:
    return tuple(p + share * (q - p) for p, q in zip(a, b, strict=True))


def pieces(network: Network, lower: Sequence[float | Fraction], upper: Sequence[float | Fraction]) -> Iterator[Cell]:
    """Cells that cover a box, on each of which the network is linear; ``z`` are the outputs."""
    yield from _pieces(network, 0, box_cell(lower, upper))


def _pieces(network: Network, k: int, cell: Cell) -> Iterator[Cell]:
    mapped = tuple(replace(corner, z=z) for corner, z in zip(cell, _apply(network.affines[k], cell), strict=True))
    if k == len(network.layers):
        yield mapped
        return
    layer = network.layers[k]
    slopes = [
        (Fraction(float(s)), Fraction(float(t)))
        for s, t in zip(layer.negative_slope, layer.positive_slope, strict=True)
    ]
    for part in _cut_at_kinks(mapped, [i for i, (s, t) in enumerate(slopes) if s != t]):
        rising = [any(corner.z[i] > 0 for corner in part) for i in range(layer.size)]
        chosen = [t if up else s for up, (s, t) in zip(rising, slopes, strict=True)]
        bent = (replace(c, z=tuple(v * s for v, s in zip(c.z, chosen, strict=True))) for c in part)
        yield from _pieces(network, k + 1, tuple(bent))


def _cut_at_kinks(cell: Cell, neurons: list[int]) -> Iterator[Cell]:
    if not neurons:
        yield cell
        return
    i, rest = neurons[0], neurons[1:]
    if min(corner.z[i] for corner in cell) >= 0 or max(corner.z[i] for corner in cell) <= 0:
        yield from _cut_at_kinks(cell, rest)
        return
    yield from _cut_at_kinks(cut(cell, lambda corner: corner.z[i]), rest)
    yield from _cut_at_kinks(cut(cell, lambda corner: -corner.z[i]), rest)


def _apply(affine: Affine, cell: Cell) -> list[Numbers]:
    weight = affine.weight if isinstance(affine.weight, np.ndarray) else affine.weight.toarray()
    rows = [
        ([Fraction(w) for w in row], Fraction(b)) for row, b in zip(weight.tolist(), affine.bias.tolist(), strict=True)
    ]
    return [tuple(sum((w * v for w, v in zip(row, c.z, strict=True) if w), b) for row, b in rows) for c in cell]


def alternatives(formula: Formula) -> list[list[Atom]]:
    """Disjunctive normal form, all of it."""
    if isinstance(formula, Atom):
        return [[formula]]
    parts = [alternatives(part) for part in formula.parts]
    if isinstance(formula, And):
        return [list(chain(*choice)) for choice in product(*parts)]
    return list(chain(*parts))


def value_of(atom: Atom, corner: Corner) -> Fraction:
    """Left side of an inequality at a corner of a piece."""
    point = corner.x + corner.z
    return sum((c * point[variable] for variable, c in atom.terms), atom.constant)


def find_witness(
    network: Network,
    formula: Formula,
    lower: Sequence[float | Fraction],
    upper: Sequence[float | Fraction],
    margin: Fraction = Fraction(0),
) -> Numbers | None:
    """An input of a box that meets a formula, exactly as written; ``None`` if there is none.

    Parameters
    ----------
    margin
        Every inequality is made harder to meet by so much (easier, if negative).
    """
    clauses = [[replace(a, constant=a.constant + margin) for a in clause] for clause in alternatives(formula)]
    for piece in pieces(network, lower, upper):
        for clause in clauses:
            found = _meets(piece, clause)
            if found is not None:
                return found
    return None


def _meets(piece: Cell, clause: list[Atom]) -> Numbers | None:
    cell = piece
    for atom in clause:
        cell = cut(cell, lambda corner, atom=atom: value_of(atom, corner))
        if not cell:
            return None
    # A strict inequality holds somewhere in the cell if it holds at a corner; all of them hold together half way.
    best = [min(cell, key=lambda corner, atom=atom: value_of(atom, corner)) for atom in clause if atom.strict]
    if any(value_of(atom, c) >= 0 for atom, c in zip((a for a in clause if a.strict), best, strict=True)):
        return None
    chosen = best or [cell[0]]
    return tuple(sum(column, Fraction(0)) / len(chosen) for column in zip(*(c.x for c in chosen), strict=True))


def extremes(
    network: Network, terms: Sequence[tuple[int, Fraction]], lower: Sequence[float], upper: Sequence[float]
) -> tuple[Fraction, Fraction]:
    """Least and greatest value of a linear functional of inputs and outputs over a box, exactly."""
    row = Atom(tuple(terms), Fraction(0))
    values = [value_of(row, corner) for piece in pieces(network, lower, upper) for corner in piece]
    return min(values), max(values)
