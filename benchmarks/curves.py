"""What a curved activation costs in the kernel, beside ReLU: lines a second, and whole regions.

    python benchmarks/curves.py

The first table gives, for each activation, what a line costs on random intervals: its offset for a given slope, and
the search for the line of least area.  The second bounds the same regions of networks that differ in nothing but their
activation (5 inputs, six layers of 50 neurons, one row of a query): all neuron bounds and nine walks of the last row.
Everything runs on one core; processor times are the least of several repetitions, to be read as ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from slir_milp.activations import RELU, Curve, Hinge, shift
from slir_milp.activations.catalogue import activation
from slir_milp.bounding.backward import Rows
from slir_milp.bounding.kernel import Conjunction, Explorer, Settings, compile_network
from slir_milp.bounding.lines import unstable
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.region import Region
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec

LINES = (
    *("tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "mish", "softplus", "elu", "selu", "atan", "softsign", "erf"),
    *("hard_swish", "hard_sigmoid", "clip", "sin", "cos", "exp", "square", "floor"),
)
REGIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "mish", "atan", "softplus", "sin")
INTERVALS = 20_000
WIDTHS = (5, 50, 50, 50, 50, 50, 50, 1)
HALF_WIDTHS = (0.02, 0.1, 0.4)
REPETITIONS = 7


@dataclass(frozen=True)
class RegionCost:
    """Seconds for a region, and how many neurons are not linear on it."""

    seconds: float
    unstable: float


def least(action: Callable[[], object]) -> float:
    """Least processor time of some repetitions."""
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def line_costs(name: str) -> tuple[int, float, float, float]:
    """Segments, seconds to build the table, seconds for an offset, seconds for a line of least area."""
    curve = activation(name)
    if not isinstance(curve, Curve):
        raise ValueError(f"{name} is a hinge")
    start = time.perf_counter()
    table = curve.table
    built = time.perf_counter() - start
    random = np.random.default_rng(1)
    lower = random.uniform(-4, 3, INTERVALS)
    upper = lower + random.uniform(0, 4, INTERVALS)
    slopes = shift.above(table, lower, upper).slope + 0.01
    offset = least(lambda: shift.above(table, lower, upper, slopes)) / INTERVALS
    area = least(lambda: shift.above(table, lower, upper)) / INTERVALS
    return table.segments, built, offset, area


def network_of(function: Hinge | Curve) -> Network:
    """A random network of ACAS Xu's shape, the same for every activation."""
    random = np.random.default_rng(7)
    affines = [
        Affine(random.normal(size=(b, a)) * np.sqrt(2.0 / a), 0.1 * random.normal(size=b)) for a, b in pairwise(WIDTHS)
    ]
    layers = tuple(Layer(a, (function,), np.zeros(a.rows, dtype=np.int32)) for a in affines[:-1])
    return Network(layers, affines[-1], (TensorSpec("x", (WIDTHS[0],)),), (TensorSpec("y", (WIDTHS[-1],)),))


def region_cost(network: Network, centre: Vector, half_width: float) -> RegionCost:
    """Cost of bounding the box around a point, every step of the ascent made."""
    lower, upper = centre - half_width, centre + half_width
    charge = slack(network, lower, upper)
    rows = Rows(np.ones((1, 1)), None, np.array([-1e9]))
    conjunction = Conjunction(rows, np.zeros(1, dtype=bool))
    settings = Settings(ascent_steps=8, patience=np.inf, report_tight=False)
    explorer = Explorer(network, charge, compile_network(network, charge), conjunction, settings)
    record, sides = explorer.record(Region.box(lower, upper))
    bounded = record.copy()
    explorer.analyse(bounded, sides)
    bounds = explorer.neurons(bounded)
    count = sum(int(unstable(*layer).sum()) for layer in zip(network.layers, bounds.lower, bounds.upper, strict=True))
    return RegionCost(least(lambda: [explorer.analyse(record.copy(), sides) for _ in range(20)]) / 20, count)


def main() -> None:
    """Print both tables."""
    print(f"lines on {INTERVALS} intervals, one core\n")
    print("| activation | segments | table, ms | offset, ns | million a second | least area, ns |")
    print("|---|---|---|---|---|---|")
    for name in LINES:
        segments, built, offset, area = line_costs(name)
        cells = (segments, f"{1e3 * built:.0f}", f"{1e9 * offset:.0f}", f"{1e-6 / offset:.1f}", f"{1e9 * area:.0f}")
        print("| " + " | ".join(map(str, (name, *cells))) + " |")
    print("\nregions of 5-50-50-50-50-50-50-1 networks: ms (unstable neurons), and the ratio to ReLU\n")
    print("| activation | " + " | ".join(f"box ±{w}" for w in HALF_WIDTHS) + " |")
    print("|---|" + "---|" * len(HALF_WIDTHS))
    centre = np.random.default_rng(3).normal(size=WIDTHS[0])
    base: list[float] = []
    for name in REGIONS:
        function = RELU if name == "relu" else activation(name)
        costs = [region_cost(network_of(function), centre, w) for w in HALF_WIDTHS]
        base = base or [cost.seconds for cost in costs]
        cells = [
            f"{1e3 * cost.seconds:.2f} ({cost.unstable:.0f}), {cost.seconds / relu:.1f}×"
            for cost, relu in zip(costs, base, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
