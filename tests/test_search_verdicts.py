"""Verdicts against the truth, found by exact enumeration of the linear pieces of tiny networks."""

import csv
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from brute_force import box_cell, cut, find_witness
from hypothesis import given
from hypothesis import strategies as st
from tiny_cases import TinyCase, tiny_case

from slir_milp.activations import ABS, RELU
from slir_milp.errors import SlirWarning
from slir_milp.network import exact_outputs, load_network
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.query import And, Atom, Formula, Or, Query, load_query
from slir_milp.search import Engine, Options, Reason, Splitting, Status, Verdict, verify

ONE = Fraction(1)

pytestmark = pytest.mark.filterwarnings("ignore:the query is empty:slir_milp.errors.SlirWarning")


# --- the oracle itself ------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_oracle_agrees_with_points(seed: int) -> None:
    """Whatever points tell: a point that meets the query means that the oracle has one too, which meets it."""
    case = tiny_case(seed)
    witness = case.witness()
    if witness is not None:
        assert case.query.holds(witness, exact_outputs(case.network, witness))
        return
    rng = np.random.default_rng(seed)
    for _ in range(10):
        share = [Fraction(int(n), 8) for n in rng.integers(0, 9, len(case.lower))]
        x = [
            Fraction(a) + s * (Fraction(b) - Fraction(a)) for a, b, s in zip(case.lower, case.upper, share, strict=True)
        ]
        assert not case.query.holds(x, exact_outputs(case.network, x))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_oracle_cuts_boxes_exactly(seed: int, inputs: int) -> None:
    """The corners of a cut box are those of its two parts, with every edge that is cut divided once."""
    rng = np.random.default_rng(seed)
    cell = box_cell([0] * inputs, [1] * inputs)
    assert len(cell) == 2**inputs
    normal = [Fraction(int(n)) for n in rng.integers(-3, 4, inputs)]
    offset = Fraction(int(rng.integers(-3, 4)), 2)

    def value(corner: object) -> Fraction:
        return sum((a * b for a, b in zip(normal, corner.x, strict=True)), offset)  # type: ignore[attr-defined]

    below, above = cut(cell, value), cut(cell, lambda corner: -value(corner))
    assert {c.x for c in cell} <= {c.x for c in (*below, *above)}
    edges = [
        (a, b) for a in cell for b in cell if sum(p != q for p, q in zip(a.x, b.x, strict=True)) == 1 and value(a) < 0
    ]
    crossed = sum(value(b) > 0 for _, b in edges)
    assert len({c.x for c in below} - {c.x for c in cell}) == crossed


# --- random networks --------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """How many cases ended how."""

    counts: Counter[str] = field(default_factory=Counter)

    def decide(self, seed: int, case: TinyCase, options: Options) -> None:
        """Hold one verdict against the truth; where it hangs on a tie, the run may end undecided."""
        truth = case.witness()
        verdict = verify(case.network, case.query, options)
        if not verdict.status.decided and not case.is_close():
            verdict = verify(case.network, case.query, replace(options, timeout=20.0))
        expected = Status.UNSAT if truth is None else Status.SAT
        if verdict.status.decided:
            assert verdict.status is expected, f"seed {seed}: {verdict.status.value}, but {expected.value} ({truth})"
            check_witness(case, verdict)
            self.counts[verdict.status.value] += 1
        else:
            assert case.is_close(), f"seed {seed}: {verdict.reason.name}, though it hangs on no tie"
            self.counts["undecided"] += 1


def check_witness(case: TinyCase, verdict: Verdict) -> None:
    witness = verdict.witness
    if verdict.status is Status.UNSAT:
        assert witness is None
        assert verdict.closed_fraction == 1.0
        return
    assert witness is not None
    assert witness.holds_exactly
    assert witness.holds_in_runtime == (verdict.reason is Reason.WITNESS)
    assert case.query.holds(witness.x, exact_outputs(case.network, witness.x))
    assert case.query.holds(witness.x, witness.exact_outputs)
    if witness.holds_in_runtime:
        outputs = [Fraction(y) for y in witness.outputs]
        assert case.query.holds(witness.x, list(zip(outputs, outputs, strict=True)))


WAYS = [
    pytest.param(Options(jobs=1), id="one job"),
    pytest.param(Options(jobs=2), id="two jobs"),
    pytest.param(Options(jobs=1, splitting=Splitting.INPUT, seed=1), id="inputs"),
    pytest.param(Options(jobs=1, splitting=Splitting.ACTIVATION), id="activations"),
    pytest.param(Options(jobs=1, engine=Engine.LP), id="lp"),
    pytest.param(Options(jobs=1, engine=Engine.MILP), id="milp"),
]


