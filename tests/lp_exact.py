"""Small networks, and what they do along a segment of inputs in exact arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from slir_milp.activations import Hinge
from slir_milp.bounding.backward import Rows, backward, minimise
from slir_milp.bounding.lines import enclose
from slir_milp.bounding.magnitude import activation_interval, affine_interval, slack
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec

HINGES = (
    Hinge(0.0, 1.0),
    Hinge(0.1, 1.0),
    Hinge(-1.0, 1.0),
    Hinge(1.0, 0.25),
    Hinge(0.5, -2.0),
    Hinge(1.0, 1.0),
)


@dataclass(frozen=True, eq=False)
class Case:
    """A network, a region of it that is a segment (only the first input varies), and rows."""

    network: Network
    region: Region
    rows: Rows


def random_network(rng: np.random.Generator, widths: tuple[int, ...]) -> Network:
    """A network of these widths, inputs first, whose neurons have all kinds of hinges."""
    layers = []
    for inputs, size in pairwise(widths[:-1]):
        affine = Affine(rng.normal(size=(size, inputs)), rng.normal(size=size) / 2)
        layers.append(Layer(affine, HINGES, rng.integers(0, len(HINGES), size).astype(np.int32)))
    output = Affine(rng.normal(size=(widths[-1], widths[-2])), rng.normal(size=widths[-1]))
    return Network(tuple(layers), output, (TensorSpec("x", (widths[0],)),), (TensorSpec("y", (widths[-1],)),))


def random_case(seed: int, *, segment: bool = True, conditions: bool = True) -> Case:
    """A case; with conditions some neurons are put on a side, mostly that of one point, and half-spaces cut the box."""
    rng = np.random.default_rng(seed)
    inputs = 2 if segment else 3
    network = random_network(rng, (inputs, *rng.integers(1, 6, rng.integers(1, 4)).tolist(), 3))
    lower = rng.normal(size=inputs)
    upper = lower + rng.uniform(0, 3, inputs)
    if segment:
        upper[1:] = lower[1:]
    region = Region.box(lower, upper)
    if conditions:
        inside = rng.uniform(lower, upper)
        normals = rng.normal(size=(int(rng.integers(0, 3)), inputs))
        offsets = -(normals @ inside) - rng.uniform(-0.1, 1, len(normals))
        sides, z = [], inside
        for layer in network.layers:
            x = layer.affine(z)
            side = np.where(rng.random(layer.size) < 0.05, -np.sign(x), np.sign(x))
            sides.append(np.where(rng.random(layer.size) < 0.4, side, 0).astype(np.int8))
            z = layer.activate(x)
        region = replace(region, half_spaces=HalfSpaces(normals, offsets), sides=tuple(sides))
    count = int(rng.integers(1, 4))
    direct = rng.normal(size=(count, inputs)) if seed % 2 else None
    return Case(network, region, Rows(rng.normal(size=(count, 3)), direct, rng.normal(size=count)))


def sound_bounds(case: Case) -> NeuronBounds:
    """Bounds of every pre-activation by the reference, from the box alone."""
    region = Region.box(case.region.lower, case.region.upper)
    charges = slack(case.network, region.lower, region.upper)
    lower: list[Vector] = []
    upper: list[Vector] = []
    low, high = region.lower, region.upper
    for k, layer in enumerate(case.network.layers):
        low, high = affine_interval(layer.affine, low, high)
        lines = tuple(map(enclose, case.network.layers, lower, upper))
        unit = np.eye(layer.size)
        rows = Rows(np.vstack([unit, -unit]), None, np.zeros(2 * layer.size))
        least, _, _ = minimise(backward(case.network, charges, lines, rows, start=k), charges, region)
        lower.append(np.maximum(low, least[: layer.size]))
        upper.append(np.minimum(high, -least[layer.size :]))
        low, high = activation_interval(layer, lower[-1], upper[-1])
    return NeuronBounds(tuple(lower), tuple(upper))


Numbers = list[Fraction]


@dataclass
class Knot:
    """A point of the segment: its inputs, the current layer's values, all pre-activations, and whether it is inside."""

    x: Numbers
    z: Numbers
    pre: list[Numbers]
    inside: bool


