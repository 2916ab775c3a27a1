"""Networks at single points in rational arithmetic, and numbers that are hard on rounding."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from slir_milp.bounding.backward import Rows
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Network

Numbers = list[Fraction]


def exact(values: Vector) -> Numbers:
    return [Fraction(float(value)) for value in values]


def dot(a: Numbers, b: Numbers) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True) if p and q), Fraction(0))


def apply(affine: Affine, z: Numbers, spread: Vector | None = None) -> Numbers:
    """Value of an affine map; ``spread`` in [−1, 1] (one number a row) says where in its radii its coefficients are."""
    weight, bias = _dense(affine.weight), exact(affine.bias)
    result = [dot(exact(row), z) + b for row, b in zip(weight, bias, strict=True)]
    if spread is not None:
        for i, share in enumerate(exact(spread)):
            if affine.weight_radius is not None:
                reach = exact(_dense(affine.weight_radius)[i])
                result[i] += share * dot(reach, [abs(v) for v in z])
            if affine.bias_radius is not None:
                result[i] += share * Fraction(float(affine.bias_radius[i]))
    return result


def _dense(matrix: object) -> Vector:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()  # type: ignore[attr-defined]


def forward(network: Network, x: Numbers) -> tuple[list[Numbers], Numbers]:
    """Pre-activations of every layer and outputs."""
    pre, z = [], x
    for layer in network.layers:
        values = apply(layer.affine, z)
        pre.append(values)
        slopes = zip(exact(layer.negative_slope), exact(layer.positive_slope), strict=True)
        z = [v * (s if v < 0 else t) for v, (s, t) in zip(values, slopes, strict=True)]
    return pre, apply(network.output, z)


def row_values(rows: Rows, x: Numbers, y: Numbers) -> Numbers:
    """Exact value of every row."""
    values = [dot(exact(c), y) + Fraction(float(k)) for c, k in zip(rows.coefficients, rows.constants, strict=True)]
    if rows.inputs is not None:
        values = [v + dot(exact(c), x) for v, c in zip(values, rows.inputs, strict=True)]
    return values


def at_most(bound: float, value: Fraction) -> bool:
    """Whether a lower bound is one; minus infinity is, NaN is not."""
    return bound == -np.inf or (np.isfinite(bound) and Fraction(float(bound)) <= value)


def at_least(bound: float, value: Fraction) -> bool:
    """Whether an upper bound is one."""
    return at_most(-bound, -value)


def points_of(rng: np.random.Generator, lower: Vector, upper: Vector, count: int = 4) -> list[Numbers]:
    """Exact points of a box: random corners, and random points that need not be float64 numbers."""
    low, high = exact(lower), exact(upper)
    shares = [[Fraction(int(b)) for b in rng.integers(0, 2, len(low))] for _ in range(count)]
    shares += [[Fraction(int(b), 97) for b in rng.integers(0, 98, len(low))] for _ in range(count)]
    return [[a + s * (b - a) for a, b, s in zip(low, high, share, strict=True)] for share in shares]


SCALES = (0.0, 5e-324, 1e-310, 1e-160, 1e-30, 1e-3, 1.0, 1.0, 1.0, 1e4, 1e30, 1e150, 1e300)

scales = st.sampled_from(SCALES)
"""By which weights and boxes are multiplied."""


def rough(rng: np.random.Generator, size: tuple[int, ...] | int, scale: float) -> Vector:
    """Normal numbers times a scale, a few of them replaced by zero or by numbers of quite another size."""
    values = rng.normal(size=size)
    odd = rng.random(size) < 0.1
    other = np.ldexp(values, rng.integers(-60, 20, size))
    with np.errstate(under="ignore"):
        return np.where(odd, rng.choice([0.0, 1.0], size) * other, values) * scale
