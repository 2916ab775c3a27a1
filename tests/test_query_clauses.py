"""Queries as sets: evaluation, clauses, boxes, rows, and the texts that are written."""

import itertools
import math
import os
import random
import warnings
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slir_milp.errors import QueryError, SlirWarning
from slir_milp.query import (
    And,
    Atom,
    Box,
    Clause,
    Or,
    Query,
    clauses,
    float32_box,
    float64_box,
    format_witness,
    grouped_clauses,
    load_query,
    parse_query,
    parse_witness,
    write_query,
)

small = st.integers(-4, 4).map(lambda k: Fraction(k, 2))
odd = st.builds(Fraction, st.integers(-(10**6), 10**6), st.integers(1, 1000))
values = st.one_of(small, odd)
nonzero = values.filter(bool)


@st.composite
def atoms(draw, inputs, outputs):
    variables = draw(st.lists(st.integers(0, inputs + outputs - 1), max_size=3, unique=True).map(sorted))
    coefficients = draw(st.lists(nonzero, min_size=len(variables), max_size=len(variables)))
    return Atom(tuple(zip(variables, coefficients, strict=True)), draw(values), draw(st.booleans()))


@st.composite
def formulas(draw, inputs, outputs, depth=3):
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(atoms(inputs, outputs))
    parts = draw(st.lists(formulas(inputs, outputs, depth - 1), max_size=3))
    return draw(st.sampled_from([And, Or]))(tuple(parts))


@st.composite
def queries(draw):
    """A query with a bounded box, and points for it, many of them on its boundaries."""
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    box = []
    for i in range(inputs):
        lower, upper = sorted([draw(small), draw(small)])
        box += [Atom(((i, Fraction(1)),), -upper, draw(st.booleans()))]
        box += [Atom(((i, Fraction(-2)),), 2 * lower, draw(st.booleans()))]
    # Several alternatives side by side and within each other, for the order in which they are expanded.
    inner = st.lists(formulas(inputs, outputs, 2), min_size=1, max_size=2).map(lambda parts: And(tuple(parts)))
    alternatives = st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts)))
    formula = And((*box, *draw(st.lists(alternatives, max_size=2)), draw(formulas(inputs, outputs))))
    points = st.tuples(*[st.lists(values, min_size=n, max_size=n) for n in (inputs, outputs)])
    return Query(inputs, outputs, formula), draw(st.lists(points, min_size=1, max_size=8))


def at(y):
    return [(value, value) for value in y]


def quiet_clauses(query, refute=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlirWarning)
        return list(clauses(query, refute))


def row_value(row, point):
    return row.constant + sum(a * point[v] for v, a in row.terms)


def meets(clause, x, y):
    rows = ((row_value(row, [*x, *y]), row.strict) for row in clause.rows)
    return clause.contains(x) and all(value < 0 or (value == 0 and not strict) for value, strict in rows)


# ---- clauses -----------------------------------------------------------------------------------------------


@given(queries())
def test_clauses_are_the_query(case):
    query, points = case
    found = quiet_clauses(query)
    # Corners of the clauses' boxes are the points where strictness and closeness show.
    corners = [
        (list(ends), y) for clause in found for ends in (clause.exact_lower, clause.exact_upper) for _, y in points
    ]
    for x, y in [*points, *corners]:
        assert query.holds(x, at(y)) == any(meets(clause, x, y) for clause in found)


@settings(max_examples=50)
@given(queries())
def test_grouping_keeps_every_clause_and_joins_equal_neighbours(case):
    query, _ = case
    found = quiet_clauses(query)
    assume(found)
    groups = list(grouped_clauses(query))
    assert [clause for _, group in groups for clause in group] == found
    assert all(clause.box is box for box, group in groups for clause in group)
    assert all(a != b for (a, _), (b, _) in itertools.pairwise(groups))


