"""Random networks, regions and conjunctions to be bounded, larger than those that can be enumerated."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from slir_milp.activations import ABS, IDENTITY, RELU, Curve, Hinge
from slir_milp.bounding.backward import Rows
from slir_milp.bounding.kernel import Conjunction, Explorer, Settings, compile_network
from slir_milp.bounding.magnitude import Slack, activation_interval, affine_interval, slack
from slir_milp.bounding.reference import Problem
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec

HINGES = (RELU, Hinge(0.1, 1.0), ABS, Hinge(0.25, 2.5), Hinge(1.0, 0.25), Hinge(0.5, -2.0), IDENTITY)


@dataclass(frozen=True, eq=False)
class BoundCase:
    """A conjunction over a region, with charges for rounding."""

    problem: Problem
    region: Region

    @property
    def network(self) -> Network:
        return self.problem.network

    @property
    def slack(self) -> Slack:
        return self.problem.slack

    def explorer(self, settings: Settings, variant: str = "") -> Explorer:
        """The kernel for it."""
        p = self.problem
        compiled = compile_network(p.network, p.slack)
        return Explorer(p.network, p.slack, compiled, Conjunction(p.rows, p.strict), settings, variant)


def network_of(
    rng: np.random.Generator,
    widths: list[int],
    *,
    sparse: bool = False,
    relu: bool = False,
    curves: tuple[Curve, ...] = (),
) -> Network:
    """A network with these widths (inputs first) and weights of the size that training gives.

    With ``curves`` each neuron is one of them or, here and there, a hinge.
    """

    def affine(rows: int, columns: int) -> Affine:
        weight = rng.normal(size=(rows, columns)) / np.sqrt(columns)
        if sparse:
            weight = csr_array(weight * (rng.random(weight.shape) < 0.07))
        return Affine(weight, 0.3 * rng.normal(size=rows))

    palette: tuple[Hinge | Curve, ...] = (RELU,) if relu else HINGES
    if curves:
        palette = (*curves, RELU, IDENTITY)
    layers = tuple(
        Layer(affine(b, a), palette, rng.integers(0, len(palette), b).astype(np.int32))
        for a, b in pairwise(widths[:-1])
    )
    specs = (TensorSpec("x", (widths[0],)),), (TensorSpec("y", (widths[-1],)),)
    return Network(layers, affine(widths[-1], widths[-2]), *specs)


def interval_bounds(network: Network, lower: Vector, upper: Vector) -> NeuronBounds:
    """Bounds of every pre-activation by interval arithmetic."""
    found = []
    for layer in network.layers:
        lower, upper = affine_interval(layer.affine, lower, upper)
        found.append((lower, upper))
        lower, upper = activation_interval(layer, lower, upper)
    return NeuronBounds(tuple(low for low, _ in found), tuple(high for _, high in found))


def _divide(
    rng: np.random.Generator, layer: Layer, x: Vector, sides: NDArray[np.int8], lower: Vector, upper: Vector
) -> None:
    """Divide curves near the point, in place, so that it stays in the region."""
    for i in np.flatnonzero(layer.is_curved):
        sides[i] = rng.choice([0, 0, 0, -1, 1, 2])
        if sides[i] in (-1, 2):
            upper[i] = min(upper[i], x[i] + 0.3 * rng.random())
        if sides[i] in (1, 2):
            lower[i] = max(lower[i], x[i] - 0.3 * rng.random())


def bound_case(
    rng: np.random.Generator,
    network: Network,
    *,
    rows: int = 2,
    width: float = 1.0,
    half_space: bool = False,
    sides: bool = False,
    direct: bool = False,
) -> BoundCase:
    """A case around a random point; half-space and sides are such that the point stays in the region."""
    n, outputs = network.input_size, network.output_size
    inside = rng.normal(size=n)
    reach = width * rng.uniform(0.2, 1.0, n)
    lower, upper = inside - reach * rng.random(n), inside + reach * rng.random(n)
    region = replace(Region.box(lower, upper), neurons=interval_bounds(network, lower, upper))
    if half_space:
        normal = rng.normal(size=(1, n))
        region = replace(region, half_spaces=HalfSpaces(normal, -(normal @ inside) - 0.2 * reach.mean()))
    if sides:
        chosen, z = [], inside
        for layer in network.layers:
            x = layer.affine(z)
            side = np.where(rng.random(layer.size) < 0.3, np.sign(x), 0).astype(np.int8)
            _divide(rng, layer, x, side, region.neurons.lower[len(chosen)], region.neurons.upper[len(chosen)])
            chosen.append(side)
            z = layer.activate(x)
        region = replace(region, sides=tuple(chosen))
    coefficients = rng.normal(size=(rows, outputs))
    constants = rng.normal(size=rows) - coefficients @ network(inside)
    inputs = rng.normal(size=(rows, n)) if direct else None
    strict = rng.random(rows) < 0.5
    charges = slack(network, lower, upper)
    return BoundCase(Problem(network, charges, Rows(coefficients, inputs, constants), strict), region)
