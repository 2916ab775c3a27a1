"""Check the verdicts about digits: a point is searched along the gradient; ``unsat`` is proven by :mod:`.shifted`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .check_truth import MARGIN, Condition, conditions, into_float32, meets, written
from .conditions import read_clauses
from .digits import CLASSES, SIZES, parameters_of
from .shifted import Map, affine_maps, lines, output_bounds
from .smooth import SMOOTH, Smooth
from .straight_line import Program, evaluate
from .training import Array

INPUTS = SIZES[0]
OUTPUTS = Program(INPUTS, np.zeros((0, 0)), np.zeros(0), np.eye(CLASSES, 1 + INPUTS + CLASSES, 1 + INPUTS))
STEPS, SAME = 60, 1e-5


def activation_of(path: Path) -> Smooth:
    """What the neurons of a network of digits apply, by its file's name."""
    return SMOOTH[path.stem.removeprefix("digits_")]


def forward(function: Smooth, maps: list[Map], x: Array) -> tuple[Array, list[Array]]:
    """Outputs, and what goes into each activation."""
    before = []
    for weight, bias in maps[:-1]:
        before.append(x @ weight + bias)
        x = function.value(before[-1])
    return x @ maps[-1][0] + maps[-1][1], before


def same_function(path: Path, points: Array) -> bool:
    """Whether the graph, in ball arithmetic, is the perceptron that the bounds are about."""
    maps, function = affine_maps(parameters_of(path)), activation_of(path)
    pairs = [(evaluate(path, point.tolist()), forward(function, maps, point)[0]) for point in points]
    return all(
        abs(float(low) - value) < SAME and abs(float(high) - value) < SAME
        for enclosed, values in pairs
        for (low, high), value in zip(enclosed, values, strict=True)
    )


def find_point(function: Smooth, maps: list[Map], condition: Condition) -> tuple[float, Array]:
    """Go down along the sign of the gradient of the largest row, from the middle of the box, in ever smaller steps."""
    x = (condition.low + condition.high) / 2
    best, best_point = np.inf, x
    for step in range(STEPS):
        outputs, before = forward(function, maps, x)
        violation = condition.rows @ np.concatenate(([1.0], x, outputs))
        if violation.max() < best:
            best, best_point = float(violation.max()), x
        row = condition.rows[violation.argmax()]
        gradient = maps[-1][0] @ row[1 + INPUTS :]
        for (weight, _), pre in zip(reversed(maps[:-1]), reversed(before), strict=True):
            gradient = weight @ (gradient * function.slope(pre))
        pace = 0.15 * (1 - step / STEPS) * (condition.high - condition.low)
        x = np.clip(x - np.sign(gradient + row[1 : 1 + INPUTS]) * pace, condition.low, condition.high)
    return best, best_point


def lower_bound(function: Smooth, maps: list[Map], condition: Condition) -> float:
    """Lower bound on the largest row over the box; rows are about outputs alone."""
    rows = condition.rows[~condition.rows[:, 1 : 1 + INPUTS].any(axis=1)]
    enclose = partial(lines, function)
    found = output_bounds(enclose, maps, rows[:, 1 + INPUTS :], rows[:, 0], condition.low, condition.high)
    return float(found.max(initial=-np.inf))


def check(path: Path, text: str) -> tuple[str, str, str]:
    """Verdict, witness and a remark for a query about digits."""
    clauses, parts = read_clauses(text), conditions(OUTPUTS, text)
    function, maps = activation_of(path), affine_maps(parameters_of(path))
    if not same_function(path, np.random.default_rng(0).uniform(parts[0].low, parts[0].high, (3, INPUTS))):
        return "unknown", "", "the graph is not what the bounds are about"
    for part in parts:
        violation, found = find_point(function, maps, part)
        point = into_float32(part, found)
        if violation <= 0 and meets(path, clauses, point):
            return "sat", written(point), f"violation {violation:.3g}"
    least = min(lower_bound(function, maps, part) for part in parts)
    return ("unsat" if least > MARGIN else "unknown"), "", f"least violation {least:.3g}"
