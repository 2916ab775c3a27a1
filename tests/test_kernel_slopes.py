"""Slopes of the ascent stay within the hinge's own, down to the last bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from slir_milp.activations import Hinge
from slir_milp.network import Affine, Layer, Network, TensorSpec
from slir_milp.query import parse_query
from slir_milp.query.numbers import exact_decimal
from slir_milp.search import Options, Status, verify


def one_neuron(hinge: Hinge) -> Network:
    affine = Affine(np.ones((1, 1)), np.zeros(1))
    layer = Layer(affine, (hinge,), np.zeros(1, dtype=np.int32))
    return Network((layer,), affine, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))


@pytest.mark.parametrize(
    "negative, positive",
    [
        (-9.127555772777217, 7.294965609839984e-08),
        (-65535.971680328854, 1.0),
        (-1048575.3515625123, 1.0),
        (1e-9, 3.7e5),
        (-3.3333333333333335, 1e-17),
    ],
)
def test_steep_hinges_keep_their_witness(negative: float, positive: float) -> None:
    """``y - 2px`` falls to ``-p`` at ``x = 1``: a kink line steeper than the hinge would hide that."""
    p = Fraction(positive)
    bound = -p + abs(p) / 2**40
    query = parse_query(
        "(declare-const X_0 Real) (declare-const Y_0 Real) (assert (>= X_0 -0.000000001)) (assert (<= X_0 1))"
        f"(assert (<= (- Y_0 (* {exact_decimal(2 * p)} X_0)) (- {exact_decimal(-bound)})))"
    )
    assert query.holds([Fraction(1)], [(p, p)])
    network = one_neuron(Hinge(negative, positive))
    assert verify(network, query, Options(jobs=1, timeout=5.0)).status is not Status.UNSAT
