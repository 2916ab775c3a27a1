"""Backward evaluation: lower bounds of linear functions of a network's values in regions of its inputs.

Statement 2.  Let ``c·f(z)`` be a function of the activations of a layer, each of which lies between two lines.  Taking
the lower line where its coefficient is positive and the upper line where it is negative gives a function of ``z``, and
so of the activations before, that is nowhere above; repeated, one of the inputs, ``g·x + k``, whose minimum over a box
is ``k + Σ min(g_q·lower_q, g_q·upper_q)``.

Statement 3.  Whatever is at most zero at every counterexample in the region may be added with a multiplier that is not
negative: a bound of a neuron as ``μ·(z - end)``, a half-space ``n·x + o``.

Statement 4 (float64).  Computing ``c·W`` in place of the true product changes the function by at most
``gamma(n)·|c|·v`` with ``v = |W|·m + |b|`` and ``m`` the largest magnitudes of what ``W`` multiplies; any relative
change of ``c`` itself costs ``|c|·v`` times that change, for ``|z| ≤ v``.  These, the radii of weights known only to
within one, and the roundings of the constants are added up and subtracted.

All arrays have one row for each node of a batch, or for each function that is bounded (``which``: its node).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slir_milp.certificate.check.arithmetic import LARGEST, SMALLEST, WIDEST, Array, Balls, Exact
from slir_milp.certificate.check.lines import Activations, Lines, Slopes
from slir_milp.network.affine import Affine

_UP = 1 + 2.0**-30  # covers the roundings made in adding up errors
_MOST = 2_000_000
"""Elements of the largest array of functions bounded at once."""


class Map:
    """An affine map in one arithmetic."""

    def __init__(self, affine: Affine, numbers: Balls | Exact) -> None:
        self.numbers, self.columns = numbers, affine.columns
        exact = isinstance(numbers, Exact)
        weight = numbers.array(_dense(affine.weight)) if exact else affine.weight
        self.bias = numbers.array(affine.bias)
        self._forward, self._size = numbers.matrix(weight.T), numbers.matrix(abs(weight).T)
        self.weight, self.scale = numbers.scaled(weight)
        radii = affine.weight_radius, affine.bias_radius
        self._radius = None if radii[0] is None else numbers.matrix(numbers.array(_dense(radii[0]).T))
        self._bias_radius = None if radii[1] is None else numbers.array(radii[1])
        self.is_exact = exact and affine.is_exact
        self._is_vast = not exact and any(_largest(part) >= LARGEST for part in (affine.weight, affine.bias, *radii))

    def sizes(self, largest: Array) -> tuple[Array, Array]:
        """``v`` of Statement 4 and what the radii cost; shape ``(nodes, rows)``."""
        size = (self._sums(largest, self._size) + abs(self.bias)) * (_UP if self.numbers.unit else 1)
        extra = 0 * size if self._radius is None else self._sums(largest, self._radius)
        extra = extra if self._bias_radius is None else extra + self._bias_radius
        return (size + np.inf if self._is_vast else size), extra * (_UP if self.numbers.unit else 1)

    def interval(self, low: Array, high: Array, rounding: Array, radius: Array) -> tuple[Array, Array]:
        """Bounds of the map's values by interval arithmetic."""
        centre = (low + high) / 2
        if self.numbers.unit:
            centre = np.where(np.isfinite(centre), centre, 0.0)
        reach = np.maximum(high - centre, centre - low) * (1 + 4 * self.numbers.unit)
        middle = self.numbers.product(centre, self._forward) + self.bias
        spread = self._sums(reach, self._size) + 4 * rounding + radius + self.numbers.tiny
        return self.numbers.known(middle - spread, -np.inf), self.numbers.known(middle + spread, np.inf)

    def _sums(self, sizes: Array, matrix: Any) -> Array:
        """Products of sizes, some of them infinite, with a matrix without negative elements."""
        if not self.numbers.unit or np.isfinite(sizes).all():
            return self.numbers.product(sizes, matrix)
        endless = np.where(np.isfinite(sizes), 0.0, 1.0)
        finite = self.numbers.product(np.where(endless > 0, 0.0, sizes), matrix)
        return np.where(self.numbers.product(endless, matrix) > 0, np.inf, finite)

    def part(self, rows: Array | slice, columns: Array) -> Any:
        """Part of the matrix, in units of ``2^-scale``."""
        return self.weight[rows][:, columns]