@settings(max_examples=50)
@given(queries())
def test_partial_conjunctions_contain_what_follows_from_them(case):
    query, points = case
    asked = []
    found = quiet_clauses(query, lambda clause: asked.append(clause) or False)
    assert found == quiet_clauses(query)
    if asked:
        for x, y in points:
            if query.holds(x, at(y)):
                assert any(meets(clause, x, y) for clause in [*asked, *found])


def test_refuting_skips_a_branch_without_a_warning():
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
        "(assert (or (and (>= X_0 0) (<= X_0 1)) (and (>= X_0 2) (<= X_0 3))))"
        "(assert (or (<= Y_0 0) (<= Y_1 0)))(assert (or (<= Y_0 1) (<= Y_1 1)))"
    )
    assert len(list(clauses(query))) == 8
    assert {clause.upper[0] for clause in clauses(query, lambda clause: clause.lower[0] == 0)} == {3.0}
    assert not list(clauses(query, lambda clause: True))


def test_boxes_come_first_whatever_the_order_of_assertions():
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)"
        "(assert (or (<= Y_0 0) (>= Y_0 1) (and (<= Y_0 5) (>= Y_0 4))))"
        "(assert (or (and (>= X_0 0) (<= X_0 1)) (and (>= X_0 2) (<= X_0 3)) (and (<= X_0 7) (> X_0 7))))"
    )
    assert [(box.upper[0], len(group)) for box, group in grouped_clauses(query)] == [(1.0, 3), (3.0, 3)]


def test_no_alternative_is_lost_where_some_appear_within_others():
    """Alternatives on inputs and on outputs, each with both kinds within: exactly the product of all choices."""
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (and (>= X_0 0) (<= X_0 9)))"
        "(assert (or (<= Y_0 0) (and (<= Y_0 1) (or (<= Y_1 2) (and (<= Y_1 3) (<= X_0 8))))))"
        "(assert (or (<= Y_0 10) (and (<= Y_0 11) (or (<= Y_1 12) (and (<= Y_1 13) (or (<= X_0 7) (<= Y_1 14)))))))"
        "(assert (or (<= Y_0 20) (<= Y_1 21)))(assert (or (<= X_0 6) (<= X_0 5) (or (<= Y_0 30) (<= Y_1 31))))"
    )
    first = [{"a0"}, {"a1", "b2"}, {"a1", "b3", "x8"}]
    second = [{"a10"}, {"a11", "b12"}, {"a11", "b13", "x7"}, {"a11", "b13", "b14"}]
    third, fourth = [{"a20"}, {"b21"}], [{"x6"}, {"x5"}, {"a30"}, {"b31"}]
    expected = []
    for choice in itertools.product(first, second, third, fourth):
        names = set().union(*choice)
        bound = min([9, *(int(name[1:]) for name in names if name[0] == "x")])
        expected.append((bound, sorted(name for name in names if name[0] != "x")))
    found = [
        (clause.exact_upper[0], sorted(f"{' ab'[row.terms[0][0]]}{-row.constant}" for row in clause.rows))
        for clause in clauses(query)
    ]
    assert sorted(found) == sorted(expected)


def test_expansion_is_lazy():
    """Two to the sixtieth clauses: the first ones come at once."""
    choice = "(assert (or (<= Y_0 0) (<= Y_1 0)))"
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (>= X_0 0))(assert (<= X_0 1))"
        + choice * 60
    )
    stream = clauses(query)
    assert len(next(stream).rows) == len(next(stream).rows) == 60


@pytest.mark.parametrize(
    "condition",
    ["(< X_0 0)", "(<= 1 0)", "(< 0 0)", "(or)", "(> (+ X_0 X_1) 2)", "(or (< X_0 0) (and (> X_1 1) (<= Y_0 0)))"],
)
def test_an_empty_query_warns(condition):
    query = parse_query(
        "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(assert (<= Y_0 1))"
        f"(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1)))(assert {condition})"
    )
    with pytest.warns(SlirWarning, match="empty by itself"):
        assert not list(clauses(query))


