"""Backward evaluation: the one routine that turns proposals into sound lower bounds.

A row is a linear functional of the outputs (or of some layer's pre-activations) and of the inputs.  It is carried
backward through the network; at each neuron its coefficient's sign chooses the lower or the upper line, so that the
functional can only decrease; at the end it is a linear function of the input whose minimum over the region is found
exactly.

*Theorem.*  Let every line enclose its activation on the region, and every multiplier be non-negative.  Then the value
returned is at most the minimum of the row over all points of the region, in real arithmetic.

*Proof.*  By induction over the layers the row is at least ``c·x_k + K − E`` where ``c`` are the float64 numbers
actually computed, ``K`` the sum of the constants and ``E`` the charges: replacing ``c·z`` by ``c·(line)`` decreases it,
adding ``μ·(x − e) ≤ 0`` decreases it, and what the roundings of one layer can add is at most
``Σ_i |c_i| · slack_i`` (see :mod:`slir_milp.bounding.magnitude`).  ∎

This module is the readable reference; :mod:`slir_milp.bounding.kernel` is the compiled twin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.lines import Lines
from slir_milp.bounding.magnitude import Slack
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.bounding.rounding import UNIT, gamma
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network

Rows2D = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear functionals ``coefficients @ values + inputs @ x + constants`` to be bounded from below.

    Attributes
    ----------
    coefficients
        Shape ``(rows, width)``: over the outputs, or over the pre-activations of the layer they start from.
    inputs
        Shape ``(rows, inputs)``: direct dependence on the network's inputs; ``None`` for none.
    constants
        Shape ``(rows,)``.
    """

    coefficients: Rows2D
    inputs: Rows2D | None
    constants: Vector

    def __len__(self) -> int:
        return len(self.constants)


@dataclass(frozen=True, eq=False)
class InputRows:
    """What is left of rows at the input: ``normals @ x + offsets ≤ row`` on the whole region.

    Attributes
    ----------
    normals
        Shape ``(rows, inputs)``.
    offsets
        Shape ``(rows,)``; all rounding of the walk is subtracted.
    trace
        For every layer, first to last, the coefficients on its activations *before* a line was chosen.
    """

    normals: Rows2D
    offsets: Vector
    trace: tuple[Rows2D, ...]


@dataclass(frozen=True, eq=False)
class Splits:
    """Multiples of what is known of the neurons that a region was divided at.

    Attributes
    ----------
    multipliers, ends
        Per layer, shape ``(layer.size,)``: ``μ`` and ``e`` such that ``μ·(x − e) ≤ 0`` for the pre-activation ``x`` at
        every counterexample of the region; ``μ = 0`` for a neuron that nothing is said of.
    """

    multipliers: tuple[Vector, ...]
    ends: tuple[Vector, ...]


def valid_splits(
    network: Network, region: Region, neurons: NeuronBounds, multipliers: tuple[Vector, ...] | None
) -> Splits | None:
    """Make proposed multipliers valid: for a hinge by its side, for a curve by its bounds; ``None`` if there are none.

    Parameters
    ----------
    network, region
        The network and the region.
    neurons
        Bounds of every pre-activation, valid for every counterexample of the region.
    multipliers
        Per layer any numbers; those of the wrong sign become zero.
    """
    if region.sides is None or multipliers is None:
        return None
    kept, ends = [], []
    for k, layer in enumerate(network.layers[: len(neurons.lower)]):
        proposed = np.nan_to_num(multipliers[k], posinf=0.0, neginf=0.0)
        sigma = -region.sides[k].astype(np.float64)
        end = np.where(proposed > 0, neurons.upper[k], neurons.lower[k])
        usable = np.where(layer.is_curved, np.isfinite(end), sigma * proposed > 0)
        kept.append(np.where(usable & (sigma != 0), proposed, 0.0))
        ends.append(np.where(layer.is_curved & np.isfinite(end), end, 0.0))
    return Splits(tuple(kept), tuple(ends))


