"""Products and sums of squares rewritten for a box: the same function there, within radii of exact arithmetic."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from slir_milp.activations.catalogue import activation
from slir_milp.activations.curve import Curve
from slir_milp.activations.hinge import IDENTITY
from slir_milp.bounding.balance import prepared
from slir_milp.bounding.magnitude import affine_interval
from slir_milp.bounding.quadratic import groups
from slir_milp.network import exact_outputs
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec

SQUARE = activation("square")
assert isinstance(SQUARE, Curve)


def sum_of_products(rng: np.random.Generator, *, carry: bool, inexact: bool) -> Network:
    """``Σ (a_i·z)(b_i·z)`` over three products of four variables, and the variables themselves."""
    left, right = rng.normal(size=(3, 4)) * [1, 100, 1, 0.01], rng.normal(size=(3, 4))
    weight = np.vstack([left + right, left - right, np.eye(4)])
    bias = np.concatenate([rng.normal(size=6), np.zeros(4)])
    kinds = np.array([0] * 6 + [1] * 4, dtype=np.int32)
    first = Affine(weight, bias)
    if inexact:
        first = replace(first, weight_radius=np.abs(weight) * 1e-9, bias_radius=np.full(10, 1e-9))
    layers = [Layer(first, (SQUARE, IDENTITY), kinds)]
    if carry:
        layers.append(Layer(Affine(np.eye(10), np.zeros(10)), (IDENTITY,), np.zeros(10, dtype=np.int32)))
    factor = np.array([0.25, -3.0])[:, None] * np.repeat([1.0, -1.0], 3)
    output = Affine(np.hstack([factor, rng.normal(size=(2, 4))]), rng.normal(size=2))
    return Network(tuple(layers), output, (TensorSpec("x", (4,)),), (TensorSpec("y", (2,)),))


def exact(network: Network, x: list[Fraction], share: Fraction = Fraction(0)) -> tuple[list[Fraction], list[Fraction]]:
    """Outputs with every coefficient of the first layer ``share`` of its radius away, and the radii of the outputs."""
    z, off = x, [Fraction(0)]
    for k, affine in enumerate(network.affines):
        rows = []
        for i, row in enumerate(np.asarray(affine.weight).tolist()):
            value = sum((Fraction(w) * v for w, v in zip(row, z, strict=True)), Fraction(float(affine.bias[i])))
            if k == 0 and share and affine.weight_radius is not None and affine.bias_radius is not None:
                radii = affine.weight_radius[i].tolist()
                reach = sum((Fraction(r) * abs(v) for r, v in zip(radii, z, strict=True)), Fraction(0))
                value += share * (reach + Fraction(float(affine.bias_radius[i])))
            rows.append(value)
        off = [Fraction(0)] * len(rows)
        if affine.bias_radius is not None:
            off = [Fraction(float(r)) for r in affine.bias_radius]
        if k < len(network.layers):
            layer = network.layers[k]
            rows = [v * v if layer.is_curved[i] else v for i, v in enumerate(rows)]
        z = rows
    return z, off


@pytest.mark.parametrize("inexact", [False, True])
@pytest.mark.parametrize("carry", [False, True])
def test_the_same_function_within_the_radii(carry: bool, inexact: bool) -> None:
    changed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        network = sum_of_products(rng, carry=carry, inexact=inexact)
        (group,) = groups(network, 0)
        assert len(group.members) == 6
        lower = rng.normal(size=4)
        upper = lower + rng.random(4) * [1.0, 0.01, 3.0, 0.0 if seed % 4 == 0 else 1.0]
        new = prepared(network, lower, upper)
        changed += new is not network
        for t in range(30):
            point = [Fraction(v) for v in (lower + (upper - lower) * rng.integers(0, 2, 4)).tolist()]
            if t % 2:
                point = [Fraction(v) for v in rng.uniform(lower, upper).tolist()]
            share = Fraction(int(rng.integers(-1, 2))) if inexact else Fraction(0)
            wanted, _ = exact(network, point, share)
            got, radius = exact(new, point)
            for a, b, r in zip(wanted, got, radius, strict=True):
                assert abs(a - b) <= r
    assert changed >= 10


def test_the_eigenvectors_lose_less() -> None:
    """What chords above the squares lose, summed, for a bilinear form in badly scaled variables."""

    def lost(network: Network, lower: np.ndarray, upper: np.ndarray) -> float:
        low, high = affine_interval(network.layers[0].affine, lower, upper)
        weight = np.abs(np.asarray(network.output.weight)[0])
        return float((weight * (high - low) ** 2)[:6].sum())

    for seed in range(6):
        rng = np.random.default_rng(100 + seed)
        network = sum_of_products(rng, carry=False, inexact=False)
        lower, upper = -np.ones(4), np.ones(4)
        pairs, eigen = prepared(network, lower, upper, everywhere=True), prepared(network, lower, upper)
        assert lost(eigen, lower, upper) < lost(pairs, lower, upper) <= 1.001 * lost(network, lower, upper)


@pytest.mark.parametrize("carry", [False, True])
def test_coefficients_known_up_to_radii_stay_within_them(carry: bool) -> None:
    """Two unrelated squares whose stored coefficients happen to be opposite are no product."""
    radius = 2.0**-20
    layers = [Layer(Affine(np.array([[1.0, 1.0], [1.0, -1.0]]), np.zeros(2)), (SQUARE,), np.zeros(2, dtype=np.int32))]
    if carry:
        layers.append(Layer(Affine(np.eye(2), np.zeros(2)), (IDENTITY,), np.zeros(2, dtype=np.int32)))
    output = Affine(np.array([[1.0, -1.0], [0.0, 0.0]]), np.zeros(2), weight_radius=np.full((2, 2), radius))
    network = Network(tuple(layers), output, (TensorSpec("x", (2,)),), (TensorSpec("y", (2,)),))
    lower, upper = np.array([-1000.0, -0.001]), np.array([1000.0, 0.001])
    new = prepared(network, lower, upper)
    assert new is not network
    assert prepared(network, lower, upper, everywhere=True) is network
    for x in (lower, upper, np.array([1000.0, 0.0]), np.zeros(2)):
        p, m = (x[0] + x[1]) ** 2, (x[0] - x[1]) ** 2
        for k, (low, high) in enumerate(exact_outputs(new, [Fraction(v) for v in x])):
            for a in (-radius, radius):
                for b in (-radius, radius):
                    assert low <= ((1.0 - k) + a) * p + ((k - 1.0) + b) * m <= high