def test_a_hand_made_query_must_be_bounded_too():
    with pytest.raises(QueryError, match="X_0 has no lower bound"):
        list(clauses(Query(1, 1, Atom(((0, Fraction(1)),), Fraction(-1)))))


def test_rows_on_inputs_tighten_the_box():
    query = parse_query(
        "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(assert (<= Y_0 0))"
        "(assert (and (>= X_0 -50) (<= X_0 50) (>= X_1 0) (<= X_1 150)))(assert (< (+ (* -1.5 X_0) X_1) 5))"
    )
    (clause,) = clauses(query)
    assert clause.exact_lower == (Fraction(-10, 3), 0)
    assert clause.exact_upper == (50, 80)
    assert clause.lower_strict == (True, False)
    assert clause.upper_strict == (False, True)


# ---- evaluation --------------------------------------------------------------------------------------------


@given(queries())
def test_violation_agrees_with_holding(case):
    query, points = case
    for x, y in points:
        violation = query.violation(x, at(y))
        if query.holds(x, at(y)):
            assert violation <= 0
        if violation < 0:
            assert query.holds(x, at(y))


@settings(max_examples=50)
@given(queries(), st.lists(st.tuples(values, values).map(sorted), min_size=2, max_size=2))
def test_holding_on_intervals_covers_their_points(case, intervals):
    query, points = case
    intervals = intervals[: query.outputs]
    for x, _ in points:
        if query.holds(x, intervals):
            for share in (Fraction(0), Fraction(1, 3), Fraction(1)):
                assert query.holds(x, at([low + share * (high - low) for low, high in intervals]))


def test_evaluation_takes_floats_exactly_and_refuses_what_is_no_point():
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (and (<= X_0 0.1) (>= X_0 0.0)))(assert (< Y_0 X_0))"
    )
    assert not query.holds([0.1], [(0.0, 0.0)])  # the float is larger than one tenth
    assert query.holds([Fraction(1, 10)], [(0, np.float32(0.0))])
    assert query.violation([0.1], [(0.0, 0.0)]) == Fraction(0.1) - Fraction(1, 10)
    for x, y in (([0.1, 0.2], [(0.0, 0.0)]), ([math.nan], [(0.0, 0.0)]), ([0.0], [(-math.inf, 0.0)])):
        with pytest.raises(QueryError):
            query.holds(x, y)


def test_sizes_must_fit():
    query = Query(2, 3, And(()))
    query.check_fits(2, 3)
    with pytest.raises(QueryError, match="declares 2 inputs and 3 outputs, but the network has 5 and 3"):
        query.check_fits(5, 3)


# ---- boxes and rows in floating point ----------------------------------------------------------------------

magnitudes = st.one_of(
    values,
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(Fraction),
    st.floats(-1e140, 1e140).map(Fraction),
    st.builds(lambda k, e: Fraction(k) * Fraction(10) ** e, st.integers(-999, 999), st.integers(-60, 60)),
    st.sampled_from(
        [Fraction(1, 10**400), Fraction(2) ** -1074, Fraction(2) ** -149, -Fraction(1, 2**200), Fraction(0)]
    ),
)


def lies_inside(interval, number):
    low, high, low_strict, high_strict = interval
    if not math.isfinite(number):
        return False
    value = Fraction(float(number))
    return low <= value <= high and not (low_strict and value == low) and not (high_strict and value == high)


