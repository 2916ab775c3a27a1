"""Certified ranges against exact enumeration, samples, and verdicts."""

from fractions import Fraction

import numpy as np
from brute_force import extremes
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_cases import numbers, tiny_box, tiny_network

from slir_milp.network import exact_outputs
from slir_milp.network.normal_form import Network
from slir_milp.search.ranges import Ranges, bounds
from slir_milp.search.verdict import Reason

SEEDS = st.integers(0, 2**32 - 1)
KINDS = ("integers", "eighths", "float32", "float64")


def random_network(rng: np.random.Generator) -> tuple[Network, tuple[float, ...], tuple[float, ...]]:
    kind = KINDS[rng.integers(len(KINDS))]
    inputs = int(rng.integers(1, 4))
    lower, upper = tiny_box(rng, kind, inputs)
    return tiny_network(rng, kind, inputs, int(rng.integers(1, 4)), 7), lower, upper


def attained(network: Network, found: Ranges, functional: np.ndarray, constant: float, i: int) -> None:
    """The inner ends are what the network's exact values at the points say."""
    for point, end, sign in (
        (found.lower_points[i], found.attained_lower[i], 1),
        (found.upper_points[i], found.attained_upper[i], -1),
    ):
        values = exact_outputs(network, [Fraction(float(x)) for x in point])
        sums = [
            sum((Fraction(float(c)) * y[k] for c, y in zip(functional, values, strict=True)), Fraction(0))
            for k in (0, 1)
        ]
        worst = (max(sums) if sign > 0 else min(sums)) + Fraction(float(constant))
        assert (Fraction(float(end)) - worst) * sign >= 0


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from([1e-6, 1e-3, 0.5]), st.sampled_from([1, 2]))
def test_ranges_of_tiny_networks_are_right(seed: int, tolerance: float, jobs: int) -> None:
    rng = np.random.default_rng(seed)
    network, lower, upper = random_network(rng)
    rows = numbers(rng, "eighths", (int(rng.integers(1, 3)), network.output_size))
    rows[~rows.any(axis=1)] = 1.0
    constants = numbers(rng, "eighths", len(rows))
    found = bounds(network, lower, upper, outputs=rows, constants=constants, tolerance=tolerance, jobs=jobs, timeout=20)
    assert found.reason in (Reason.WITHIN_TOLERANCE, Reason.TOO_SMALL)
    for i, (row, constant) in enumerate(zip(rows, constants, strict=True)):
        terms = [(network.input_size + j, Fraction(float(c))) for j, c in enumerate(row) if c]
        least, greatest = (value + Fraction(float(constant)) for value in extremes(network, terms, lower, upper))
        assert found.lower[i] <= least <= found.attained_lower[i]
        assert found.attained_upper[i] <= greatest <= found.upper[i]
        attained(network, found, row, constant, i)
        # Rounding apart, every range of so small a network can be known.
        scale = 1e-9 * max(1.0, abs(float(least)), abs(float(greatest)))
        assert found.gap[i] <= tolerance * (found.attained_upper[i] - found.attained_lower[i]) + scale
