"""Entries of a proof for regions that are closed outside the kernel: by a linear program's duals, and exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.backward import InputRows, minimise
from slir_milp.bounding.kernel import Conjunction
from slir_milp.bounding.lines import enclose, unstable
from slir_milp.bounding.magnitude import Slack
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.certificate.format import Combination, Entry, Kind, Lines, Numbers, ratios
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.proposal import Proposal
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network


def refuted_by_program(
    network: Network,
    slack: Slack,
    conjunction: Conjunction,
    region: Region,
    neurons: NeuronBounds,
    proposal: Proposal,
    combined: InputRows,
    node: int,
) -> Entry:
    """The choice that a linear program proposed and that closed a region, whose neurons have been bounded before.

    Parameters
    ----------
    network, slack, region, neurons, proposal
        As for :func:`slir_milp.lp.proposal.certify`.
    conjunction
        The rows, with the numbers of their inequalities.
    combined
        What ``certify`` returned.
    node
        The region's node.
    """
    _, multipliers, _ = minimise(combined, slack, region)
    if not np.isfinite(multipliers[0]):
        return Entry(Kind.EMPTY, node)
    neurons = within_sides(network, region, neurons)
    slopes, ends = [], []
    for k, layer in enumerate(network.layers):
        low, high, coefficient = neurons.lower[k], neurons.upper[k], combined.trace[k][0]
        lines = enclose(layer, low, high, proposal.slopes[k])
        convex = layer.positive_slope > layer.negative_slope
        free = unstable(layer, low, high) & (coefficient != 0) & (layer.is_curved | ((coefficient > 0) == convex))
        slopes.append(np.where(free, np.where(coefficient > 0, lines.lower_slope, lines.upper_slope), np.nan))
        multiplier = np.zeros(layer.size) if proposal.split_multipliers is None else proposal.split_multipliers[k]
        end = np.where(multiplier > 0, high, low)
        ends.append(np.where((multiplier != 0) & np.isfinite(end), multiplier, np.nan))
    used = np.maximum(np.nan_to_num(proposal.weights, nan=0.0, posinf=0.0), 0.0)
    scales = np.ones(len(used)) if conjunction.scales is None else conjunction.scales
    atoms = np.arange(len(used), dtype=np.uint32) if conjunction.atoms is None else conjunction.atoms
    combination = Combination(
        weights=_numbers(np.where(used > 0, used * scales, np.nan), atoms),
        inherited=float(multipliers[0]),
        lines=Lines(slopes=_numbers(np.concatenate([*slopes, np.zeros(0)]))),
        conditions=_numbers(np.concatenate([*ends, np.zeros(0)])),
    )
    return Entry(Kind.REFUTED, node, combination=combination)


def refuted_by_fractions(
    network: Network,
    neurons: NeuronBounds,
    atoms: NDArray[np.uint32],
    slopes: Sequence[Fraction],
    weights: Sequence[Fraction],
    multipliers: Sequence[Fraction] | None,
    node: int,
) -> Entry | None:
    """The choice with which :func:`slir_milp.bounding.exact.refuted_exactly` closed a region.

    Parameters
    ----------
    network, neurons, slopes, weights
        As given to that function; ``weights`` are those of the inequalities themselves.
    atoms
        Numbers of the inequalities.
    multipliers
        Those that are valid, zero for the others.
    node
        The region's node.

    Returns
    -------
    Entry or None
        ``None`` if a number is too long for an entry.
    """
    lines: dict[int, Fraction] = {}
    first = 0
    for k, layer in enumerate(network.layers):
        for i in np.flatnonzero(unstable(layer, neurons.lower[k], neurons.upper[k])).tolist():
            ends = Fraction(float(layer.negative_slope[i])), Fraction(float(layer.positive_slope[i]))
            lines[first + i] = min(max(slopes[first + i], min(ends)), max(ends))
        first += layer.size
    weighted = {int(atom): weight for atom, weight in zip(atoms, weights, strict=True) if weight > 0}
    conditions = {neuron: mu for neuron, mu in enumerate(multipliers or ()) if mu}
    parts = [ratios(values) for values in (lines, weighted, conditions)]
    start, chosen, held = parts
    if start is None or chosen is None or held is None:
        return None
    combination = Combination(weight_fractions=chosen, condition_fractions=held)
    return Entry(Kind.REFUTED, node, 0, start=Lines(fractions=start), combination=combination)


def _numbers(values: Vector, index: NDArray[np.uint32] | None = None) -> Numbers:
    """Those of some values that are numbers, each with its place (or what stands there in ``index``)."""
    here = np.flatnonzero(np.isfinite(values))
    return Numbers((here if index is None else index[here]).astype(np.uint32), values[here])
