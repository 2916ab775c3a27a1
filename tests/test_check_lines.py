"""Lines of whole layers in the checker: squares, which have a rule of their own, against the rule for any curve."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.activations.catalogue import activation
from slir_milp.activations.curve import Curve
from slir_milp.certificate.check.arithmetic import Balls, Exact
from slir_milp.certificate.check.curves import CurveLines
from slir_milp.certificate.check.lines import Activations, Slopes
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer

SQUARE = activation("square")
NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e-200, -1e-200, 5e-324, 0.5, -0.5])


def squares() -> Layer:
    affine = Affine(np.ones((1, 1)), np.zeros(1))
    return Layer(affine, (SQUARE,), np.zeros(1, dtype=np.int32))


@pytest.mark.parametrize("numbers", [Balls(), Exact()], ids=["ball", "exact"])
@settings(max_examples=150, deadline=None)
@given(ends=st.tuples(NUMBERS, NUMBERS).map(sorted), below=NUMBERS, above=NUMBERS)
def test_squares_are_enclosed_and_nearly_as_well_as_can_be(
    numbers: Balls | Exact, ends: list[float], below: float, above: float
) -> None:
    assert isinstance(SQUARE, Curve)
    activations = Activations(squares(), numbers, {SQUARE: CurveLines(SQUARE)})
    lower, upper = numbers.array([[ends[0]]]), numbers.array([[ends[1]]])
    slopes = Slopes(np.array([[True]]), numbers.array([[below]]), numbers.array([[above]]))
    with np.errstate(all="ignore"):
        lines = activations.lines(lower, upper, slopes)
        low, high = activations.ranges(lower, upper)

    def exactly(value: object) -> Fraction:
        return Fraction(value) if isinstance(value, float) else Fraction(int(value.p), int(value.q))  # type: ignore[attr-defined]

    a, b, s, t = (Fraction(x) for x in (*ends, below, above))
    least = min(x * x - s * x for x in (a, b, min(max(s / 2, a), b)))
    most = max(x * x - t * x for x in (a, b))
    size = max(abs(x) for x in (a, b, s, t)) ** 2 / 2**48 + Fraction(1, 2**700)
    assert least - size <= exactly(lines.lower_offset[0, 0]) <= least
    assert most <= exactly(lines.upper_offset[0, 0]) <= most + size
    assert exactly(low[0, 0]) <= min(x * x for x in (a, b, min(max(Fraction(0), a), b)))
    assert exactly(high[0, 0]) >= max(a * a, b * b)
