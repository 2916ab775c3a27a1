"""Random tiny networks and queries, with ties on purpose."""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from brute_force import extremes, find_witness

from slir_milp.activations import ABS, IDENTITY, RELU, Hinge
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.query import And, Atom, Formula, Or, Query

HINGES = (RELU, Hinge(0.125, 1.0), ABS, Hinge(1.0, 0.25), Hinge(0.5, -2.0), Hinge(0.0, 2.5), IDENTITY)
_CLOSE = Fraction(1, 10**7)


@dataclass(frozen=True, eq=False)
class TinyCase:
    """A network, a box with float ends, and a query whose formula bounds the inputs to the box."""

    network: Network
    query: Query
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def witness(self, margin: Fraction = Fraction(0)) -> tuple[Fraction, ...] | None:
        """The truth."""
        return find_witness(self.network, self.query.formula, self.lower, self.upper, margin)

    def is_close(self) -> bool:
        """Whether the answer hangs on less than 1e-7."""
        return (self.witness(_CLOSE) is None) != (self.witness(-_CLOSE) is None)


def numbers(rng: np.random.Generator, kind: str, size: tuple[int, ...] | int) -> Vector:
    """Weights of one of four kinds: small integers, eighths, float32 numbers, float64 numbers."""
    if kind == "integers":
        return rng.integers(-3, 4, size).astype(np.float64)
    if kind == "eighths":
        return rng.integers(-16, 17, size) / 8.0
    values = rng.normal(size=size)
    return values.astype(np.float32).astype(np.float64) if kind == "float32" else values


def tiny_network(rng: np.random.Generator, kind: str, inputs: int, outputs: int, most: int) -> Network:
    """A network of at most so many hidden neurons, in up to three layers; sometimes stored sparse."""
    widths, left = [inputs], int(rng.integers(1, most + 1))
    while left > 0 and len(widths) < 4:
        widths.append(int(rng.integers(1, min(left, 5) + 1)))
        left -= widths[-1]
    palette = HINGES if rng.random() < 0.5 else (RELU,)
    layers = [
        Layer(_affine(rng, kind, b, a), palette, rng.integers(0, len(palette), b).astype(np.int32))
        for a, b in pairwise(widths)
    ]
    output = _affine(rng, kind, outputs, widths[-1])
    return Network(tuple(layers), output, (TensorSpec("x", (inputs,)),), (TensorSpec("y", (outputs,)),))


def _affine(rng: np.random.Generator, kind: str, rows: int, columns: int) -> Affine:
    weight = numbers(rng, kind, (rows, columns))
    bias = numbers(rng, kind, rows)
    if rng.random() < 0.2:
        from scipy.sparse import csr_array

        return Affine(csr_array(weight * (rng.random((rows, columns)) < 0.7)), bias)
    return Affine(weight, bias)


def tiny_box(rng: np.random.Generator, kind: str, inputs: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ends of a box; some inputs are fixed."""
    lower = numbers(rng, "eighths" if kind == "integers" else kind, inputs)
    width = np.abs(numbers(rng, "eighths", inputs)) * (rng.random(inputs) < 0.9)
    upper = (lower + width).astype(np.float32).astype(np.float64)
    upper = np.maximum(upper, lower)
    return tuple(lower.tolist()), tuple(upper.tolist())


def tiny_case(seed: int, *, most: int = 8, inputs: int | None = None) -> TinyCase:
    """A case; about half of the thresholds are attained extremes, or within a little of one."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(["integers", "eighths", "float32", "float64"], p=[0.35, 0.25, 0.25, 0.15]))
    inputs = inputs or int(rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25]))
    outputs = int(rng.integers(1, 4))
    network = tiny_network(rng, kind, inputs, outputs, most if inputs < 3 else min(most, 6))
    lower, upper = tiny_box(rng, kind, inputs)
    halved = inputs > 1 and rng.random() < 0.2  # every alternative has half of a cube
    if halved:
        network = _aligned(rng, network)
        lower, upper = (-1.0,) * inputs, (1.0,) * inputs
    bounds = [atom for q in range(inputs) for atom in _bounds(rng, q, lower[q], upper[q])]
    clauses = []
    for _ in range(int(rng.integers(1, 4))):
        atoms = [_atom(rng, network, kind, lower, upper) for _ in range(int(rng.integers(1, 4)))]
        clauses.append(And((*([_half(rng, network, lower, upper)] if halved else []), *atoms)))
    condition: Formula = Or(tuple(clauses)) if len(clauses) > 1 or rng.random() < 0.5 else clauses[0]
    return TinyCase(network, Query(inputs, outputs, And((*bounds, condition))), lower, upper)


def _bounds(rng: np.random.Generator, q: int, lower: float, upper: float) -> tuple[Atom, Atom]:
    strict = (rng.random(2) < 0.1) & (lower < upper)
    one = Fraction(1)
    return (
        Atom(((q, -one),), Fraction(lower), bool(strict[0])),
        Atom(((q, one),), -Fraction(upper), bool(strict[1])),
    )


def _aligned(rng: np.random.Generator, network: Network) -> Network:
    """The same with a first neuron that weighs all inputs alike, but for signs."""
    first = network.layers[0]
    weight = first.affine.weight if isinstance(first.affine.weight, np.ndarray) else first.affine.weight.toarray()
    weight = weight.copy()
    weight[0] = rng.choice([-1.0, 1.0], weight.shape[1])
    layer = replace(first, affine=replace(first.affine, weight=weight))
    return replace(network, layers=(layer, *network.layers[1:]))


def _half(rng: np.random.Generator, network: Network, lower: tuple[float, ...], upper: tuple[float, ...]) -> Atom:
    """A condition on the inputs alone: one half of a cube, on one side of a plane parallel to the first neuron's kink.

    No input's own interval is the smaller for it.
    """
    sign = Fraction(int(rng.choice([-1, 1])))
    factors = [sign * Fraction(w) for w in network.affines[0].weight[0].tolist()]
    middle = sum(c * (Fraction(a) + Fraction(b)) / 2 for c, a, b in zip(factors, lower, upper, strict=True))
    return Atom(tuple(enumerate(factors)), -middle, bool(rng.random() < 0.2))


def _atom(
    rng: np.random.Generator, network: Network, kind: str, lower: tuple[float, ...], upper: tuple[float, ...]
) -> Atom:
    inputs, outputs = network.input_size, network.output_size
    chosen = rng.choice(outputs, int(rng.integers(1, outputs + 1)), replace=False) + inputs
    if rng.random() < 0.15:
        chosen = np.append(chosen, rng.integers(0, inputs))
    if rng.random() < 0.15 and inputs > 1:
        chosen = np.array([0, 1])
    terms = []
    for variable in sorted(chosen.tolist()):
        value = float(numbers(rng, "integers" if len(chosen) > 1 and rng.random() < 0.7 else kind, 1)[0])
        terms.append((int(variable), Fraction(value or 1.0)))
    if rng.random() < 0.1:
        terms = [(variable, c / 3) for variable, c in terms]  # no float64 number
    low, high = extremes(network, terms, lower, upper)
    where = rng.random()
    if where < 0.4:
        threshold = low
    elif where < 0.5:
        threshold = low + (-1) ** int(rng.integers(2)) * Fraction(1, 2 ** int(rng.choice([10, 20, 35, 60])))
    elif where < 0.9:
        threshold = low + (high - low) * Fraction(float(rng.normal(0.15, 0.25)))
    else:
        threshold = high
    return Atom(tuple(terms), -threshold, bool(rng.random() < 0.4))
