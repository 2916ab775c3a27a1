"""Rows that ask for what no activation gives are refuted exactly, and no other."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp import Options, Status, parse_query, verify
from slir_milp.activations.catalogue import activation
from slir_milp.bounding.exact import ExactRow
from slir_milp.bounding.ranges import refuted_by_ranges
from slir_milp.bounding.region import NeuronBounds
from slir_milp.network import exact_outputs
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec

NAMES = ("sigmoid", "tanh", "relu", "erf", "floor", "exp")


def network_of(name, weight=1.0, bias=0.0):
    layer = Layer(Affine(np.eye(1), np.zeros(1)), (activation(name),), np.zeros(1, dtype=np.int32))
    output = Affine(np.array([[weight]]), np.array([bias]))
    return Network((layer,), output, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_no_row_that_a_point_meets_is_refuted(data):
    quarter = st.integers(-40, 40).map(lambda k: k / 4)
    network = network_of(data.draw(st.sampled_from(NAMES)), data.draw(quarter), data.draw(quarter))
    low, high = sorted((data.draw(quarter), data.draw(quarter)))
    share = Fraction(data.draw(st.integers(0, 8)), 8)
    x = Fraction(low) + share * (Fraction(high) - Fraction(low))
    sign, factor = data.draw(st.sampled_from([1, -1])), data.draw(st.integers(-3, 3))
    ((bottom, top),) = exact_outputs(network, [x])
    value = sign * (top if sign > 0 else bottom) + factor * x  # the row's value is at most this, so it holds there
    row = ExactRow({0: Fraction(sign)}, {0: Fraction(factor)}, -value, strict=False)
    bounds = NeuronBounds((np.array([low]),), (np.array([high]),))
    assert not refuted_by_ranges(network, [row], np.array([low]), np.array([high]), bounds)


@pytest.mark.parametrize(
    ("name", "condition", "status"),
    [
        ("sigmoid", "(< Y_0 0)", Status.UNSAT),
        ("sigmoid", "(> Y_0 1)", Status.UNSAT),
        ("sigmoid", "(or (< Y_0 0) (> Y_0 1))", Status.UNSAT),
        ("tanh", "(> Y_0 1)", Status.UNSAT),
        ("erf", "(< Y_0 -1)", Status.UNSAT),
        ("exp", "(< Y_0 0)", Status.UNSAT),
        ("sigmoid", "(> Y_0 0.999)", Status.SAT),
        ("tanh", "(< Y_0 -0.999)", Status.SAT),
    ],
)
def test_verdicts_beyond_ranges(name, condition, status):
    end = 50 if name == "exp" else 1000
    box = f"(declare-const X_0 Real) (declare-const Y_0 Real) (assert (<= X_0 {end})) (assert (>= X_0 -{end}))"
    assert (
        verify(network_of(name), parse_query(f"{box} (assert {condition})"), Options(jobs=1, timeout=20.0)).status
        is status
    )
