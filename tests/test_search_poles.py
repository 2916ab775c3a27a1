"""Boxes that touch a point where an activation has a pole or ends: decided as far as they can be."""

import numpy as np
import pytest

from slir_milp import Options, Status, parse_query, verify
from slir_milp.activations import Curve
from slir_milp.activations.catalogue import activation
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec


def network_of(name: str) -> Network:
    """One neuron, in and out unchanged."""
    function = activation(name)
    assert isinstance(function, Curve)
    layer = Layer(Affine(np.eye(1), np.zeros(1)), (function,), np.zeros(1, dtype=np.int32))
    return Network((layer,), Affine(np.eye(1), np.zeros(1)), (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))


def query_of(lower: str, condition: str) -> str:
    ends = f"(assert (>= X_0 {lower})) (assert (<= X_0 1))"
    return f"(declare-const X_0 Real) (declare-const Y_0 Real) {ends} (assert {condition})"


@pytest.mark.parametrize(
    ("name", "condition"), [("sqrt", "(>= Y_0 5)"), ("log", "(>= Y_0 1)"), ("reciprocal", "(<= Y_0 0.5)")]
)
def test_only_the_pole_itself_stays_open(name: str, condition: str) -> None:
    """No input meets the query: all but a small box at the pole is closed, and nothing is claimed of that."""
    verdict = verify(network_of(name), parse_query(query_of("0", condition)), Options(jobs=1, timeout=30.0))
    assert verdict.status is not Status.SAT
    if verdict.status is not Status.UNSAT:
        assert verdict.closed_fraction > 0.8
        assert all(region.upper[0] <= 0.01 for region in verdict.open_regions)


@pytest.mark.parametrize(("name", "condition"), [("sqrt", "(<= Y_0 0.25)"), ("reciprocal", "(>= Y_0 1000)")])
def test_witnesses_near_the_pole_are_found(name: str, condition: str) -> None:
    verdict = verify(network_of(name), parse_query(query_of("0", condition)), Options(jobs=1, timeout=30.0))
    assert verdict.status is Status.SAT


def test_away_from_the_pole_nothing_changes() -> None:
    verdict = verify(network_of("log"), parse_query(query_of("0.125", "(>= Y_0 1)")), Options(jobs=1, timeout=30.0))
    assert verdict.status is Status.UNSAT