@settings(max_examples=60)
@given(st.lists(st.tuples(magnitudes, magnitudes, st.booleans(), st.booleans()), min_size=1, max_size=3))
def test_float_boxes_enclose_and_inner_boxes_are_inside(ends):
    intervals = [(*sorted([a, b]), *(strict if a != b else (False, False))) for a, b, *strict in ends]
    box = Box(tuple((low, s) for low, _, s, _ in intervals), tuple((high, s) for _, high, _, s in intervals))
    clause = Clause(box, (), 1)
    for i, (low, high, _, _) in enumerate(intervals):
        assert Fraction(clause.lower[i]) <= low < Fraction(math.nextafter(clause.lower[i], math.inf))
        assert Fraction(math.nextafter(clause.upper[i], -math.inf)) < high <= Fraction(clause.upper[i])
        for grid, dtype in ((float32_box(clause), np.float32), (float64_box(clause), np.float64)):
            inside = partial(lies_inside, intervals[i])
            first, last = grid.lower[i], grid.upper[i]
            assert first.dtype == last.dtype == dtype
            assert grid.exists[i] == (first <= last) == inside(first) == inside(last)
            with np.errstate(over="ignore"):
                assert not inside(np.nextafter(first, dtype(-np.inf)))
                assert not inside(np.nextafter(last, dtype(np.inf)))


@given(st.lists(st.tuples(st.integers(0, 3), magnitudes), max_size=4), magnitudes, st.booleans())
def test_row_matrix_relaxes_the_row_by_rounding_only(terms, constant, strict):
    terms = tuple(sorted({v: a for v, a in terms if abs(a) > Fraction(1, 10**150)}.items()))
    clause = Clause(Box(((Fraction(0), False),) * 2, ((Fraction(1), False),) * 2), (Atom(terms, constant, strict),), 2)
    matrix = clause.row_matrix()
    stored = np.hstack([matrix.inputs, matrix.outputs])[0]
    radius = np.zeros(4) if matrix.coefficient_radius is None else matrix.coefficient_radius[0]
    assert np.isfinite(stored).all() and np.isfinite(matrix.constant).all()
    assert bool(matrix.strict[0]) == strict
    assert set(np.flatnonzero(stored)) <= {v for v, _ in terms}
    if not terms:
        return
    exact = [Fraction(stored[v]) / a for v, a in terms if radius[v] == 0]
    scale = (
        exact[0]
        if exact
        else next(
            s
            for s in (Fraction(1), *(Fraction(2) ** k for k in range(-1200, 1200)))
            if all(abs(Fraction(stored[v]) - a * s) <= radius[v] for v, a in terms)
        )
    )
    assert scale > 0
    for v, a in terms:
        assert abs(Fraction(stored[v]) - a * scale) <= Fraction(radius[v])
        assert radius[v] <= abs(stored[v]) * 2.0**-53 + 5e-324
    assert Fraction(matrix.constant[0]) <= constant * scale < Fraction(math.nextafter(matrix.constant[0], math.inf))


@pytest.mark.parametrize(
    ("coefficients", "stored"),
    [
        (("0.1", "0.25"), [2.0, 5.0]),
        (("0.5", "-0.75"), [0.5, -0.75]),
        (("(/ 1.0 3.0)", "(/ 1.0 7.0)"), [7.0, 3.0]),
        (("1e-140", "1e-140"), [2.0**0, 2.0**0]),
    ],
)
def test_coefficients_are_exact_where_a_multiple_is(coefficients, stored):
    query = parse_query(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (and (<= X_0 1) (>= X_0 0)))"
        f"(assert (<= (+ (* {coefficients[0]} X_0) (* {coefficients[1]} Y_0)) 0.0))"
    )
    matrix = next(clauses(query)).row_matrix()
    assert matrix.coefficient_radius is None
    assert [matrix.inputs[0, 0], matrix.outputs[0, 0]] == stored


@given(queries())
def test_margins_find_the_points_that_meet_the_rows(case):
    query, points = case
    x, y = (np.array([[float(v) for v in p[k]] for p in points]) for k in (0, 1))
    for clause in quiet_clauses(query):
        margins = clause.margins(x, y)
        assert margins.shape == (len(points),)
        for k in range(len(points)):
            exact = [row_value(row, [Fraction(v) for v in (*x[k], *y[k])]) for row in clause.rows]
            if margins[k] < -1e-6 or not exact:
                assert all(value < 0 for value in exact)
            if margins[k] > 1e-6:
                assert any(value > 0 for value in exact)


