"""Certified ranges against exact enumeration, samples, and verdicts."""

import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from brute_force import extremes
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_cases import numbers, tiny_box, tiny_network

from slir_milp.errors import OptionError
from slir_milp.network import exact_outputs, load_network
from slir_milp.network.normal_form import Network
from slir_milp.problems.catalogue import problem
from slir_milp.query import Query, load_query
from slir_milp.search import Options, Reason, Status, verify
from slir_milp.search.ranges import Ranges, bounds, functional_name

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


EMBEDDED = ("pendulum", "oscillator", "junction", "obstacle", "avoidance")


@pytest.mark.parametrize("name", EMBEDDED)
def test_samples_never_fall_outside(name: str) -> None:
    """Hinges and curves: exact values at random points lie within the proven ends, whenever the run is ended."""
    found_problem = problem(name)
    network = load_network(found_problem.network)
    box = load_query(found_problem.queries[0].path).input_boxes()[0]
    snapshots: list[Ranges] = []
    found = bounds(network, [box], tolerance=0.01, timeout=1.0, jobs=1, progress=snapshots.append)
    rng = np.random.default_rng(1)
    points = [[Fraction(float(v)) for v in rng.uniform(box.lower, box.upper)] for _ in range(20)]
    values = [exact_outputs(network, point) for point in points]
    for known in (*snapshots, found):
        for i in range(len(known)):
            assert all(Fraction(float(known.lower[i])) <= y[i][0] for y in values)
            assert all(y[i][1] <= Fraction(float(known.upper[i])) for y in values)
            assert known.lower[i] <= known.attained_lower[i]
            assert known.attained_upper[i] <= known.upper[i]
    for before, after in pairwise((*snapshots, found)):  # nothing that was known is forgotten
        assert (before.lower <= after.lower).all()
        assert (before.upper >= after.upper).all()
        assert (before.attained_lower >= after.attained_lower).all()
    for i in range(len(found)):
        attained(network, found, np.eye(len(found))[i], 0.0, i)


@pytest.mark.parametrize("name", ["pendulum", "obstacle"])
def test_verdicts_agree_on_both_sides_of_an_end(name: str) -> None:
    """Just outside of the proven ends there is nothing, by ``verify``; and at the attained ends there is something."""
    network = load_network(problem(name).network)
    box = load_query(problem(name).queries[0].path).input_boxes()[0]
    found = bounds(network, [box], tolerance=0.01, jobs=1, timeout=20)
    assert found.is_within_tolerance
    low, high = float(found.lower[0]), float(found.attained_lower[0])

    def at_most(value: float) -> Status:
        query = Query.box(box.lower, box.upper, network.output_size, lambda x, y: y[0] <= value)
        return verify(network, query, Options(timeout=20, jobs=1)).status

    assert at_most(low - 1e-6 * abs(high - low)) is Status.UNSAT
    assert at_most(high + 1e-4) is Status.SAT


def test_several_boxes_are_one_set() -> None:
    network = Network.from_layers([([[1.0]], [0.0], "abs"), ([[1.0]], [0.0])])
    found = bounds(network, [[-3.0], [1.0]], [[-2.0], [1.5]])
    assert 0.999 <= found.lower[0] <= found.attained_lower[0] == 1.0
    assert 3.001 >= found.upper[0] >= found.attained_upper[0] == 3.0
    assert found.lower_points.tolist() == [[1.0]]


def test_a_pole_leaves_an_end_open_and_says_so() -> None:
    """The reciprocal over a box with zero in it has no greatest value; what is proven is then infinite."""
    network = Network.from_layers([([[1.0]], [0.0], "reciprocal"), ([[1.0]], [0.0])])
    found = bounds(network, [-1.0], [1.0], timeout=2)
    assert found.upper[0] == np.inf
    assert not found.is_within_tolerance
    assert bounds(network, [0.5], [1.0]).upper[0] == pytest.approx(2.0, abs=2e-3)


def test_a_range_of_one_value_has_no_gap() -> None:
    network = Network.from_layers([([[1.0], [0.5]], [-5.0, -7.0], "relu"), ([[1.0, 1.0]], [1.0 / 3.0])])
    found = bounds(network, [0.0], [1.0])
    assert found.is_within_tolerance
    assert found.relative_gap.tolist() == [0.0]
    assert found.lower[0] <= 1.0 / 3.0 <= found.upper[0]


def test_one_point_has_a_range_although_its_ends_are_rounded_apart() -> None:
    network = Network.from_layers(
        [
            (np.array([[0.3, 0.7], [0.2, -0.1]]), np.array([0.5, 0.3]), "tanh"),
            (np.array([[1.7, 0.3]]), np.array([0.1])),
        ]
    )
    found = bounds(network, [0.1, 0.1], [0.1, 0.1], timeout=60)
    assert found.attained_lower[0] > found.attained_upper[0]
    assert found.is_within_tolerance


