"""The falsifier: projected gradient descent with restarts on the largest row of a conjunction.

A point of the box meets a conjunction when its *margin*, the largest row value there, is at most zero.  Many points
at once walk down the gradient of their largest row by sign steps that shrink geometrically, and the best point of
each walk is kept.  Walks start at the centre, at random points, at random corners and wherever the caller proposes
(the minimisers of bounds are good places).  Everything here is plain float64: what it finds is a candidate, to be
replayed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.backward import Rows
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.search.limits import Limits

Points = NDArray[np.float64]

_FIRST_STEP = 0.3
_LAST_STEP = 0.002
_KEPT = 4


@dataclass(frozen=True, eq=False)
class Attack:
    """What one attack found.

    Attributes
    ----------
    candidates
        Points whose margin is at most zero (or within rounding of it), best first; shape ``(k, inputs)``, k small.
    margins
        The least margin of every walk, in ascending order.
    points
        Where each was seen: good places to look further.
    evaluated
        Number of points at which the network was evaluated.
    """

    candidates: Points
    margins: Vector
    points: Points
    evaluated: int


def values_and_gradients(network: Network, rows: Rows, x: Points) -> tuple[Points, Points]:
    """Margins of points and a gradient of each: shapes ``(k,)`` and ``(k, inputs)``."""
    slopes: list[Points] = []
    z = x
    for layer in network.layers:
        pre = layer.affine(z)
        slopes.append(layer.derivative(pre))
        z = layer.activate(pre)
    y = network.output(z)
    values = y @ rows.coefficients.T + rows.constants
    if rows.inputs is not None:
        values = values + x @ rows.inputs.T
    worst = np.argmax(values, axis=1)
    gradient = np.asarray(rows.coefficients[worst] @ network.output.weight)
    for layer, slope in zip(reversed(network.layers), reversed(slopes), strict=True):
        gradient = np.asarray((gradient * slope) @ layer.affine.weight)
    if rows.inputs is not None:
        gradient = gradient + rows.inputs[worst]
    return values[np.arange(len(x)), worst], gradient


def attack(
    network: Network,
    rows: Rows,
    lower: Vector,
    upper: Vector,
    *,
    restarts: int,
    steps: int,
    random: np.random.Generator,
    limits: Limits,
    starts: Points | None = None,
) -> Attack:
    """Search a box for points that meet every row.

    Parameters
    ----------
    network, rows
        The network and the conjunction.
    lower, upper
        The box.
    restarts
        Number of walks, those from ``starts`` not counted.
    steps
        Length of each walk.
    random
        Source of the starting points.
    limits
        When to give up early.
    starts
        Further starting points, shape ``(k, inputs)``.
    """
    width = upper - lower
    x = lower + random.random((restarts, len(lower))) * width
    x[: max(1, restarts // 4)] = np.where(random.random((max(1, restarts // 4), len(lower))) < 0.5, lower, upper)
    x[-1] = lower + 0.5 * width
    if starts is not None and len(starts):
        x = np.concatenate([np.clip(starts, lower, upper), x])
    best_value = np.full(len(x), np.inf)
    best_point = x.copy()
    decay = (_LAST_STEP / _FIRST_STEP) ** (1.0 / max(steps - 1, 1))
    step, evaluated = _FIRST_STEP, 0
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps + 1):
            value, gradient = values_and_gradients(network, rows, x)
            evaluated += len(x)
            better = value < best_value
            best_value[better], best_point[better] = value[better], x[better]
            if t == steps or limits.reached() is not None:
                break
            x = np.clip(x - step * width * np.sign(gradient), lower, upper)
            step *= decay
        corners = _corners(best_point, best_value, lower, upper)
        value, _ = values_and_gradients(network, rows, corners)
    best_value, best_point = np.concatenate([best_value, value]), np.concatenate([best_point, corners])
    order = np.argsort(best_value, kind="stable")
    tolerance = 1e-9 * (1.0 + float(np.abs(rows.constants).max(initial=0.0)))
    promising = [int(i) for i in order if best_value[i] <= tolerance][:_KEPT]
    return Attack(best_point[promising], best_value[order], best_point[order], evaluated + len(corners))


def _corners(points: Points, values: Vector, lower: Vector, upper: Vector) -> Points:
    """The corners nearest to the best few points: many formulas are met exactly at corners only."""
    best = points[np.argsort(values, kind="stable")[:_KEPT]]
    return np.where(best - lower < upper - best, lower, upper)