@pytest.mark.parametrize("options", WAYS)
def test_tiny_networks(options: Options) -> None:
    tally = Tally()
    first = 1000 * [way.values[0] for way in WAYS].index(options)
    for seed in range(first, first + 50):
        tally.decide(seed, tiny_case(seed), replace(options, timeout=0.15))
    assert tally.counts["undecided"] <= 0.25 * 50  # nearly half of all thresholds are ties
    assert min(tally.counts["sat"], tally.counts["unsat"]) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("options", WAYS)
def test_many_tiny_networks(options: Options) -> None:
    tally = Tally()
    first = 10_000 + 10_000 * [way.values[0] for way in WAYS].index(options)
    for seed in range(first, first + 1500):
        tally.decide(seed, tiny_case(seed, most=10), replace(options, timeout=0.2))
    assert tally.counts["undecided"] <= 0.25 * 1500


# --- ties -------------------------------------------------------------------------------------------------------------


def network_of(
    weights: list[list[list[float]]], biases: list[list[float]], *, hinge: object = RELU, dtype: str = "float32"
) -> Network:
    maps = [Affine(np.array(w, dtype=float), np.array(b, dtype=float)) for w, b in zip(weights, biases, strict=True)]
    layers = tuple(Layer(m, (hinge,), np.zeros(m.rows, np.int32)) for m in maps[:-1])  # type: ignore[arg-type]
    inputs, outputs = maps[0].columns, maps[-1].rows
    return Network(layers, maps[-1], (TensorSpec("x", (inputs,), dtype),), (TensorSpec("y", (outputs,), dtype),))


def bounds(*ends: tuple[float | Fraction, float | Fraction]) -> list[Formula]:
    atoms: list[Formula] = []
    for q, (low, high) in enumerate(ends):
        atoms += [Atom(((q, -ONE),), Fraction(low)), Atom(((q, ONE),), -Fraction(high))]
    return atoms


def at_least(variable: int, value: float | Fraction, *, strict: bool = False) -> Atom:
    return Atom(((variable, -ONE),), Fraction(value), strict)


def at_most(variable: int, value: float | Fraction, *, strict: bool = False) -> Atom:
    return Atom(((variable, ONE),), -Fraction(value), strict)


ABSOLUTE = network_of([[[1.0]], [[1.0]]], [[0.0], [0.0]], hinge=ABS)
TENT = network_of([[[1.0], [1.0]], [[1.0, -2.0]]], [[0.0, -0.5], [0.0]])
"""relu(x) − 2·relu(x − ½): from 0 up to ½ and back to 0 at 1."""


