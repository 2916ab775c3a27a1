"""Questions about controllers say what they should, of a controller made here and of the public ones."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from slir_milp import parse_query
from slir_milp.problems.make.conditions import Clause, read_clauses
from slir_milp.problems.make.controllers import (
    FACTORS,
    INNER,
    NEAR,
    Controller,
    Question,
    by_runtime,
    controllers,
    paired,
    questions,
)
from slir_milp.problems.make.recipe import model, perceptron_nodes
from slir_milp.problems.make.training import dense

BOX = ((-1.0, 3.0), (0.5, 0.5), (2.0, 2.25))


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """A controller of three inputs, one of them fixed, and two outputs."""
    path = tmp_path_factory.mktemp("controllers") / "small.onnx"
    nodes = perceptron_nodes("x", "y", 3, activation="Tanh")
    weights = dense(np.random.default_rng(0), (3, 8, 8, 2))
    path.write_bytes(model(nodes, {"x": (1, 3)}, {"y": (1, 2)}, weights, opset=13, about="A controller."))
    return Controller("small", path, BOX)


def by_kind(controller: Controller, kind: str) -> list[Question]:
    return [question for question in questions(controller) if question.kind == kind]


@cache
def clauses_of(question: Question) -> list[Clause]:
    return read_clauses(question.text)


def meets(question: Question, x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a point with its outputs meets a query, by the small second reader of queries."""
    point = {f"X_{i}": Fraction(float(v)) for i, v in enumerate(x)}
    point |= {f"Y_{j}": Fraction(float(v)) for j, v in enumerate(y)}
    return any(all(row.holds(point) for row in clause) for clause in clauses_of(question))


def points(ends: tuple[tuple[float, float], ...], count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    low, high = np.array(ends).T
    inside = rng.uniform(low, high, (count, len(ends)))
    inside[::3] = np.where(rng.random((len(inside[::3]), len(ends))) < 0.5, low, high)
    return inside


def test_every_kind_is_asked_of_every_output_at_every_factor(controller: Controller) -> None:
    asked = questions(controller)
    assert [question.factor for question in asked] == list(FACTORS) * 6
    assert {question.kind for question in asked} == {
        f"{k} of Y_{j}" for k in ("range", "cone", "change") for j in (0, 1)
    }
    for question in asked:
        size = 6 if question.kind.startswith("change") else 3
        parse_query(question.text).check_fits(size, 2)


def test_a_pair_gives_the_change_of_the_outputs(controller: Controller) -> None:
    single = onnx.load(controller.path)
    x, steps = points(BOX, 50), points(((-0.1, 0.1),) * 3, 50)
    change = by_runtime(paired(single, 3))(np.hstack((x, steps)))
    outputs = by_runtime(single)
    assert change == pytest.approx(outputs(x + steps) - outputs(x), abs=1e-6)


def test_the_cone_is_about_steepness_from_the_centre(controller: Controller) -> None:
    outputs = by_runtime(onnx.load(controller.path))
    low, high = np.array(BOX).T
    centre, half = (low + high) / 2, (high - low) / 2
    free = half > 0
    x = points(BOX, 400)
    distance = (np.abs(x - centre)[:, free] / half[free]).max(axis=1)
    rise = np.abs(outputs(x) - outputs(centre[None]))[:, 1] / distance
    found = dict.fromkeys(FACTORS, 0)
    for question in by_kind(controller, "cone of Y_1"):
        for point, value, far, steepness in zip(x, outputs(x), distance, rise, strict=True):
            met = meets(question, point, value)
            found[question.factor] += met
            slope = question.factor * rise.max()
            if far < 0.999 * INNER or (steepness < 0.8 * slope):
                assert not met
            if far > 1.001 * INNER and steepness > 1.2 * slope:
                assert met
    assert found[0.5] > 0 == found[1.5]


def test_what_is_known_to_be_met_is_met_by_samples(controller: Controller) -> None:
    outputs = by_runtime(onnx.load(controller.path))
    change = by_runtime(paired(onnx.load(controller.path), 3))
    both = points(BOX + tuple((-NEAR * (b - a) / 2, NEAR * (b - a) / 2) for a, b in BOX), 40_000)
    both = both[np.argsort(np.abs(change(both)).max(axis=1))[-40:]]
    x = points(BOX, 200)
    for question in questions(controller):
        is_change = question.kind.startswith("change")
        where, values = (both, change(both)) if is_change else (x, outputs(x))
        met = [meets(question, *pair) for pair in zip(where, values, strict=True)]
        assert question.known == ("sat" if question.factor < 1 else "")
        if question.factor > 1 or question.factor == 0.5:
            assert any(met) == (question.factor < 1), question.name


def can_be_asked(one: Controller) -> None:
    outputs = onnx.load(one.path).graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    asked = questions(one)
    assert len(asked) == 3 * len(FACTORS) * outputs
    for question in asked[:: len(FACTORS)]:
        count = len(one.box) * (2 if question.kind.startswith("change") else 1)
        parse_query(question.text).check_fits(count, outputs)


def test_all_public_controllers_are_found(benchmarks: Path) -> None:
    found = {one.name: one for one in controllers(benchmarks)}
    assert len(found) == 23
    for name in ("CartPole__model", "NAV__nn-nav-set", "acc_tanh", "mountain_car_sig_2x16"):
        can_be_asked(found[name])


@pytest.mark.slow
def test_every_public_controller_can_be_asked(benchmarks: Path) -> None:
    for one in controllers(benchmarks):
        can_be_asked(one)