@dataclass(eq=False)
class Region:
    """Boxes of inputs with what is known of every counterexample in them, for a batch of nodes.

    Attributes
    ----------
    lower, upper
        Shape ``(nodes, inputs)``.
    bounds
        Lower and upper bounds of the pre-activations of every hidden layer, each of shape ``(nodes, neurons)``; empty
        if there are none yet: then they are found by interval arithmetic.
    normal, offset, inherited
        ``normal·x + offset ≤ 0``, in force where ``inherited``.
    normals, offsets
        Shapes ``(half-spaces, inputs)`` and ``(half-spaces,)``: rows of the query on inputs alone, the same for all.
    """

    lower: Array
    upper: Array
    bounds: list[tuple[Array, Array]]
    normal: Array
    offset: Array
    inherited: Array
    normals: Array
    offsets: Array


@dataclass(frozen=True, eq=False)
class _Level:
    """A layer restricted to its alive neurons, those whose lines are not both zero in the whole batch.

    Slopes, offsets, biases and weights are in units of ``2^-scale``, each with a scale of its own (``scales``).
    """

    alive: Array
    slopes: tuple[Array, Array]
    offsets: tuple[Array, Array]
    multiplier: Array | None
    ends: Array
    charge: Array | None
    bias: Array
    weight: Any
    scales: tuple[int, int, int, int]
    reach: Array
    is_hinged: bool


@dataclass(frozen=True, eq=False)
class Combination:
    """Weights ``(nodes, rows)`` of inequalities ``inputs·x + outputs·y + constants ≤ 0``, and what goes with them."""

    weights: Array
    inputs: Array
    outputs: Array
    constants: Array
    inherited: Array
    multipliers: list[Array] | None


