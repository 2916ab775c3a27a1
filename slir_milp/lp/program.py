"""The linear program of a region: its envelopes, its conditions, and the rows of a query to be met.

Columns are ``ξ`` (scaled inputs), ``r`` and ``p`` (scaled parts of the unstable neurons, see
:mod:`slir_milp.lp.elimination`) and ``t``; rows, in this order,

- ``r − p = x(ξ, r)`` for every unstable neuron, with ``r, p ≥ 0``: the two half-lines of its kink;
- ``−l·r + u·p ≤ −l·u``: its chord, whatever its hinge;
- ``σ·x(ξ, r) ≤ 0`` for every neuron that was put on a side;
- the region's half-spaces;
- ``row(y, x) ≤ t`` for every row of the query, where ``t`` is to be as small as possible;
- the lines of curves, as they are added.

A curve has ``e`` and ``χ`` (:mod:`slir_milp.lp.curves`) in the places of ``r`` and ``p``, the equation
``χ = x(ξ, r, e)`` in units of its interval, and no chord.

If ``t > 0`` at the optimum then no point of the region meets every row.  The program is made anew for each region: on
ACAS Xu that and solving it from nothing take less time, mostly far less, than changing and re-solving one program that
keeps every neuron (``docs/linear-programs.md`` has the figures).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.region import NeuronBounds, Region, Side
from slir_milp.lp.curves import Cuts, Mask, rows_of
from slir_milp.lp.elimination import Affines, Elimination, Neurons, eliminate
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.solvers import LinearProgram, RowBlock

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Relaxation:
    """A linear program and what its rows and columns stand for.

    Attributes
    ----------
    program
        The program.
    parts
        What was eliminated, and the scales of the columns.
    split_scale, half_space_scale
        The divisors of the rows of splits and of half-spaces; shapes ``(splits,)`` and ``(half-spaces,)``.
    objective_scale
        One unit of the program's objective, in the unit of the query's rows.
    query_rows
        Number of the query's rows.
    cuts
        The lines of curves, in the order of their rows.
    """

    program: LinearProgram
    parts: Elimination
    split_scale: Vector
    half_space_scale: Vector
    objective_scale: float
    query_rows: int
    cuts: Cuts

    @property
    def positive_parts(self) -> slice:
        """Columns ``r``, or ``e``."""
        return slice(self.parts.inputs, self.parts.inputs + self.parts.count)

    @property
    def negative_parts(self) -> slice:
        """Columns ``p``, or ``χ``."""
        return slice(self.parts.inputs + self.parts.count, self.parts.inputs + 2 * self.parts.count)

    @property
    def row_groups(self) -> tuple[slice, slice, slice, slice, slice]:
        """Rows of the equations, chords, splits, half-spaces and the query; the lines of curves come after them."""
        chords, splits = len(self.parts.hinges), len(self.split_scale)
        sizes = (self.parts.count, chords, splits, len(self.half_space_scale), self.query_rows)
        ends = np.cumsum(sizes).tolist()
        first, second, third, fourth, fifth = (slice(end - size, end) for end, size in zip(ends, sizes, strict=True))
        return first, second, third, fourth, fifth

    @property
    def cut_rows(self) -> slice:
        """Rows of the lines of curves."""
        return slice(self.program.rows - len(self.cuts), self.program.rows)

    def with_lines(self, of: Neurons, below: Mask, slope: Vector) -> tuple[Relaxation, RowBlock]:
        """The program with more lines of curves (see :func:`slir_milp.lp.curves.rows_of`), and their rows."""
        columns = (self.positive_parts.start, self.negative_parts.start)
        cuts, block = rows_of(self.parts.bands, of, below, slope, columns)
        return replace(self, program=self.program.with_rows(block), cuts=self.cuts + cuts), block


@dataclass(frozen=True, eq=False)
class Block:
    """Dense rows ``lower ≤ matrix @ (ξ, r, p) ≤ upper``, each divided by its largest coefficient.

    Attributes
    ----------
    matrix, lower, upper
        The divided rows.
    scale
        The divisors.
    """

    matrix: Matrix
    lower: Vector
    upper: Vector
    scale: Vector

    @staticmethod
    def at_most_zero(values: Affines, columns: int, least: float = -np.inf) -> Block:
        """``least ≤ values ≤ 0``."""
        scale = np.abs(values.matrix).max(axis=1, initial=0.0)
        scale = np.where(scale > 0, scale, 1.0)
        upper = -values.constant / scale
        return Block(_padded(values.matrix / scale[:, None], columns), upper + least, upper, scale)


def relax(
    network: Network, rows: Rows, region: Region, neurons: NeuronBounds, *, own_scales: bool = False
) -> Relaxation | None:
    """Make the linear program of a region and a query.

    Parameters
    ----------
    network, rows, region
        What is asked: rows over the outputs and the inputs, all of them to be at most zero.
    neurons
        Bounds of every pre-activation, within the region's sides (:func:`slir_milp.lp.elimination.within_sides`).
    own_scales
        As for :func:`slir_milp.lp.elimination.eliminate`.

    Returns
    -------
    Relaxation or None
        ``None`` where the program would be too large or has numbers that are not finite.
    """
    parts = eliminate(network, region, neurons, own_scales=own_scales)
    if parts is None or len(rows) == 0:
        return None
    with np.errstate(all="ignore"):
        matrix = rows.coefficients @ parts.last.matrix
        constant = rows.coefficients @ parts.last.constant + rows.constants
        if rows.inputs is not None:
            matrix[:, : parts.inputs] += rows.inputs * parts.radius
            constant = constant + rows.inputs @ parts.midpoint
    return assemble(region, parts, Affines(matrix, constant))


def assemble(region: Region, parts: Elimination, query: Affines) -> Relaxation | None:
    """Put the rows together; ``query`` are the values to be at most ``t``, none for a program without objective."""
    width = parts.inputs + 2 * parts.count
    with np.errstate(all="ignore"):
        objective_scale = float(np.abs(query.matrix).max(initial=0.0)) or 1.0
        splits = Block.at_most_zero(_outside(region, parts), width)
        half_spaces = Block.at_most_zero(
            Affines(region.half_spaces.normals * parts.radius, _offsets_at_midpoint(region, parts)), width
        )
        goal = _padded(query.matrix / objective_scale, width)
        goal_upper = -query.constant / objective_scale
    blocks = (equations(parts), chords(parts), splits, half_spaces)
    matrix = np.concatenate([*(block.matrix for block in blocks), goal])
    with_goal = len(goal_upper) > 0
    if with_goal:
        column = np.zeros((len(matrix), 1))
        column[len(matrix) - len(goal) :] = -1.0
        matrix = np.concatenate([matrix, column], axis=1)
    lower = np.concatenate([*(block.lower for block in blocks), np.full(len(goal), -np.inf)])
    upper = np.concatenate([*(block.upper for block in blocks), goal_upper])
    if not (np.isfinite(matrix).all() and np.isfinite(upper).all()):
        return None
    reach = np.where(parts.radius > 0, 1.0, 0.0)
    # The chord implies these two bounds; stated, they save the dual simplex a third to a half of its steps.
    with np.errstate(all="ignore"):
        most = np.stack([parts.upper, -parts.lower]) / parts.scale
    least = np.zeros_like(most)
    bands = parts.bands
    width_of_chi = np.where(bands.lower < bands.upper, 1.0, 0.0)
    least[:, bands.at], most[:, bands.at] = [bands.least, -width_of_chi], [bands.greatest, width_of_chi]
    free = np.full(1 if with_goal else 0, np.inf)
    program = sparse_program(
        costs=np.concatenate([np.zeros(width), np.ones(len(free))]),
        column_lower=np.concatenate([-reach, least.ravel(), -free]),
        column_upper=np.concatenate([reach, most.ravel(), free]),
        row_lower=lower,
        row_upper=upper,
        matrix=matrix,
    )
    return Relaxation(program, parts, splits.scale, half_spaces.scale, objective_scale, len(goal), Cuts.none())


def equations(parts: Elimination) -> Block:
    """``r − p = x(ξ, r)``, each divided by the neuron's scale, or ``χ = x(ξ, r)`` in units of a curve's interval."""
    inputs, count, bands = parts.inputs, parts.count, parts.bands
    scale = parts.scale.copy()
    scale[bands.at] = bands.radius
    matrix = _padded(-parts.open_values.matrix / scale[:, None], inputs + 2 * count)
    index = parts.hinges
    matrix[index, inputs + index] += 1.0
    matrix[index, inputs + count + index] -= 1.0
    matrix[bands.at, inputs + count + bands.at] += 1.0
    side = parts.open_values.constant / scale
    side[bands.at] -= bands.middle / bands.radius
    return Block(matrix, side, side, scale)


def chords(parts: Elimination) -> Block:
    """``−l·r + u·p ≤ −l·u``, each divided by the neuron's scale and by the larger of ``−l`` and ``u``."""
    inputs, count, hinges = parts.inputs, parts.count, parts.hinges
    lower, upper, scale = parts.lower[hinges], parts.upper[hinges], parts.scale[hinges]
    matrix = np.zeros((len(hinges), inputs + 2 * count))
    index = np.arange(len(hinges))
    largest = np.maximum(-lower, upper)
    below, above = -lower / largest, upper / largest
    matrix[index, inputs + hinges] = below
    matrix[index, inputs + count + hinges] = above
    return Block(matrix, np.full(len(hinges), -np.inf), below * (upper / scale), scale * largest)