def backward(
    network: Network,
    slack: Slack,
    lines: tuple[Lines, ...],
    rows: Rows,
    *,
    start: int | None = None,
    splits: Splits | None = None,
) -> InputRows:
    """Walk rows back to the input.

    Parameters
    ----------
    network, slack
        The network, and the rounding charges of a box that contains the region.
    lines
        Sound lines of every layer below ``start``.
    rows
        The functionals.
    start
        Index of the affine map whose results the rows speak of; ``None``: the output map.
    splits
        Multiples of what is known of divided neurons, from :func:`valid_splits`.
    """
    affines = network.affines
    start = len(affines) - 1 if start is None else start
    constants = rows.constants.copy()
    mass = np.abs(constants)
    error = np.zeros(len(rows))
    coefficients = rows.coefficients
    trace: list[Rows2D] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(start, -1, -1):
            affine = affines[k]
            constants = constants + coefficients @ affine.bias
            error = error + np.abs(coefficients) @ slack.affine[k]
            coefficients = np.asarray(coefficients @ affine.weight)
            if k == 0:
                break
            trace.append(coefficients)
            line = lines[k - 1]
            rising, falling = np.maximum(coefficients, 0.0), np.minimum(coefficients, 0.0)
            low, high = _times(rising, line.lower_offset), _times(falling, line.upper_offset)
            constants = constants + low.sum(axis=1) + high.sum(axis=1)
            mass = mass + np.abs(low).sum(axis=1) + np.abs(high).sum(axis=1)
            coefficients = rising * line.lower_slope + falling * line.upper_slope
            if splits is not None:
                # μ(x − e) ≤ 0 on the region, so this only lowers the row.  The charge for |c + μ| that follows and this
                # one for |μ| make up for |c|, whose slope was rounded.
                multiplier, cost = splits.multipliers[k - 1], splits.multipliers[k - 1] * splits.ends[k - 1]
                error = error + np.abs(multiplier) @ slack.affine[k - 1]
                constants = constants - cost.sum()
                mass = mass + np.abs(cost).sum()
                coefficients = coefficients + multiplier
        if rows.inputs is not None:
            error = error + (np.abs(rows.inputs) + np.abs(coefficients)) @ slack.inputs
            coefficients = coefficients + rows.inputs
        offsets = constants - (error * (1.0 + 2.0**-30) + slack.offset * mass + slack.underflow)
        offsets = offsets - 4 * UNIT * np.abs(offsets)
    offsets = np.where(np.isnan(offsets), -np.inf, offsets)
    return InputRows(coefficients, offsets, tuple(reversed(trace)))


def _times(coefficients: Rows2D, offsets: Vector) -> Rows2D:
    """Products; where nothing bounds a neuron its offset is infinite, and a row that does not speak of it goes on."""
    if np.isfinite(offsets).all():
        return coefficients * offsets
    return np.where(coefficients == 0, 0.0, coefficients * offsets)


def minimise(rows: InputRows, slack: Slack, region: Region) -> tuple[Vector, Vector, Rows2D]:
    """Lower bounds of the rows over ``box ∩ half-spaces``, one half-space at a time, the best one kept.

    By linear duality ``min {c·x : x in box, g·x + k ≤ 0} = max_{β ≥ 0} min_box (c + βg)·x + βk``; the right side is
    concave and piecewise linear in β with breakpoints ``−c_q / g_q``, so the best β is one of them (or zero, or
    infinite: then the region is empty).  Any β ≥ 0 gives a valid bound, so the choice need not be exact.

    Returns
    -------
    values
        Shape ``(rows,)``.
    multipliers
        The β of the half-space that was used, zero if none was; infinite where the region was proven empty.
    points
        Shape ``(rows, inputs)``: minimisers of the relaxed rows (approximate, for gradients and for candidates).
    """
    values, points = _box_minimum(rows.normals, rows.offsets, slack, region)
    multipliers = np.zeros(len(values))
    for normal, offset in zip(region.half_spaces.normals, region.half_spaces.offsets, strict=True):
        empty = _box_minimum(normal[None, :], np.array([offset]), slack, region)[0][0] > 0
        for r in range(len(values)):
            if empty:
                values[r], multipliers[r] = np.inf, np.inf
                continue
            beta = _best_multiplier(rows.normals[r], normal, float(offset), region)
            if beta <= 0.0:
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                mixed = rows.normals[r] + beta * normal
                extra = np.abs(beta * normal) @ slack.inputs + 8 * UNIT * (abs(beta * offset) + abs(rows.offsets[r]))
                base = rows.offsets[r] + beta * offset - extra - slack.underflow
            value, _ = _box_minimum(mixed[None, :], np.array([base]), slack, region)
            if value[0] > values[r]:
                values[r], multipliers[r] = value[0], beta
                points[r] = _on_boundary(rows.normals[r], normal, float(offset), beta, region)
    return values, multipliers, points