@pytest.mark.parametrize(
    ("network", "ends", "atoms", "expected"),
    [
        (ABSOLUTE, (-1, 1), [at_least(1, 1)], Status.SAT),
        (ABSOLUTE, (-1, 1), [at_least(1, 1, strict=True)], Status.UNSAT),
        (ABSOLUTE, (-1, 1), [at_most(1, 0)], Status.SAT),
        (ABSOLUTE, (-1, 1), [at_most(1, 0, strict=True)], Status.UNSAT),
        (TENT, (0, 1), [at_least(1, 0.5)], Status.SAT),
        (TENT, (0, 1), [at_least(1, 0.5, strict=True)], Status.UNSAT),
        (TENT, (0, 1), [at_most(1, 0)], Status.SAT),
        (TENT, (0, 1), [at_most(1, 0, strict=True)], Status.UNSAT),
        (TENT, (0, 1), [at_least(1, 0.25), at_most(1, 0.25), at_least(0, 0.5)], Status.SAT),
        (TENT, (0, 1), [at_least(1, 0.25), at_most(1, 0.25, strict=True)], Status.UNSAT),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_ties_that_are_settled(
    network: Network, ends: tuple[float, float], atoms: list[Atom], expected: Status, jobs: int
) -> None:
    query = Query(1, 1, And((*bounds(ends), *atoms)))
    verdict = verify(network, query, Options(jobs=jobs, timeout=10.0))
    assert verdict.status is expected


def test_a_witness_that_no_float_can_be_is_still_found_or_left_open() -> None:
    """At x = 1/3 alone 3·|x − 1/3| is zero: true in real arithmetic, in no other."""
    third = Fraction(1, 3)
    query = Query(1, 1, And((*bounds((third, third)), at_most(1, 2 * third), at_least(1, 2 * third))))
    double = network_of([[[2.0]], [[1.0]]], [[0.0], [0.0]])
    verdict = verify(double, query, Options(jobs=1, timeout=5.0))
    assert verdict.status is Status.SAT
    assert verdict.witness is not None
    assert verdict.witness.x == (third,)
    assert verdict.witness.holds_exactly


def test_exact_witness_that_float32_loses() -> None:
    """2²⁴ + x − 2²⁴ is x, but not in float32: never ``unsat``, whatever is set aside on the way."""
    network = network_of([[[1.0]], [[1.0]]], [[2.0**24], [-(2.0**24)]])
    query = Query(1, 1, And((*bounds((0, 1)), at_least(1, 0.25), at_most(1, 0.375))))
    for jobs in (1, 2):
        verdict = verify(network, query, Options(jobs=jobs, timeout=5.0))
        assert verdict.status is Status.SAT
        assert verdict.reason is Reason.EXACT_WITNESS
        assert verdict.witness is not None
        assert Fraction(1, 4) <= verdict.witness.x[0] <= Fraction(3, 8)


@pytest.mark.parametrize("seed", [234, 284])
def test_slivers_that_are_set_aside_are_not_closed(seed: int) -> None:
    case = tiny_case(seed)
    assert case.witness() is not None
    verdict = verify(case.network, case.query, Options(jobs=1, timeout=5.0))
    assert verdict.status is not Status.UNSAT


# --- shapes of queries ------------------------------------------------------------------------------------------------


def test_no_hidden_layer() -> None:
    network = network_of([[[1.0, -2.0]]], [[0.5]])
    ends = bounds((0, 1), (0, 1))
    for engine in Engine:
        options = Options(jobs=1, timeout=10.0, engine=engine)
        assert verify(network, Query(2, 1, And((*ends, at_least(2, 1.5)))), options).status is Status.SAT
        assert verify(network, Query(2, 1, And((*ends, at_least(2, 1.625)))), options).status is Status.UNSAT


def test_no_condition_on_the_outputs() -> None:
    query = Query(1, 1, And(tuple(bounds((0, 1)))))
    assert verify(TENT, query, Options(jobs=1)).status is Status.SAT
    overflowing = network_of([[[1e200]], [[1e200]]], [[0.0], [0.0]])
    verdict = verify(overflowing, query, Options(jobs=1, timeout=5.0))
    assert verdict.status is Status.SAT
    assert verdict.reason is Reason.EXACT_WITNESS


def test_empty_input_set() -> None:
    query = Query(1, 1, And((*bounds((0, 1)), at_least(0, 2), at_least(1, 0))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SlirWarning):
            verify(TENT, query, Options(jobs=1))
        warnings.simplefilter("ignore")
        verdict = verify(TENT, query, Options(jobs=1))
    assert (verdict.status, verdict.reason) == (Status.UNSAT, Reason.EMPTY)


def test_union_of_boxes() -> None:
    """One of many boxes holds the only witnesses."""
    parts = [And((*bounds((k / 64, (k + 0.5) / 64)), at_least(1, 0.5 - 2**-9))) for k in range(64)]
    verdict = verify(TENT, Query(1, 1, Or(tuple(parts))), Options(jobs=1, timeout=10.0))
    assert verdict.status is Status.SAT
    assert verdict.witness is not None
    assert abs(verdict.witness.x[0] - Fraction(1, 2)) <= Fraction(1, 64)
    verdict = verify(TENT, Query(1, 1, Or(tuple(parts[:31]))), Options(jobs=1, timeout=10.0))
    assert verdict.status is Status.UNSAT


def test_constraints_among_inputs() -> None:
    """x₀ + x₁ = ½ and x₀ − x₁ = ¼ leave one point of the box."""
    network = network_of([[[1.0, 1.0], [1.0, -1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    lines: list[Formula] = []
    for sign, value in ((1, Fraction(1, 2)), (-1, Fraction(1, 4))):
        terms = ((0, ONE), (1, Fraction(sign)))
        lines += [Atom(terms, -value), Atom(tuple((v, -c) for v, c in terms), value)]
    for threshold, strict, expected in [
        (0.75, False, Status.SAT),
        (0.75, True, Status.UNSAT),
        (0.8, False, Status.UNSAT),
    ]:
        query = Query(2, 1, And((*bounds((0, 1), (0, 1)), *lines, at_least(2, threshold, strict=strict))))
        verdict = verify(network, query, Options(jobs=1, timeout=5.0))
        assert verdict.status in (expected, Status.TIMEOUT, Status.UNKNOWN)
        assert find_witness(network, query.formula, [0, 0], [1, 1]) is None or expected is Status.SAT


def test_conditions_on_inputs_hold_for_their_own_alternative_only() -> None:
    """|x₀ + x₁| is at most 3 where the sum is negative, which says nothing about where it is positive."""
    network = network_of([[[1.0, 1.0]], [[1.0]]], [[0.0], [0.0]], hinge=ABS)
    negative, positive = (Atom(((0, Fraction(s)), (1, Fraction(s))), Fraction(0)) for s in (1, -1))
    for first, second in [(negative, positive), (positive, negative)]:
        parts = And((first, at_least(2, 3))), And((second, at_least(2, 1.5)))
        for condition in (Or(parts), Or(parts[::-1])):
            query = Query(2, 1, And((*bounds((-1, 1), (-1, 1)), condition)))
            assert verify(network, query, Options(jobs=1, timeout=5.0)).status is Status.SAT


def test_input_fixed_at_no_float32_number() -> None:
    """X_1 = 0.1 is no binary number: the witness has it exactly, and float32 is given the nearest."""
    network = network_of([[[1.0, 1.0]], [[1.0]]], [[0.0], [0.0]])
    tenth = Fraction(1, 10)
    for low, expected in [(1, Status.SAT), (Fraction(12, 10), Status.UNSAT)]:
        query = Query(2, 1, And((*bounds((0, 1), (tenth, tenth)), at_least(2, low))))
        verdict = verify(network, query, Options(jobs=1, timeout=5.0))
        assert verdict.status is expected
        if verdict.witness is not None:
            assert verdict.witness.x[1] == tenth


# --- numbers that are hard --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", list(Engine))
def test_numbers_too_large_for_float64_are_left_open(engine: Engine) -> None:
    """Where bounds overflow nothing is claimed, and nothing breaks."""
    network = network_of([[[1e200]], [[1e200]], [[1.0]]], [[0.0], [0.0], [0.0]])
    for ends in [(1.0, 1.0), (-1.0, 1.0)]:
        query = Query(1, 1, And((*bounds(ends), at_most(1, -1))))
        verdict = verify(network, query, Options(jobs=1, timeout=0.3, engine=engine))
        assert verdict.status is not Status.SAT


@pytest.mark.parametrize("sparse", [False, True])
def test_network_of_zeros(sparse: bool) -> None:
    from scipy.sparse import csr_array

    weight = csr_array((1, 1)) if sparse else np.zeros((1, 1))
    hidden = Layer(Affine(weight, np.zeros(1)), (RELU,), np.zeros(1, np.int32))
    network = Network((hidden,), Affine(weight, np.zeros(1)), (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    for threshold, expected in [(0.0, Status.SAT), (5e-324, Status.UNSAT)]:
        query = Query(1, 1, And((*bounds((-1, 1)), at_least(1, threshold))))
        assert verify(network, query, Options(jobs=1, timeout=5.0)).status is expected


@pytest.mark.parametrize(
    ("ends", "threshold", "expected"),
    [
        ((-1e30, 1e30), 2e30, Status.UNSAT),
        ((-1e30, 1e30), 5e29, Status.SAT),
        ((1.0, float(np.nextafter(1.0, 2.0))), 1.5, Status.UNSAT),
        ((1.0, 1.0), 1.0, Status.SAT),
        ((5e-324, 1e-323), 1e-322, Status.UNSAT),
    ],
)
def test_odd_boxes(ends: tuple[float, float], threshold: float, expected: Status) -> None:
    network = network_of([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    query = Query(1, 1, And((*bounds(ends), at_least(1, threshold))))
    assert verify(network, query, Options(jobs=1, timeout=5.0)).status is expected


# --- real networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "prop"),
    [("1_1", 1), ("1_1", 3), ("2_1", 3), ("3_3", 9), ("1_3", 2), ("5_3", 2), ("1_7", 3), ("1_9", 4), ("1_9", 7)],
)
def test_acas_xu(benchmarks: Path, network: str, prop: int) -> None:
    folder = benchmarks / "acasxu"
    names = f"onnx/ACASXU_run2a_{network}_batch_2000.onnx", f"vnnlib/prop_{prop}.vnnlib"
    with (folder / "truth.csv").open(newline="") as table:
        (expected,) = [row["verdict"] for row in csv.DictReader(table) if (row["onnx"], row["vnnlib"]) == names]
    verdict = verify(load_network(folder / names[0]), load_query(folder / names[1]), Options(timeout=60.0, jobs=1))
    assert verdict.status.value == expected
    if verdict.witness is not None:
        assert verdict.witness.holds_exactly
        assert verdict.witness.holds_in_runtime


def test_float64_network_with_constraints_among_inputs(benchmarks: Path) -> None:
    """Two engines agree, and a witness is one."""
    folder = benchmarks / "acc_fc"
    with (folder / "instances.csv").open(newline="") as table:
        (onnx, vnnlib, *_), *_ = csv.reader(table)
    network, query = load_network(folder / onnx), load_query(folder / vnnlib)
    assert {spec.dtype for spec in network.inputs} == {"float64"}
    verdicts = [verify(network, query, Options(timeout=30.0, jobs=1, engine=e)) for e in (Engine.AUTO, Engine.LP)]
    assert verdicts[0].status is verdicts[1].status
    for verdict in verdicts:
        assert verdict.status.decided
        if verdict.witness is not None:
            assert query.holds(verdict.witness.x, exact_outputs(network, verdict.witness.x))