class Relaxation:
    """Bounds in a batch of nodes; the bounds of ``region`` are tightened in place.

    Parameters
    ----------
    maps
        The affine maps, the output map last.
    activations
        Those of every hidden layer.
    region
        The nodes.
    """

    def __init__(self, maps: list[Map], activations: list[Activations], region: Region) -> None:
        self._maps, self._activations, self.region = maps, activations, region
        self._numbers = maps[0].numbers
        self._depth, self._nodes = len(activations), len(region.lower)
        self._largest_input = np.maximum(abs(region.lower), abs(region.upper))
        widest = max(max(map_.columns, len(map_.bias)) for map_ in maps)
        self._gamma = self._numbers.gamma(widest + 4 * len(maps) + 32) if widest < WIDEST else np.inf
        self._vast = self._excess(self._largest_input) + np.zeros(self._nodes)
        self.closed: Array = np.asarray((region.lower > region.upper).any(axis=1))
        self._lines: list[Lines | None] = [None] * self._depth
        self._slopes: list[Slopes | None] = [None] * self._depth
        self._levels: list[_Level] = []
        self._rounding: list[Array] = []
        self._radius: list[Array] = []
        self._reach: list[Array] = []
        self._size = self._largest_input
        self._exclude()

    def _exclude(self) -> None:
        """Close the nodes whose box lies outside of some half-space."""
        every = np.arange(self._nodes)
        for normal, offset, valid in self._half_spaces(every):
            self.closed |= valid & (self._over_box(normal, offset, every) > 0)

    def tighten(self, first: Array, until: Array, slopes: list[Slopes | None] | None) -> None:
        """Bound the unstable neurons of layers ``first`` to ``until - 1`` afresh (shape ``(nodes,)`` each).

        By interval arithmetic over the layer before, then by Statement 2 with the lines of the layers before.  Without
        ``slopes`` those named last go on.
        """
        region = self.region
        if not region.bounds:
            self._first_bounds()
        self._levels, self._rounding, self._radius, self._reach = [], [], [], []
        low, high = region.lower, region.upper
        self._slopes = self._slopes if slopes is None else slopes
        for k, (map_, activations) in enumerate(zip(self._maps, self._activations, strict=False)):
            self._measure(map_, low, high)
            lower, upper = region.bounds[k]
            active: Array = np.asarray((first <= k) & (k < until) & ~self.closed)[:, None]
            unstable = activations.unstable(lower, upper) & active
            if k and unstable.any():
                least, most = map_.interval(low, high, self._rounding[k], self._radius[k])
                b, i = np.nonzero(unstable)
                self._intersect(k, b, i, least[b, i], most[b, i])
                unstable = activations.unstable(lower, upper) & active & ~self.closed[:, None]
            which, neurons = np.nonzero(unstable)
            step = max(1, _MOST // map_.columns)
            for at in range(0, len(which), step):
                b, i = which[at : at + step], neurons[at : at + step]
                self._intersect(k, b, i, self._neurons(k, b, i, 1), -self._neurons(k, b, i, -1))
            self._lines[k] = activations.lines(lower, upper, self._slopes[k])
            self._levels.append(self._level(k, self._levels, None))
            low, high = activations.ranges(lower, upper)
        self._measure(self._maps[-1], low, high)

    def make_lines(self) -> None:
        """See that there are lines, without bounding anything afresh."""
        if not self._levels:
            never = np.full(self._nodes, self._depth)
            self.tighten(never, never, None)

    def neuron(self, layer: int, neuron: int, side: int, slopes: list[Slopes | None]) -> None:
        """Bound one neuron of the only node, with lines of the named slopes below it."""
        self._levels = self._with_slopes(slopes, None)
        b, i = np.array([0]), np.array([neuron])
        lower, upper = (bound[b, i] for bound in self.region.bounds[layer])
        least = self._neurons(layer, b, i, 1) if side >= 0 else lower
        most = -self._neurons(layer, b, i, -1) if side <= 0 else upper
        self._intersect(layer, b, i, least, most)

    def combine(self, combination: Combination, slopes: list[Slopes | None]) -> tuple[Array, Array, Array]:
        """Bound a combination of inequalities from below: ``normal·x + offset``, and its minimum over each node."""
        numbers, unit, last = self._numbers, self._numbers.unit, self._maps[-1]
        levels = self._levels
        self._levels = self._with_slopes(slopes, combination.multipliers)
        weights = combination.weights
        rounded = numbers.gamma(weights.shape[1] + 8)  # of every coefficient, per unit of what is added up in it
        outputs = weights @ combination.outputs
        radius = self._radius[-1]
        error = self._numbers.dot(abs(outputs), self._rounding[-1] + radius)
        if unit:
            # A weight that is not zero but tiny might vanish in a product with a coefficient of something huge.
            vanishing = ((weights != 0) & (weights < SMALLEST)).any(axis=1)
            error = np.where(vanishing, np.inf, error + self._excess(weights) + self._excess(abs(outputs)) + self._vast)
            error = error + rounded * self._numbers.dot(weights @ abs(combination.outputs), self._size + radius)
            error = error + rounded * (weights @ abs(combination.constants))
        alive = self._levels[-1].alive if self._levels else np.arange(last.columns)
        rows = numbers.product(outputs, numbers.matrix(last.part(slice(None), alive)))
        rows, scale = numbers.scaled(numbers.real(rows, last.scale))
        constant = weights @ combination.constants + outputs @ last.bias
        mass = abs(outputs) @ abs(last.bias) + weights @ abs(combination.constants)
        which = np.arange(self._nodes)
        rows, constant, error, mass = self._walk(rows, scale, constant, error, mass, self._depth, which)
        direct = weights @ combination.inputs
        shift = combination.inherited * self.region.offset
        part = combination.inherited[:, None] * self.region.normal
        if unit:
            most = rounded * (weights @ abs(combination.inputs)) + 4 * unit * (abs(rows) + abs(direct) + abs(part))
            error, mass = error + self._numbers.dot(most, self._largest_input), mass + abs(shift)
        rows, constant = rows + direct + part, constant + shift
        offset = self._settled(constant, error, mass)
        self._levels = levels
        return rows, offset, self._least(rows.copy(), offset.copy(), which)

    def _first_bounds(self) -> None:
        """Bounds of all neurons by interval arithmetic alone."""
        low, high = self.region.lower, self.region.upper
        for map_, activations in zip(self._maps, self._activations, strict=False):
            self._measure(map_, low, high)
            least, most = map_.interval(low, high, self._rounding[-1], self._radius[-1])
            bounds = self._numbers.outward(least, up=False), self._numbers.outward(most, up=True)
            self.region.bounds.append(bounds)
            low, high = activations.ranges(*bounds)

    # --- one layer ---------------------------------------------------------------------------------------------------

    def _measure(self, map_: Map, low: Array, high: Array) -> None:
        """What a unit of each value of the next map costs (Statement 4)."""
        largest = np.maximum(abs(low), abs(high))
        if self._numbers.unit:
            largest = np.where(largest < LARGEST, largest, np.inf)
        size, radius = map_.sizes(largest)
        self._size = self._numbers.known(size, np.inf)
        self._reach.append(largest.sum(axis=1))
        # Twice: for the coefficients, and for the sums of constants that the biases enter.
        self._rounding.append(self._numbers.known(2 * self._gamma * size, np.inf))
        self._radius.append(self._numbers.known(radius, np.inf))

    def _intersect(self, k: int, b: Array, i: Array, least: Array, most: Array) -> None:
        """Take new bounds in; bounds that exclude each other close their node and are not kept."""
        lower, upper = self.region.bounds[k]
        least = np.maximum(lower[b, i], self._numbers.outward(least, up=False))
        most = np.minimum(upper[b, i], self._numbers.outward(most, up=True))
        crossing: Array = np.asarray(least > most, dtype=bool)
        self.closed[b[crossing]] = True
        keep = ~crossing
        lower[b[keep], i[keep]], upper[b[keep], i[keep]] = least[keep], most[keep]

    def _level(self, k: int, below: list[_Level], multiplier: Array | None) -> _Level:
        lines, map_ = self._lines[k], self._maps[k]
        if lines is None:
            raise RuntimeError("a layer's lines are wanted before its neurons are bounded")
        parts = (lines.lower_slope, lines.lower_offset, lines.upper_slope, lines.upper_offset)
        used = np.logical_or.reduce([(part != 0).any(axis=0) for part in parts])
        ends = self.region.bounds[k][0]
        if multiplier is not None:
            used |= (multiplier != 0).any(axis=0)
            ends = np.where(multiplier > 0, self.region.bounds[k][1], ends)
        alive = np.flatnonzero(used)
        columns = below[-1].alive if below else np.arange(map_.columns)
        charge = None if map_.is_exact else (self._rounding[k] + self._radius[k])[:, alive]
        slopes, slope_scale = self._numbers.scaled(np.stack(parts[::2])[:, :, alive])
        offsets, offset_scale = self._numbers.scaled(np.stack(parts[1::2])[:, :, alive])
        bias, bias_scale = self._numbers.scaled(map_.bias[alive])
        return _Level(
            alive,
            (slopes[0], slopes[1]),
            (offsets[0], offsets[1]),
            None if multiplier is None else multiplier[:, alive],
            ends[:, alive],
            charge,
            bias,
            self._numbers.matrix(map_.part(alive, columns)),
            (slope_scale, offset_scale, bias_scale, map_.scale),
            self._reach[k],
            not self._activations[k].has_curves,
        )

    def _with_slopes(self, slopes: list[Slopes | None], multipliers: list[Array] | None) -> list[_Level]:
        """The levels with the lines of some neurons exchanged, and with multiples of bounds (Statement 3)."""
        kept, levels = list(self._lines), list[_Level]()
        for k, activations in enumerate(self._activations):
            named = slopes[k] if slopes else None
            if named is not None:
                self._lines[k] = activations.lines(*self.region.bounds[k], named, kept[k])
            levels.append(self._level(k, levels, None if multipliers is None else multipliers[k]))
        self._lines = kept
        return levels

    # --- functions of the network ------------------------------------------------------------------------------------

    def _neurons(self, k: int, b: Array, i: Array, sign: int) -> Array:
        """Lower bounds of ``sign`` times some pre-activations of layer k."""
        map_ = self._maps[k]
        columns = self._levels[k - 1].alive if k else np.arange(map_.columns)
        rows = sign * _dense(map_.part(i, columns))
        constant, error = sign * map_.bias[i], self._rounding[k][b, i] + self._radius[k][b, i]
        rows, constant, error, mass = self._walk(rows, map_.scale, constant, error, abs(constant), k, b)
        return self._least(rows, self._settled(constant, error, mass), b)

    def _walk(
        self, rows: Array, scale: int, constant: Array, error: Array, mass: Array, k: int, which: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Statement 2, from the activations of layer ``k - 1`` (``rows`` in units of ``2^-scale``) to the inputs.

        Rounding coefficients down to a multiple of ε changes a function by at most ε times the sum of the largest
        magnitudes of what they multiply (``reach``).
        """
        numbers = self._numbers
        for level in reversed(self._levels[:k]):
            slope_scale, offset_scale, bias_scale, weight_scale = level.scales
            positive = rows > 0
            offset = np.where(positive, level.offsets[0][which], level.offsets[1][which])
            lost = numbers.real(numbers.dot(rows, offset), scale + offset_scale)
            if numbers.unit:  # of hinges no term is positive
                mass = mass + (abs(lost) if level.is_hinged else numbers.dot(abs(rows), abs(offset)))
            rows = rows * np.where(positive, level.slopes[0][which], level.slopes[1][which])
            scale, added = scale + slope_scale, None
            if level.multiplier is not None:
                rows, scale, added = numbers.real(rows, scale), 0, level.multiplier[which]
                cost = np.where(added == 0, 0 * added, added * level.ends[which])
                lost, mass = lost - cost.sum(axis=1), mass + abs(cost).sum(axis=1)
            if level.charge is not None:
                size = abs(numbers.real(rows, scale)) + (0 if added is None else abs(added))
                error = error + numbers.dot(size, level.charge[which]) + self._excess(size)
            rows = rows if added is None else rows + added
            constant = constant + lost + numbers.real(rows @ level.bias, scale + bias_scale)
            rows, scale, change = numbers.cut(numbers.product(rows, level.weight), scale + weight_scale)
            error = error + change * level.reach[which] if change else error
        return numbers.real(rows, scale), constant, error, mass

    def _excess(self, sizes: Array) -> Any:
        """Infinity for functions with a coefficient so large that underflows could add up to more than ``tiny``."""
        if not self._numbers.unit or not sizes.size or sizes.max() < LARGEST:
            return 0
        return np.where((sizes >= LARGEST).any(axis=1), np.inf, 0.0)

    def _settled(self, constant: Array, error: Array, mass: Array) -> Array:
        """The constant with all errors subtracted."""
        numbers = self._numbers
        if not numbers.unit:
            return np.asarray(constant - error)
        value = constant - (error * _UP + self._gamma * mass * _UP + numbers.tiny)
        return numbers.known(value - 4 * numbers.unit * abs(value), -np.inf)

    def _over_box(self, rows: Array, offset: Array, which: Array) -> Array:
        """Minimum of ``rows·x + offset`` over the box."""
        region, numbers = self.region, self._numbers
        least = (rows * np.where(rows > 0, region.lower[which], region.upper[which])).sum(axis=1)
        if not numbers.unit:
            return np.asarray(offset + least)
        error = self._gamma * numbers.dot(abs(rows), self._largest_input[which]) * _UP + numbers.tiny
        error = error + self._excess(abs(rows)) + self._vast[which]
        value = offset + least - error
        return numbers.known(value - 4 * numbers.unit * (abs(value) + abs(offset) + abs(least)), -np.inf)

    def _half_spaces(self, which: Array) -> Any:
        """Normals, offsets and validity of the half-spaces, by function: the query's, then the inherited one."""
        region, unit = self.region, self._numbers.unit
        for normal, offset in zip(region.normals, region.offsets, strict=True):
            here = np.broadcast_to(normal, (len(which), len(normal)))
            # Coefficients and constant are the rationals' nearest float64 numbers.
            size = self._numbers.dot(abs(here), self._largest_input[which]) + abs(offset)
            yield here, offset - (4 * unit * size + self._numbers.tiny), np.ones(len(which), dtype=bool)
        if region.inherited.any():
            yield region.normal[which], region.offset[which], region.inherited[which]

    def _least(self, rows: Array, offset: Array, which: Array) -> Array:
        """Lower bound over box and half-spaces, each mixed in with a multiplier (Statement 3) where that helps."""
        numbers, unit = self._numbers, self._numbers.unit
        best = self._over_box(rows, offset, which)
        for normals, levels, valid in self._half_spaces(which):
            chosen = self._multipliers(rows, normals, levels, which)
            some = np.flatnonzero(valid & (chosen > 0))
            beta, here = numbers.array(chosen[some]), which[some]
            part, shift = beta[:, None] * normals[some], beta * levels[some]
            mixed, base = rows[some] + part, offset[some] + shift
            if unit:
                moved = numbers.dot(abs(rows[some]) + abs(part), self._largest_input[here])
                base = base - (4 * unit * (moved + abs(offset[some]) + abs(shift)) * _UP + numbers.tiny)
            value = self._over_box(mixed, base, here)
            better = value > best[some]
            some = some[better]
            best[some], rows[some], offset[some] = value[better], mixed[better], base[better]
        return best

    def _multipliers(self, rows: Array, normal: Array, offset: Array, which: Array) -> Array:
        """Float64 β ≥ 0 that make the minima of ``(rows + β·normal)·x + β·offset`` greatest, nearly: any is valid.

        In β a minimum is concave and piecewise linear; it turns where an element of ``rows + β·normal`` changes sign.
        """
        g, n, lower, upper = (np.asarray(a, dtype=np.float64) for a in (rows, normal, *self._box(which)))
        at_lower = np.where(g != 0, g, n) > 0
        rise = np.asarray(offset, dtype=np.float64) + np.einsum("ij,ij->i", n, np.where(at_lower, lower, upper))
        beta = np.zeros(len(which))
        some = np.flatnonzero((rise > 0) & (g * n < 0).any(axis=1))
        g, n, width = g[some], n[some], (upper - lower)[some]
        turns = np.where(g * n < 0, -g / n, np.inf)
        drops = np.where(turns < np.inf, abs(n) * width, 0.0)
        order = np.argsort(turns, axis=1)
        at, turns = np.arange(len(some)), np.take_along_axis(turns, order, axis=1)
        left = rise[some][:, None] - np.cumsum(np.take_along_axis(drops, order, axis=1), axis=1)
        last = np.count_nonzero(turns < np.inf, axis=1) - 1
        chosen = turns[at, np.minimum(np.count_nonzero(left > 0, axis=1), last)] if len(some) else beta[:0]
        beta[some] = np.where(chosen < LARGEST, chosen, 0.0)
        return beta

    def _box(self, which: Array) -> tuple[Array, Array]:
        return self.region.lower[which], self.region.upper[which]


def _largest(matrix: Any) -> float:
    """Largest magnitude in a vector, or in a dense or sparse matrix; zero of nothing."""
    if matrix is None:
        return 0.0
    return float(abs(matrix if isinstance(matrix, np.ndarray) else matrix.data).max(initial=0.0))


def _dense(matrix: Any) -> Array:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