def _box_minimum(normals: Rows2D, offsets: Vector, slack: Slack, region: Region) -> tuple[Vector, Rows2D]:
    """Lower bound of each linear function over the box, and the corner where it is taken."""
    points = np.where(normals > 0, region.lower, region.upper)
    with np.errstate(over="ignore", invalid="ignore"):
        values = offsets + np.sum(normals * points, axis=1) - np.abs(normals) @ slack.inputs * (1.0 + 2.0**-30)
        values = values - 4 * UNIT * (np.abs(values) + np.abs(offsets)) - slack.underflow
    return np.where(np.isnan(values), -np.inf, values), points


def _best_multiplier(row: Vector, normal: Vector, offset: float, region: Region) -> float:
    """The β ≥ 0 that makes the dual function greatest (see :func:`minimise`), up to rounding."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        breakpoints = np.where(normal != 0, -row / normal, -1.0)
    order = [q for q in np.argsort(breakpoints, kind="stable") if breakpoints[q] > 0 and np.isfinite(breakpoints[q])]
    # Slope of the dual function just right of β = 0: where row is zero the sign of the normal decides the corner.
    direction = np.where(row != 0, row, normal)
    corner = np.where(direction > 0, region.lower, region.upper)
    slope = offset + float(normal @ corner)
    if slope <= 0:
        return 0.0
    for q in order:
        slope -= abs(normal[q]) * (region.upper[q] - region.lower[q])
        if slope <= 0:
            return float(breakpoints[q])
    return float(breakpoints[order[-1]]) if order else 0.0


def _on_boundary(row: Vector, normal: Vector, offset: float, beta: float, region: Region) -> Vector:
    """A minimiser of ``row`` on ``box ∩ {normal·x + offset ≤ 0}``, given the best multiplier."""
    mixed = row + beta * normal
    tight = np.abs(mixed) <= 1e-12 * (np.abs(row) + np.abs(beta * normal))
    point = np.where(mixed > 0, region.lower, region.upper)
    # On the tied inputs start from the corner that violates the half-space least, then come back to its boundary.
    best = np.where(normal > 0, region.lower, region.upper)
    point = np.where(tight, best, point)
    for q in np.flatnonzero(tight):
        excess = -(offset + float(normal @ point))
        if excess > 0 and normal[q] != 0:
            step = min(excess / abs(normal[q]), region.upper[q] - region.lower[q])
            point[q] += step * np.sign(normal[q])
    return point


def own_rounding(rows: Rows, network: Network, slack: Slack) -> Vector:
    """What forming a combination of the rows can cost, per unit of each row's weight; shape ``(rows,)``."""
    cost = np.abs(rows.coefficients) @ slack.affine[-1] + UNIT * (len(rows) + 8) * np.abs(rows.constants)
    if rows.inputs is not None:
        cost = cost + np.abs(rows.inputs) @ slack.inputs
    return cost * (gamma(len(rows) + 4) / gamma(1) + 1.0)


def combine(rows: Rows, weights: Vector, network: Network, slack: Slack) -> Rows:
    """One row that is at most the combination of all of them with non-negative weights, rounding included."""
    with np.errstate(invalid="ignore"):  # charges may be infinite
        cost = own_rounding(rows, network, slack)
        constant = weights @ rows.constants - weights @ cost * (1.0 + 2.0**-30)
    return Rows(
        (weights @ rows.coefficients)[None, :],
        None if rows.inputs is None else (weights @ rows.inputs)[None, :],
        np.array([constant]),
    )


def half_spaces_of(rows: InputRows) -> HalfSpaces:
    """The conditions ``normals @ x + offsets ≤ 0`` that a point meeting every row must satisfy."""
    return HalfSpaces(rows.normals, rows.offsets)
