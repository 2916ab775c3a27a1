"""What the checks of verdicts about digits rest on: functions, their second derivatives, lines, ball arithmetic."""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slir_milp.problems.catalogue import problem, problems_folder
from slir_milp.problems.make import digits
from slir_milp.problems.make.check_smooth import same_function
from slir_milp.problems.make.shifted import affine_maps, lines, output_bounds
from slir_milp.problems.make.smooth import SMOOTH
from slir_milp.problems.make.straight_line import evaluate

NAMES = tuple(SMOOTH)
FUNCTIONS = {**SMOOTH, **{f"gate of {name}": smooth.gate for name, smooth in SMOOTH.items() if smooth.gate is not None}}


def network(name: str) -> Path:
    return problem(f"digits_{name}").network


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slopes_are_derivatives_and_bends_bound_theirs(name: str) -> None:
    function = FUNCTIONS[name]
    x = np.linspace(-9.001, 9, 60_001)
    step = 1e-5
    quotient = (function.value(x + step) - function.value(x - step)) / (2 * step)
    assert np.abs(quotient - function.slope(x)).max() < 1e-5
    bend = np.abs(np.diff(function.slope(x))) / np.diff(x)
    assert 0.9 * function.bend < bend.max() <= function.bend


@given(st.sampled_from(tuple(FUNCTIONS)), st.floats(-8, 8), st.floats(0, 10), st.integers(0, 2**32 - 1))
def test_lines_enclose_the_function(name: str, low: float, width: float, seed: int) -> None:
    function, ends = FUNCTIONS[name], (np.array([low]), np.array([low + width]))
    slope_low, offset_low, slope_high, offset_high = lines(function, *ends)
    x = np.random.default_rng(seed).uniform(*ends, 200)
    assert (slope_low * x + offset_low <= function.value(x)).all()
    assert (slope_high * x + offset_high >= function.value(x)).all()


@pytest.mark.parametrize("name", NAMES)
def test_bounds_of_scores_hold_at_samples(name: str) -> None:
    parameters, function = digits.parameters_of(network(name)), SMOOTH[name]
    rng = np.random.default_rng(1)
    image = digits.kept_images()[0][3]
    rows = rng.normal(size=(5, 10))
    for radius in (0.0, 0.02, 0.2):
        low, high = np.clip((image - radius, image + radius), 0, 1)
        bounds = output_bounds(partial(lines, function), affine_maps(parameters), rows, np.zeros(5), low, high)
        points = np.where(rng.random((500, 64)) < 0.5, low, high)
        values = digits.scores(function, parameters, points) @ rows.T
        assert (bounds <= values.min(axis=0)).all()
        assert radius or bounds == pytest.approx(values[0], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_the_perceptron_and_so_is_the_one_with_gates_apart(name: str) -> None:
    points = np.random.default_rng(2).random((2, 64)).astype(np.float32)
    assert same_function(network(name), points.astype(np.float64))
    apart = digits.graph(SMOOTH[name], digits.parameters_of(network(name)), apart=True)
    runs = [
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        for graph in (apart, network(name).read_bytes())
    ]
    for point in points:
        one, other = (run.run(None, {"image": point[None]})[0][0] for run in runs)
        exact = evaluate(network(name), point.astype(np.float64).tolist())
        assert one == pytest.approx(other, abs=1e-6)
        assert all(high - low < 1e-30 for low, high in exact)
        assert other == pytest.approx([float(low) for low, _ in exact], abs=1e-3)


def test_the_kept_images_are_those_of_the_data_set() -> None:
    pytest.importorskip("sklearn", reason="the images come with scikit-learn")
    assert digits.test_images() == (problems_folder() / "digits.csv").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_right_on_most_kept_images(name: str) -> None:
    images, labels = digits.kept_images()
    scores = digits.scores(SMOOTH[name], digits.parameters_of(network(name)), images)
    assert (scores.argmax(axis=1) == labels).mean() >= 0.94