# ---- writing -----------------------------------------------------------------------------------------------


@given(queries())
def test_written_queries_read_back_with_the_same_meaning(case):
    query, points = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlirWarning)
        again = parse_query(write_query(query))
    assert (again.inputs, again.outputs) == (query.inputs, query.outputs)
    for x, y in points:
        assert again.holds(x, at(y)) == query.holds(x, at(y))


@given(
    st.lists(st.one_of(magnitudes.map(float), magnitudes), min_size=1), st.lists(st.floats(-1e300, 1e300), min_size=1)
)
def test_witnesses_read_back(x, y):
    text = format_witness(x, y)
    assert text.startswith("((X_0 ") and text.endswith("))")
    again_x, again_y = parse_witness(text)
    assert again_y == tuple(map(Fraction, y))
    for value, again in zip(x, again_x, strict=True):
        assert abs(Fraction(value) - again) <= abs(Fraction(value)) / 10**59
        if isinstance(value, float):
            assert again == Fraction(value)
    assert [float(v) for v in again_x] == [float(v) for v in x]


def test_a_witness_as_the_competition_writes_it():
    text = format_witness([0.5, np.float32(0.1)], [1e30, Fraction(-1, 8)])
    assert text == (
        "((X_0 0.5)\n (X_1 0.100000001490116119384765625)\n (Y_0 1000000000000000019884624838656.0)\n (Y_1 -0.125))"
    )
    assert parse_witness("(\n(X_1 2)(X_0 1e1)\n(Y_0 -.5) )\n") == ((10, 2), (Fraction(-1, 2),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the form"),
        ("((X_0 1)", "no pair such as"),
        ("((X_0 1) (X_0 2))", "X_0 twice"),
        ("((X_1 1))", "gives X_1, but not X_0"),
        ("((X_0 one))", "is no number"),
        ("((Z_0 1))", "no pair such as"),
    ],
)
def test_bad_witnesses_are_refused(text, message):
    with pytest.raises(QueryError, match=message):
        parse_witness(text)
    with pytest.raises(QueryError, match="Y_1 in a counterexample is not finite"):
        format_witness([0.0], [1.0, math.nan])


# ---- the benchmark sets ------------------------------------------------------------------------------------


def benchmark_files(largest):
    root = os.environ.get("SLIR_MILP_BENCHMARKS", "")
    if not root or not Path(root).is_dir():
        pytest.skip("the environment variable SLIR_MILP_BENCHMARKS names no folder of benchmark sets")
    paths = sorted(path for path in Path(root).glob("*/vnnlib/*") if path.name.endswith((".vnnlib", ".vnnlib.gz")))
    assert paths
    return [path for path in paths if path.stat().st_size <= largest]


def check_file(path):
    query = load_query(path)
    assert query.inputs and query.outputs
    first, (box, group) = next(clauses(query)), next(grouped_clauses(query))
    assert first == group[0]
    assert (box.lower <= box.upper).all()
    assert parse_query(write_query(query)) == query


def test_benchmark_queries_are_read():
    chosen = random.Random(0).sample(benchmark_files(10_000), 120)
    for path in chosen:
        check_file(path)


@pytest.mark.slow
def test_all_benchmark_queries_are_read():
    for path in benchmark_files(10**9):
        check_file(path)


def test_acas_xu_property_6_is_two_boxes_of_four_rows():
    for path in benchmark_files(10_000):
        if (path.parent.parent.name, path.name) == ("acasxu", "prop_6.vnnlib"):
            assert [len(group) for _, group in grouped_clauses(load_query(path))] == [4, 4]
            return
    pytest.skip("the benchmark sets do not have ACAS Xu")
