"""What the duals of a region's program say: a line for every neuron, and multipliers of its conditions.

Of a hinge, the multipliers of its two half-lines give the slope of one line through the kink.  The lines of a curve are
many; their mean, by their multipliers, is again a line of that curve.

*Curves lose nothing.*  Let the lower lines of a curve have multipliers with the sum ``P`` and the mean ``a·x + b``, its
upper lines likewise ``Q`` and ``a′·x + b′``, and say ``P ≥ Q``.  The program adds ``P·(a·x + b) − Q·(a′·x + b′)``.
Backward evaluation takes one line with the coefficient ``P − Q``; let it have the slope ``a``, and add ``μ·(x − end)``
with ``μ = Q·(a − a′)``.  Then ``x`` has the same coefficient, and the constant is no less: shifted to the curve, the
line is nowhere below ``a·x + b``; and ``Q·(a·x + b − a′·x − b′)``, the rest, is not positive at the end, where
``μ·(x − end)`` is zero.  The other case is the mirror image.  ∎
"""

from __future__ import annotations

import numpy as np

from slir_milp.bounds.lines import Slopes, start_slopes
from slir_milp.bounds.region import NeuronBounds, Region, Side
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
) -> tuple[Vector, ...] | None:
    """``β·σ`` per layer from the multipliers of the rows ``σ·x ≤ 0``, and those of the bounds of curves."""
    parts = relaxation.parts
    if region.sides is None and not len(parts.bands.at):
        return None
    result: list[Vector] = [np.zeros(layer.size) for layer in network.layers]
    _, _, splits, _, _ = relaxation.row_groups
    magnitudes = -duals[splits] * unit / relaxation.split_scale
    of_ends = np.zeros(parts.count)
    of_ends[parts.bands.at] = _end_multipliers(relaxation, duals, reduced, unit)
    first_split = first = 0
    for k, (chosen, opened) in enumerate(zip(parts.split_neurons, parts.open_neurons, strict=True)):
        result[k][opened] = of_ends[first : first + len(opened)]
        first += len(opened)
        if region.sides is not None:
            sigma = np.where(region.sides[k][chosen] == Side.POSITIVE, -1.0, 1.0)
            result[k][chosen] = sigma * np.maximum(magnitudes[first_split : first_split + len(chosen)], 0.0)
        first_split += len(chosen)
    return tuple(result)


def _end_multipliers(relaxation: Relaxation, duals: Vector, reduced: Vector, unit: float) -> Vector:
    """``μ`` of every curve: of the ends of ``χ``, and where lines of both sides have multipliers (see above)."""
    bands = relaxation.parts.bands
    lower, lower_slope, upper, upper_slope = shares(relaxation, duals, reduced)
    crossing = np.minimum(lower, upper)
    at_ends = -reduced[relaxation.negative_parts][bands.at] / bands.radius
    with np.errstate(invalid="ignore"):
        return unit * (at_ends + np.where(crossing > 0, crossing * (lower_slope - upper_slope), 0.0) / bands.size)
