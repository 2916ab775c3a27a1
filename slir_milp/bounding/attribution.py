"""Gap attribution: where to split a region.  What the compiled kernel's ``branch.h`` does, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slir_milp.bounding.lines import enclose
from slir_milp.bounding.reference import Analysis, Layers, Problem, evaluate
from slir_milp.bounding.region import Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Layer


@dataclass(frozen=True, eq=False)
class Scores:
    """What splitting each input, or each neuron of each layer, answers for of what the bound loses."""

    inputs: Vector
    neurons: Layers


def attribute_gap(problem: Problem, region: Region, analysis: Analysis) -> Scores:
    """Tell who pays for the distance between a bound and the truth.

    Leaving input q free costs ``|g_q|·r_q``, with ``r`` the half widths.  Neuron i costs ``|c_i|·height_i``, its
    coefficient times the height of its envelope (a hinge's at the kink, a curve's in the middle of its interval); of
    that, input q gets its share in the width of the neuron's bounds.

    The bound in question is the last of the ascent; but where the best combination is not positive at its own minimiser
    it cannot refute the half that holds that point, and the row that is largest there has to.
    """
    network, best, bound = problem.network, analysis.best, analysis.last
    values = problem.rows.coefficients @ network(best.minimiser) + problem.rows.constants
    if problem.rows.inputs is not None:
        values = values + problem.rows.inputs @ best.minimiser
    if best.choice.weights @ values <= 0 and len(values) > 1:
        alone = np.eye(len(values))[np.argmax(values)]
        bound = evaluate(problem, region, analysis.neurons, replace(bound.choice, weights=alone))
    bounds = analysis.neurons.bounds
    heights = map(_height, network.layers, bounds.lower, bounds.upper)
    paid = tuple(np.abs(c[0]) * height for c, height in zip(bound.row.trace, heights, strict=True))
    inputs = np.abs(bound.row.normals[0]) * 0.5 * (region.upper - region.lower)
    for cost, share in zip(paid, analysis.neurons.shares, strict=True):
        inputs = inputs + cost @ share
    return Scores(inputs, paid)


def _height(layer: Layer, lower: Vector, upper: Vector) -> Vector:
    line = enclose(layer, lower, upper)
    height = np.maximum(np.abs(line.lower_offset), np.abs(line.upper_offset))
    here = layer.is_curved
    middle = 0.5 * lower[here] + 0.5 * upper[here]
    slope, offset = line.upper_slope - line.lower_slope, line.upper_offset - line.lower_offset
    height[here] = slope[here] * middle + offset[here]
    return height
