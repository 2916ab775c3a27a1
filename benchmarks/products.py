"""What it costs to see ``x · gate(x)`` as a product: robustness proven at the root, without splits and without ascent.

    python benchmarks/products.py [--radii R ...] [--images N]

The same NumPy code bounds every network three times; only the two lines around each neuron differ:

``function``
    Lines of least area around the function itself, among a few slopes, shifted until they touch.
``mccormick``
    The gate gets such lines; the product of ``x`` and the gate gets the two planes of McCormick on either side, and of
    these the one that is nearer in the middle of the interval.  This is how tools relax SiLU, Mish or GELU that know
    sigmoid, tanh, erf and multiplication.
``squares``
    ``x · g = ((x + g)² − (x − g)²) / 4``, with lines for the gate and for both squares.

Plain float64, to compare with; nothing here is a proof.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slir_milp.problems.catalogue import problem
from slir_milp.problems.make.digits import CLASSES, around, kept_images, parameters_of
from slir_milp.problems.make.shifted import Lines, affine_maps, lines, output_bounds
from slir_milp.problems.make.smooth import SMOOTH, Function

RADII = (0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04)
GATED = ("silu", "mish", "gelu", "lambda_gelu")
SQUARE = Function(np.square, lambda x: 2.0 * x, 2.0)

Array = NDArray[np.float64]
Enclose = Callable[[Array, Array], Lines]


def through_line(factor: Array, gate: Lines, *, above: bool) -> tuple[Array, Array]:
    """Slope and offset of a line above (or below) ``factor * gate(x)``, from the gate's lines."""
    slope_low, offset_low, slope_high, offset_high = gate
    use_high = (factor >= 0) == above
    return factor * np.where(use_high, slope_high, slope_low), factor * np.where(use_high, offset_high, offset_low)


def mccormick(gate: Function, low: Array, high: Array) -> Lines:
    """Lines around ``x * gate(x)`` by McCormick's planes; every gate here increases."""
    around_gate = lines(gate, low, high)
    least, most = gate.value(low), gate.value(high)
    middle = (low + high) / 2
    found: list[Array] = []
    for above, pairs in ((False, ((low, least), (high, most))), (True, ((high, least), (low, most)))):
        planes = []
        for x, g in pairs:  # the plane x * gate + g * X - x * g
            slope, offset = through_line(x, around_gate, above=above)
            planes.append((slope + g, offset - x * g))
        (one, one_offset), (other, other_offset) = planes
        first = (one * middle + one_offset > other * middle + other_offset) != above
        found += [np.where(first, one, other), np.where(first, one_offset, other_offset)]
    return found[0], found[1], found[2], found[3]


def squares(gate: Function, low: Array, high: Array) -> Lines:
    """Lines around ``x * gate(x)`` as a difference of squares; every gate here increases."""
    slope_low, offset_low, slope_high, offset_high = lines(gate, low, high)
    least, most = gate.value(low), gate.value(high)
    total = lines(SQUARE, low + least, high + most)
    difference = lines(SQUARE, low - most, high - least)

    def composed(outer: tuple[Array, Array], sign: float, *, above: bool) -> tuple[Array, Array]:
        """Line of ``outer`` at ``x + sign * gate(x)``."""
        slope, offset = through_line(sign * outer[0], (slope_low, offset_low, slope_high, offset_high), above=above)
        return slope + outer[0], offset + outer[1]

    below = composed(total[:2], 1.0, above=False), composed(difference[2:], -1.0, above=True)
    over = composed(total[2:], 1.0, above=True), composed(difference[:2], -1.0, above=False)
    return (
        (below[0][0] - below[1][0]) / 4,
        (below[0][1] - below[1][1]) / 4,
        (over[0][0] - over[1][0]) / 4,
        (over[0][1] - over[1][1]) / 4,
    )


def ways(name: str) -> dict[str, Enclose]:
    """Every way to put a function between lines."""
    function = SMOOTH[name]
    gate = function.gate
    if gate is None:
        raise ValueError(f"{name} is no product")
    return {
        "function": lambda low, high: lines(function, low, high),
        "mccormick": lambda low, high: mccormick(gate, low, high),
        "squares": lambda low, high: squares(gate, low, high),
    }


def proven(name: str, enclose: Enclose, radius: float, count: int) -> int:
    """How many of the images are proven robust."""
    maps = affine_maps(parameters_of(problem(f"digits_{name}").network))
    images, labels = kept_images()
    done = 0
    for image in range(min(count, len(images))):
        label = int(labels[image])
        rows = np.delete(np.eye(CLASSES)[label] - np.eye(CLASSES), label, axis=0)
        low, high = np.array(around(image, radius)).T
        done += bool(output_bounds(enclose, maps, rows, np.zeros(len(rows)), low, high).min() > 0)
    return done


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--radii", nargs="+", type=float, default=RADII)
    parser.add_argument("--images", type=int, default=40)
    arguments = parser.parse_args()
    print("| activation | lines | " + " | ".join(f"{radius:g}" for radius in arguments.radii) + " | seconds |")
    print("|---|---|" + "---|" * (len(arguments.radii) + 1))
    for name in GATED:
        for way, enclose in ways(name).items():
            start = time.perf_counter()
            counts = [proven(name, enclose, radius, arguments.images) for radius in arguments.radii]
            spent = time.perf_counter() - start
            print(f"| {name} | {way} | {' | '.join(map(str, counts))} | {spent:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
