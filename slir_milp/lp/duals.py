"""What the duals of a region's program say: a line for every neuron, and multiples of the bounds of neurons.

The program speaks of a neuron by lines below and above its activation: the two half-lines and the chord of a hinge
(``r ≤ u`` and ``p ≤ −l`` are lines above ``r`` too), the band and the added lines of a curve.  Backward evaluation
takes one line of each neuron.

*Nothing is lost.*  Let a neuron's lower lines have multipliers with the sum ``P`` and the mean ``a·x + b``, its upper
lines likewise ``Q`` and ``a′·x + b′``; the program adds ``P·(a·x + b) − Q·(a′·x + b′)``.  Say ``P ≥ Q``.  Backward
evaluation takes one lower line with the coefficient ``P − Q``; let its slope be ``a``, and add ``μ·(x − end)`` with
``μ = Q·(a − a′)``, where ``end`` is the bound of ``x`` that makes this at most zero.  Then ``x`` has the same
coefficient, and the constant is no less: shifted to the activation, the line is nowhere below ``a·x + b``; and the
rest, ``Q·(a·x + b − a′·x − b′)``, is not positive at the end, where ``μ·(x − end)`` is zero.  The other case is the
mirror image; the chord of a hinge, the lowest of its upper lines, takes the place of their mean, with the difference of
the slopes in ``μ``.  Multipliers of the bounds themselves join ``μ``.  ∎
"""

from __future__ import annotations

import numpy as np

from slir_milp.bounding.lines import Slopes, start_slopes
from slir_milp.bounding.region import NeuronBounds, Region, Side
from slir_milp.lp.program import Relaxation
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network


def shares(relaxation: Relaxation, duals: Vector, reduced: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """Multipliers of the lower and upper lines of every band, in units of ``e``, and the means of their slopes."""
    bands, cuts = relaxation.parts.bands, relaxation.cuts
    own = reduced[relaxation.positive_parts][bands.at]
    of_cuts = duals[relaxation.cut_rows] * cuts.factor
    found: list[Vector] = []
    for sign, side in ((1.0, cuts.below), (-1.0, ~cuts.below)):
        base, added = np.maximum(sign * own, 0.0), np.maximum(sign * of_cuts, 0.0) * side
        total, moment = base.copy(), base * bands.slope
        np.add.at(total, cuts.of, added)
        np.add.at(moment, cuts.of, added * cuts.slope)
        mean = np.divide(moment, total, out=np.full(len(total), np.nan), where=total > 0)
        found += [total, mean]
    return found[0], found[1], found[2], found[3]


def mean_slopes(
    network: Network, neurons: NeuronBounds, relaxation: Relaxation, duals: Vector, reduced: Vector
) -> tuple[Slopes, ...]:
    """Means of the slopes of each neuron's lines by their multipliers; the usual choice where these are zero.

    Of a hinge these are the two half-lines, whose multipliers are the reduced costs of ``p`` and ``r``.
    """
    parts, bands = relaxation.parts, relaxation.parts.bands
    rising = np.maximum(reduced[relaxation.negative_parts], 0.0)
    total = rising + np.maximum(reduced[relaxation.positive_parts], 0.0)
    share = np.where(total > 0, rising / np.where(total > 0, total, 1.0), np.nan)
    lower, upper = np.full(parts.count, np.nan), np.full(parts.count, np.nan)
    _, lower[bands.at], _, upper[bands.at] = shares(relaxation, duals, reduced)
    slopes: list[Slopes] = []
    first = 0
    for k, chosen in enumerate(parts.open_neurons):
        layer = network.layers[k]
        usual = start_slopes(layer, neurons.lower[k], neurons.upper[k])
        mine = slice(first, first + len(chosen))
        mixed = layer.negative_slope[chosen] + share[mine] * (layer.positive_slope - layer.negative_slope)[chosen]
        curved = layer.is_curved[chosen]
        for slope, mean in ((usual.lower, lower[mine]), (usual.upper, upper[mine])):
            proposed = np.where(curved, mean, mixed)
            slope[chosen] = np.where(np.isnan(proposed), slope[chosen], proposed)
        slopes.append(usual)
        first += len(chosen)
    return tuple(slopes)


def condition_multipliers(
    network: Network, region: Region, relaxation: Relaxation, duals: Vector, reduced: Vector, unit: float
) -> tuple[Vector, ...]:
    """``μ`` of every neuron's bounds: ``β·σ`` from the rows ``σ·x ≤ 0``, and what the lines leave over (see above)."""
    parts = relaxation.parts
    result: list[Vector] = [np.zeros(layer.size) for layer in network.layers]
    _, _, splits, _, _ = relaxation.row_groups
    magnitudes = -duals[splits] * unit / relaxation.split_scale
    of_open = np.zeros(parts.count)
    of_open[parts.hinges] = _left_over_by_hinges(relaxation, duals, reduced) * unit
    of_open[parts.bands.at] = _left_over_by_curves(relaxation, duals, reduced) * unit
    first_split = first = 0
    for k, (chosen, opened) in enumerate(zip(parts.split_neurons, parts.open_neurons, strict=True)):
        result[k][opened] = of_open[first : first + len(opened)]
        first += len(opened)
        if region.sides is not None:
            sigma = np.where(region.sides[k][chosen] == Side.POSITIVE, -1.0, 1.0)
            result[k][chosen] += sigma * np.maximum(magnitudes[first_split : first_split + len(chosen)], 0.0)
        first_split += len(chosen)
    return tuple(result)


def _left_over_by_hinges(relaxation: Relaxation, duals: Vector, reduced: Vector) -> Vector:
    """``μ`` of the unstable hinges; their lines are here those of ``r``, of slope 0 and 1 but for the chord."""
    parts, hinges = relaxation.parts, relaxation.parts.hinges
    lower, upper = parts.lower[hinges], parts.upper[hinges]
    flat, rising = reduced[relaxation.positive_parts][hinges], reduced[relaxation.negative_parts][hinges]
    chord = np.maximum(-duals[relaxation.row_groups[1]], 0.0) / np.maximum(-lower, upper)
    below = np.maximum(flat, 0.0) + np.maximum(rising, 0.0)
    above = np.maximum(-flat, 0.0) + np.maximum(-rising, 0.0) + chord * (upper - lower)
    tilt = rising - chord * upper
    steepness = np.divide(np.maximum(rising, 0.0), below, out=np.zeros(len(hinges)), where=below > 0)
    taken = np.where(below >= above, steepness, upper / (upper - lower))
    return np.asarray((tilt - (below - above) * taken) / parts.scale[hinges])


def _left_over_by_curves(relaxation: Relaxation, duals: Vector, reduced: Vector) -> Vector:
    """``μ`` of the unstable curves, those of the ends of ``χ`` included."""
    bands = relaxation.parts.bands
    below, slope_below, above, slope_above = shares(relaxation, duals, reduced)
    crossing = np.minimum(below, above)
    at_ends = -reduced[relaxation.negative_parts][bands.at] / bands.radius
    return at_ends + np.where(crossing > 0, crossing * (slope_below - slope_above), 0.0) / bands.size
