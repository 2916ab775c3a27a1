"""A network as a Pyomo block: variables and constraints that every point of its graph over a box meets.

With ``x`` the pre-activation of an unstable hinge with slopes ``s`` left and ``s'`` right of zero and bounds ``l`` and
``u``, the block has ``x = r − p`` and the value ``s'·r − s·p``, with ``r, p ≥ 0`` and

- exactly: ``r ≤ u·a`` and ``p ≤ −l·(1 − a)`` with a binary ``a`` (``a = 1`` where ``x > 0``);
- relaxed: ``−l·r + u·p ≤ −l·u``, the third side of the triangle that is the convex hull of the pairs ``(r, p)``.

A curve's value lies between lines.  In several pieces, ``x`` and the value are sums of parts, of which one, chosen by
binaries, is not zero: the union of the pieces' polygons, as sharp as linear constraints can say it (E. Balas,
*SIAM J. Algebraic Discrete Methods* 6, 1985).

The constants are the network's own numbers and sound bounds; where one is computed it is rounded to the side on which
the constraint holds.  A solver meets constraints up to its own tolerances.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from slir_milp.activations import Curve, Hinge
from slir_milp.bounding.balance import prepared
from slir_milp.bounding.lines import unstable
from slir_milp.errors import OptionError
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network
from slir_milp.pyomo.formulation import Bounded, Detail, Formulation, Strips, bounded, box_of, strips

_MISSING = "the package pyomo is not installed; get it by: pip install 'slir-milp[pyomo]'"
_UP = 1.0 + 2.0**-50
LEAST = 2.0**-29
"""Least constant of a switch: solvers take coefficients below 1e-9 for zero, and a larger constant is as valid."""

Term = tuple[float, Any, float]
"""A value ``factor·variable + constant``; without a variable (``None``) the constant."""


def network_block(
    network: Network,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    formulation: Formulation | str = Formulation.EXACT,
    lines: int = 3,
    touching: Sequence[float] = (),
    pieces: int = 1,
    tighten: bool = False,
) -> Any:
    """Write a network over a box as a Pyomo block, to be put into a model of one's own.

    Parameters
    ----------
    network
        The network, from :func:`slir_milp.load_network`.
    lower, upper
        Ends of the box of inputs: one number for each input, or one for all.
    formulation
        ``"exact"``: a binary for each hinge that may be on both sides of its kink; networks with other activations are
        refused.  ``"envelopes"``: hinges likewise, other activations between lines.  ``"relaxed"``: no binaries for
        hinges, but their convex hulls.
    lines
        Lines on each side of an activation that is no hinge.  One is the line of least area; several touch the convex
        hull of the graph at the Chebyshev nodes of the neuron's interval.
    touching
        Arguments of such activations at which further lines touch, in the neurons whose intervals contain them.
    pieces
        Equal parts into which the intervals of such neurons are divided, with a binary for each part if there are
        several; lines are then those of the parts.
    tighten
        Whether to shrink the bounds of neurons by linear programs: slower to make, often much faster to solve.

    Returns
    -------
    pyomo.core.base.block.Block
        With the variables ``inputs[i]`` and ``outputs[j]``, in the order of the network's elements, bounded by the box
        and by sound bounds of the outputs; besides, for layer ``k`` and neuron ``i`` of the network's normal form,
        ``pre[k, i]`` (the pre-activation), ``value[k, i]`` (where it is no multiple of another variable), ``positive``
        and ``negative`` parts and the binary ``on[k, i]`` of hinges, and ``part[k, i, q]`` of curves in pieces.

    Raises
    ------
    OptionError
        Pyomo is not installed, an argument makes no sense, the formulation is exact and the network is not piecewise
        linear, or some neuron is unbounded over the box.

    Soundness
    ---------
    Every point ``(x, f(x))`` of the network's graph over the box meets all constraints in real arithmetic, with
    suitable values of the other variables; exactly written, no other point does, up to what the network's own
    coefficients are rounded by (``weight_radius``).  What a solver answers is within its own tolerances only: replay
    points, and verify claims that matter.

    Notes
    -----
    The lines are SLiR's: Kern, Antal, Ábráham, Sinz, arXiv 2606.20292.
    """
    try:
        import pyomo.environ as pyo
    except ImportError:
        raise OptionError(_MISSING) from None
    if not isinstance(network, Network):
        raise OptionError("network_block takes a network (from load_network)")
    try:
        kind = Formulation(formulation)
    except ValueError:
        known = ", ".join(f'"{each}"' for each in Formulation)
        raise OptionError(f"there is no formulation '{formulation}'; choose one of: {known}.") from None
    if kind is Formulation.EXACT and not network.is_piecewise_linear:
        names = sorted({curve.name for layer in network.layers for curve, _ in layer.curves})
        raise OptionError(
            f"the network has activations that no mixed-integer program says exactly ({', '.join(names)}); "
            'take the formulation "envelopes" or "relaxed".'
        )
    detail = Detail(lines, tuple(map(float, touching)), pieces)
    region = box_of(network, lower, upper)
    if not network.is_piecewise_linear:
        network = prepared(network, region.lower, region.upper)
    writer = _Writer(pyo, bounded(network, region, tighten=tighten), kind, detail)
    return writer.block()


class _Writer:
    """Puts a block together, layer by layer."""

    def __init__(self, pyo: Any, known: Bounded, kind: Formulation, detail: Detail) -> None:
        self._pyo, self._known, self._kind, self._detail = pyo, known, kind, detail
        self._block = pyo.Block(concrete=True)

    def block(self) -> Any:
        """The block."""
        pyo, known, block = self._pyo, self._known, self._block
        layers, region = known.network.layers, known.region
        neurons = [(k, i) for k, layer in enumerate(layers) for i in range(layer.size)]
        is_open = [
            unstable(layer, low, high)
            for layer, low, high in zip(layers, known.neurons.lower, known.neurons.upper, strict=True)
        ]
        opened = [(k, i) for k, i in neurons if is_open[k][i]]
        curved = [(k, i) for k, i in neurons if layers[k].is_curved[i]]
        hinges = [(k, i) for k, i in opened if not layers[k].is_curved[i]]
        valued = [(k, i) for k, i in neurons if self._needs_value(layers[k], i, k, bool(is_open[k][i]))]
        pieces = [(*at, q) for at in curved for q in range(self._detail.pieces)] if self._detail.pieces > 1 else []
        block.inputs = _variables(pyo, range(len(region.lower)), region.lower, region.upper)
        block.outputs = _variables(pyo, range(known.network.output_size), *known.outputs)
        low, high = known.neurons.lower, known.neurons.upper
        block.pre = pyo.Var(neurons, bounds=lambda _, k, i: (float(low[k][i]), float(high[k][i])))
        block.positive = pyo.Var(hinges, bounds=lambda _, k, i: (0.0, float(high[k][i])))
        block.negative = pyo.Var(hinges, bounds=lambda _, k, i: (0.0, float(-low[k][i])))
        block.value = pyo.Var(
            valued, bounds=lambda _, k, i: (float(known.values[k][0][i]), float(known.values[k][1][i]))
        )
        if self._kind is not Formulation.RELAXED:
            block.on = pyo.Var(hinges, domain=pyo.Binary)
        block.part = pyo.Var(pieces, domain=pyo.Binary)
        block.part_pre, block.part_value = pyo.Var(pieces), pyo.Var(pieces)
        block.rules = pyo.ConstraintList()
        terms: list[Term] = [(1.0, block.inputs[i], 0.0) for i in range(len(region.lower))]
        sizes = np.maximum(np.abs(region.lower), np.abs(region.upper))
        for k, layer in enumerate(layers):
            results = [block.pre[k, i] for i in range(layer.size)]
            self._affine(layer.affine, terms, sizes, results)
            terms = [self._activation(layer, k, i, bool(is_open[k][i])) for i in range(layer.size)]
            sizes = np.maximum(*map(np.abs, known.values[k]))
        self._affine(known.network.output, terms, sizes, [block.outputs[j] for j in range(len(block.outputs))])
        return block

    def _needs_value(self, layer: Layer, i: int, k: int, is_open: bool) -> bool:
        """Whether an activation's value is no simple multiple of a variable that there is anyway."""
        function = layer.functions[layer.function_index[i]]
        if isinstance(function, Curve):
            return True
        if is_open:
            return (function.negative_slope, function.positive_slope) != (0.0, 1.0)
        return self._stable_slope(function, k, i) not in (-1.0, 0.0, 1.0)

    def _stable_slope(self, function: Hinge, k: int, i: int) -> float:
        return function.positive_slope if self._known.neurons.lower[k][i] >= 0 else function.negative_slope

    # --- affine maps -------------------------------------------------------------------------------------------------

    def _affine(self, affine: Affine, terms: list[Term], sizes: Any, results: list[Any]) -> None:
        """``result = W z + b`` for every row, within the radii where the coefficients are rounded."""
        radius = np.zeros(affine.rows)
        if affine.weight_radius is not None:
            radius = radius + affine.weight_radius @ sizes
        if affine.bias_radius is not None:
            radius = radius + affine.bias_radius
        radius *= 1.0 + 2.0**-30
        weight = affine.weight if isinstance(affine.weight, np.ndarray) else affine.weight.toarray()
        for row, bias, room, result in zip(weight, affine.bias.tolist(), radius.tolist(), results, strict=True):
            summands = [(-1.0, result)]
            for j in np.flatnonzero(row).tolist():
                factor, variable, constant = terms[j]
                assert constant == 0.0 and abs(factor) in (0.0, 1.0)  # so that no product is rounded
                if factor:
                    summands.append((factor * float(row[j]), variable))
            self._within(-bias - room, summands, -bias + room, rounded=room > 0)

    def _within(
        self, low: float | None, summands: Iterable[tuple[float, Any]], high: float | None, *, rounded: bool = False
    ) -> None:
        """``low ≤ Σ factor·variable ≤ high``; computed ends are moved outward."""
        from pyomo.core.expr import LinearExpression

        factors, variables = zip(*summands, strict=True)
        body = LinearExpression(constant=0.0, linear_coefs=list(factors), linear_vars=list(variables))
        if rounded:
            low = None if low is None else float(np.nextafter(low, -np.inf))
            high = None if high is None else float(np.nextafter(high, np.inf))
        self._block.rules.add(body == low if low == high else self._pyo.inequality(low, body, high))

    # --- activations -------------------------------------------------------------------------------------------------

    def _activation(self, layer: Layer, k: int, i: int, is_open: bool) -> Term:
        """Constrain a neuron's value; what the value is."""
        block, function = self._block, layer.functions[layer.function_index[i]]
        x = block.pre[k, i]
        if isinstance(function, Curve):
            self._curve(function, k, i)
            return 1.0, block.value[k, i], 0.0
        if is_open:
            return self._hinge(function, k, i)
        slope = self._stable_slope(function, k, i)
        if slope not in (-1.0, 0.0, 1.0):
            self._within(0.0, [(-1.0, block.value[k, i]), (slope, x)], 0.0)
            return 1.0, block.value[k, i], 0.0
        return slope, x, 0.0

    def _hinge(self, function: Hinge, k: int, i: int) -> Term:
        block = self._block
        x, r, p = block.pre[k, i], block.positive[k, i], block.negative[k, i]
        low = min(float(self._known.neurons.lower[k][i]), -LEAST)
        high = max(float(self._known.neurons.upper[k][i]), LEAST)
        self._within(0.0, [(1.0, x), (-1.0, r), (1.0, p)], 0.0)
        if self._kind is Formulation.RELAXED:
            self._within(None, [(-low, r), (high, p)], -low * high * _UP, rounded=True)
        else:
            self._within(None, [(1.0, r), (-high, block.on[k, i])], 0.0)
            self._within(None, [(1.0, p), (-low, block.on[k, i])], -low)
        if (function.negative_slope, function.positive_slope) == (0.0, 1.0):
            return 1.0, r, 0.0
        slopes = ((function.positive_slope, r), (-function.negative_slope, p))
        value = block.value[k, i]
        self._within(0.0, [(-1.0, value), *((s, v) for s, v in slopes if s)], 0.0)
        return 1.0, value, 0.0

    def _curve(self, function: Curve, k: int, i: int) -> None:
        low, high = float(self._known.neurons.lower[k][i]), float(self._known.neurons.upper[k][i])
        block, detail = self._block, self._detail
        found = strips(function.table, low, high, detail)
        x, y = block.pre[k, i], block.value[k, i]
        if len(found) == 1:
            for slope, offset in found[0].below:
                self._within(offset, [(1.0, y), (-slope, x)], None)
            for slope, offset in found[0].above:
                self._within(None, [(1.0, y), (-slope, x)], offset)
            return
        names = [(k, i, q) for q in range(len(found))]
        self._within(1.0, [(1.0, block.part[name]) for name in names], 1.0)
        self._within(0.0, [(-1.0, x), *((1.0, block.part_pre[name]) for name in names)], 0.0)
        self._within(0.0, [(-1.0, y), *((1.0, block.part_value[name]) for name in names)], 0.0)
        least, most = (float(end[i]) for end in self._known.values[k])
        for name, strip in zip(names, found, strict=True):
            self._piece(strip, least, most, block.part[name], block.part_pre[name], block.part_value[name])

    def _piece(self, strip: Strips, least: float, most: float, chosen: Any, x: Any, y: Any) -> None:
        """One piece: zero unless it is chosen."""
        self._within(0.0, [(1.0, x), (-strip.lower, chosen)], None)
        self._within(None, [(1.0, x), (-strip.upper, chosen)], 0.0)
        self._within(0.0, [(1.0, y), (-least, chosen)], None)
        self._within(None, [(1.0, y), (-most, chosen)], 0.0)
        for slope, offset in strip.below:
            self._within(0.0, [(1.0, y), (-slope, x), (-offset, chosen)], None)
        for slope, offset in strip.above:
            self._within(None, [(1.0, y), (-slope, x), (-offset, chosen)], 0.0)


def _variables(pyo: Any, names: Iterable[int], lower: Any, upper: Any) -> Any:
    return pyo.Var(list(names), bounds=lambda _, i: (float(lower[i]), float(upper[i])))