def sparse_program(
    *, costs: Vector, column_lower: Vector, column_upper: Vector, row_lower: Vector, row_upper: Vector, matrix: Matrix
) -> LinearProgram:
    """Store a program by the non-zeros of its matrix."""
    rows, columns = np.nonzero(matrix)
    starts = np.zeros(len(matrix) + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=len(matrix)), out=starts[1:])
    return LinearProgram(
        costs, column_lower, column_upper, row_lower, row_upper, starts, columns.astype(np.int32), matrix[rows, columns]
    )


def _outside(region: Region, parts: Elimination) -> Affines:
    """``σ·x`` of every neuron that was put on a side: at most zero there."""
    if region.sides is None:
        return Affines(parts.split_values.matrix, parts.split_values.constant)
    sides = [region.sides[k][chosen] for k, chosen in enumerate(parts.split_neurons)]
    sigma = np.where(np.concatenate([np.zeros(0, dtype=np.int8), *sides]) == Side.POSITIVE, -1.0, 1.0)
    return Affines(sigma[:, None] * parts.split_values.matrix, sigma * parts.split_values.constant)


def _offsets_at_midpoint(region: Region, parts: Elimination) -> Vector:
    return np.asarray(region.half_spaces.normals @ parts.midpoint + region.half_spaces.offsets)


def _padded(matrix: Matrix, columns: int) -> Matrix:
    """The matrix with zero columns to its right."""
    wide = np.zeros((len(matrix), columns))
    wide[:, : matrix.shape[1]] = matrix
    return wide