def knots(case: Case) -> list[Knot]:
    """Points between which every pre-activation is linear, the ends of the region among them; ``z`` are the outputs."""
    region = case.region
    ends = [_exact(region.lower), _exact(region.upper)]
    line = [Knot(x, x, [], True) for x in ends]
    for normal, offset in zip(region.half_spaces.normals, region.half_spaces.offsets, strict=True):
        g, k = _exact(normal), Fraction(float(offset))
        line = _restricted(line, [_dot(g, knot.x) + k for knot in line])
    for k, layer in enumerate(case.network.layers):
        for knot in line:
            knot.z = _apply(layer.affine, knot.z)
            knot.pre = [*knot.pre, knot.z]
        for i in range(layer.size):
            line = _refined(line, [knot.z[i] for knot in line])
            side = 0 if region.sides is None else int(region.sides[k][i])
            if side:
                line = _restricted(line, [-side * knot.z[i] for knot in line])
        slopes = list(zip(_exact(layer.negative_slope), _exact(layer.positive_slope), strict=True))
        for knot in line:
            knot.z = [value * (s if value < 0 else t) for value, (s, t) in zip(knot.z, slopes, strict=True)]
    for knot in line:
        knot.z = _apply(case.network.output, knot.z)
    return line


def row_values(rows: Rows, knot: Knot) -> Numbers:
    """Exact value of every row at a knot."""
    values = [
        _dot(_exact(c), knot.z) + Fraction(float(k)) for c, k in zip(rows.coefficients, rows.constants, strict=True)
    ]
    if rows.inputs is None:
        return values
    return [value + _dot(_exact(c), knot.x) for value, c in zip(values, rows.inputs, strict=True)]


def least_maximum(case: Case) -> Fraction | None:
    """The least value that the largest row takes in the region, exactly; ``None`` if the region is empty."""
    line = knots(case)
    count = len(case.rows)
    for first in range(count):
        for second in range(first):
            values = [row_values(case.rows, knot) for knot in line]
            line = _refined(line, [value[first] - value[second] for value in values])
    return min((max(row_values(case.rows, knot)) for knot in line if knot.inside), default=None)


def seeds() -> st.SearchStrategy[int]:
    """Seeds of cases."""
    return st.integers(0, 2**32 - 1)


def _exact(values: Vector) -> Numbers:
    return [Fraction(float(value)) for value in values]


def _dot(a: Numbers, b: Numbers) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0))


def _apply(affine: Affine, z: Numbers) -> Numbers:
    weight = np.asarray(affine.weight)
    return [_dot(_exact(row), z) + Fraction(float(b)) for row, b in zip(weight, affine.bias, strict=True)]


def _refined(line: list[Knot], values: Numbers) -> list[Knot]:
    """The knots, and one wherever a function that is linear between them changes its sign."""
    return [knot for knot, _ in _with_zeros(line, values)]


def _restricted(line: list[Knot], values: Numbers) -> list[Knot]:
    """The knots and those zeros, and all of them marked as outside where the function is positive."""
    return [replace(knot, inside=knot.inside and value <= 0) for knot, value in _with_zeros(line, values)]


def _with_zeros(line: list[Knot], values: Numbers) -> Iterator[tuple[Knot, Fraction]]:
    yield line[0], values[0]
    for (left, right), (before, after) in zip(pairwise(line), pairwise(values), strict=True):
        if before * after < 0:
            share = before / (before - after)
            pre = [_mix(a, b, share) for a, b in zip(left.pre, right.pre, strict=True)]
            x, z = _mix(left.x, right.x, share), _mix(left.z, right.z, share)
            yield Knot(x, z, pre, left.inside and right.inside), Fraction(0)
        yield right, after


def _mix(a: Numbers, b: Numbers, share: Fraction) -> Numbers:
    return [p + share * (q - p) for p, q in zip(a, b, strict=True)]