def test_it_ends_when_it_is_told_to() -> None:
    network = load_network(problem("avoidance").network)
    box = load_query(problem("avoidance").queries[0].path).input_boxes()[0]
    cancel = threading.Event()
    found = bounds(network, [box], tolerance=0.0, progress=lambda _: cancel.set(), cancel=cancel)
    assert found.reason is Reason.INTERRUPTED
    assert np.isfinite(found.lower).all()

    def interrupt(_: Ranges) -> None:
        raise KeyboardInterrupt

    assert bounds(network, [box], tolerance=0.0, progress=interrupt).reason is Reason.INTERRUPTED
    assert bounds(network, [box], tolerance=0.0, timeout=0.3).reason is Reason.TIME_LIMIT
    assert bounds(network, [box], tolerance=0.0, memory_limit=1).reason is Reason.MEMORY_LIMIT


def test_a_run_with_one_job_can_be_repeated() -> None:
    network = load_network(problem("junction").network)
    box = load_query(problem("junction").queries[0].path).input_boxes()[0]
    first, second = (bounds(network, [box], jobs=1, tolerance=0.01) for _ in range(2))
    assert first.statistics.regions == second.statistics.regions
    assert first.lower.tolist() == second.lower.tolist()


def test_what_makes_no_sense_is_refused_with_a_sentence() -> None:
    network = load_network(problem("pendulum").network)
    for wrong, message in (
        (lambda: bounds(network, [0.0], [1.0]), r"takes 2 inputs.*\(1, 1\)"),
        (lambda: bounds(network, [0.0, 2.0], [1.0, 1.0]), "lower end of input 1 is 2, above"),
        (lambda: bounds(network, [0.0, np.nan], [1.0, 1.0]), "finite"),
        (lambda: bounds(network, ["a", "b"], [1.0, 1.0]), "must be numbers"),
        (lambda: bounds(network, [0.0, 0.0]), "boxes must be given"),
        (lambda: bounds(network, [0, 0], [1, 1], outputs=[[1.0, 2.0, 3.0]]), r"shape \(k, 1\)"),
        (lambda: bounds(network, [0, 0], [1, 1], outputs=[[0.0]]), "speaks of no output"),
        (lambda: bounds(network, [0, 0], [1, 1], constants=[1.0, 2.0]), "a constant for each"),
        (lambda: bounds(network, [0, 0], [1, 1], tolerance=-1), "tolerance"),
        (lambda: bounds(network, [0, 0], [1, 1], timeout=0), "timeout"),
        (lambda: bounds("network.onnx", [0, 0], [1, 1]), "takes a network"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError, match=message):
            wrong()


def test_functionals_have_names() -> None:
    assert functional_name(np.array([1.0, -2.0, 0.0]), 0.5) == "Y_0 - 2*Y_1 + 0.5"
    assert functional_name(np.array([-1.0, 0.0, 0.0]), -1.0) == "-Y_0 - 1"
    assert functional_name(np.ones(9), 0.0).endswith("+ ...")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "prop"), [("1_1", 3), ("3_3", 3), ("1_1", 1)])
def test_acasxu(benchmarks: Path, name: str, prop: int) -> None:
    network = load_network(benchmarks / f"acasxu/onnx/ACASXU_run2a_{name}_batch_2000.onnx")
    boxes = load_query(benchmarks / f"acasxu/vnnlib/prop_{prop}.vnnlib").input_boxes()
    found = bounds(network, boxes, timeout=120)
    assert found.is_within_tolerance
    points = np.random.default_rng(0).uniform(boxes[0].lower, boxes[0].upper, (100_000, 5))
    values = network(points)
    assert (values >= found.lower - 1e-9).all()
    assert (values <= found.upper + 1e-9).all()


def test_a_region_whose_work_fails_goes_on_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from slir_milp.search.bounding import Bounding
    from slir_milp.search.ranges import RangeQuestion

    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Bounding, "_dive", fails)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weights = [numbers(rng, "eighths", shape) for shape in ((8, 2), (1, 8))]
        network = Network.from_layers([(weights[0], np.zeros(8), "relu"), (weights[1], np.zeros(1), None)])
        box = Query.box([-1.0, -0.5], [0.5, 1.0], outputs=1).input_boxes()
        run = Bounding(RangeQuestion(network, box, np.ones((1, 1)), np.zeros(1), 0.0, jobs=1))
        with pytest.raises(MemoryError):
            run.run()
        values = network(np.stack(np.meshgrid(np.linspace(-1, 0.5, 49), np.linspace(-0.5, 1, 49)), -1).reshape(-1, 2))
        known = run._ranges(None)
        assert known.lower[0] <= values.min() <= values.max() <= known.upper[0]
