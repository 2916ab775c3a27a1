"""Reading VNN-LIB 2.x: meaning, scope, typing, refusals; held against the official parser and VNN-LIB 1.0."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from compose_cases import box, network, text
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.errors import QueryError, SlirError, SlirWarning
from slir_milp.query import And, Atom, Or, load_query, parse_query, parse_specification
from slir_milp.query.formula import surely_holds

ONE = network("f", "X", "Y", 2, 1)
LONG = f"(+ {' '.join(f'X[{i}]' for i in range(400))})"
BENCHMARKS = os.environ.get("SLIR_MILP_BENCHMARKS")
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS, reason="SLIR_MILP_BENCHMARKS names no folder of benchmarks")


def formula(*conditions: str, networks: tuple[str, ...] = (ONE,)):
    return parse_specification(text(networks, *conditions))


def refused(source: str) -> str:
    with pytest.raises(QueryError) as caught:
        parse_query(source)
    return str(caught.value)


def test_tensors_are_numbered_in_the_files_order():
    declared = [
        'f (declare-input A real [2,3]) (declare-hidden H float64 [] "a \\"b\\" \\\\") (declare-output B Real [1])',
    ]
    specification = parse_specification(text([declared[0].replace("float64", "real")], "(<= A[1,2] (+ H B[0]))"))
    assert specification.formula == Atom(((5, Fraction(1)), (6, Fraction(-1)), (7, Fraction(-1))), Fraction(0))
    assert [specification.variable_name(v) for v in (0, 5, 6, 7)] == ["A[0,0]", "A[1,2]", "H", "B[0]"]
    assert specification.networks[0].hidden[0].onnx_name == 'a "b" \\'
    assert [tensor.written_element for tensor in specification.networks[0].tensors] == ["real", "real", "Real"]


def test_products_are_variables_of_their_own():
    specification = formula("(<= (* (+ X[0] 1) (- X[1] Y[0]) X[0]) (* 0.5 X[0] X[0]))")
    assert (
        specification.monomials == ((0, 1), (0, 0, 1), (0, 2), (0, 0, 2), (0, 0)) or len(specification.monomials) == 5
    )
    x = [Fraction(3), Fraction(1, 3), Fraction(-2)]
    points = specification.with_monomials([(value, value) for value in x])
    value = (x[0] + 1) * (x[1] - x[2]) * x[0] - x[0] * x[0] / 2
    atom = specification.formula
    assert sum((a * points[v][0] for v, a in atom.terms), atom.constant) == value


def test_products_that_cancel_leave_nothing():
    specification = formula("(<= (- (* X[0] X[1]) (* X[1] X[0])) X[1])")
    assert specification.monomials == ()
    assert specification.formula == Atom(((1, Fraction(-1)),), Fraction(0))


def test_equal_and_unequal():
    equal, unequal = formula("(== X[0] 1)").formula, formula("(!= X[0] 1)").formula
    assert isinstance(equal, And) and isinstance(unequal, Or)
    assert not any(part.strict for part in equal.parts) and all(part.strict for part in unequal.parts)


def test_minus_and_spaces():
    specification = formula("(<= (- X[ 0 ] (- 1 X[1]) 2 (- Y [0])) -0.25)")
    terms = tuple((v, Fraction(1)) for v in range(3))
    assert specification.formula == Atom(terms, Fraction(-11, 4))


def test_neither_length_nor_depth_exhausts_anything():
    depth = 20_000
    deep = "(- " * depth + "X[0]" + ")" * depth
    assert formula(f"(<= {deep} 1.0)").formula == Atom(((0, Fraction(1)),), Fraction(-1))
    nested = "(and " * depth + "(<= X[0] 1)" + ")" * depth
    assert formula(nested).formula == Atom(((0, Fraction(1)),), Fraction(-1))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(declare-network f)", "line 1, column 1: a query of VNN-LIB 2 begins with (vnnlib-version <2.0>)"),
        (text([ONE], "(<= X[0] 1)", version="3.0"), "line 1, column 1: this is VNN-LIB 3.0; versions 2.0 and 2.1"),
        (text([ONE], "(<= X[2] 1)"), "line 3, column 13: X[2] is beyond X, whose last element is X[1]; indices count"),
        (text([ONE], "(<= X[-1] 1)"), "line 3, column 13: X[-1] is beyond X"),
        (text([ONE], "(<= X[0.5] 1)"), "line 3, column 13: X[0.5] is beyond X"),
        (text([ONE], "(<= X[0,0] 1)"), "X has 1 dimensions, but is given 2 indices; its first element is X[0]"),
        (text([ONE], "(<= X 1)"), "X has 1 dimensions, but is given 0 indices"),
        (text([ONE], "(<= x[0] 1)"), "x is not declared"),
        (text([ONE], "(<= 0.0 1.0)"), "line 3, column 9: this comparison has no variable, so that it has no element"),
        (text([ONE], "(= X[0] 1.0)"), "the operator '=' is not known; and, or, <=, >=, <, >, ==, !=, +, -, * are"),
        (text([ONE], "(not (<= X[0] 1.0))"), "the operator 'not' is not known"),
        (text([ONE], "(<= (/ X[0] 2) 1.0)"), "the operator '/' is not known"),
        (text([ONE], "(and)"), "'and' takes at least one condition"),
        (text([ONE], "(<= (+) X[0])"), "'+' needs at least one operand"),
        (text([ONE], "(<= X[0] 1.0.0)"), "1.0.0 is neither a number nor a declared variable"),
        (text([ONE]), "the query asserts nothing"),
        (text([], "(<= X[0] 1)"), "declare a network before the first assertion"),
        (text([ONE], "(<= X[0] 1)") + f"(declare-network {ONE})", "all networks are to be declared before"),
        (text([ONE.replace("f ", "f-2 ")], "(<= X[0] 1)"), "f-2 is no name; names are letters, digits"),
        (text([network("X", "X", "Y", 2, 1)], "(<= X[0] 1)"), "the name X is given twice, first at line 2, column 1"),
        (text([network("f", "X", "Y", 2, 0)], "(<= X[0] 1)"), "the shape [0] of Y is none"),
        (text([ONE.replace("[2]", "[2 3]")], "(<= X[0] 1)"), "the shape [2 3] of X is none"),
        (text([ONE.replace("[2]", "[99999,99999]")], "(<= X[0] 1)"), "more than the 8388608 elements supported"),
        (text([ONE.replace("real", "floaty")], "(<= X[0] 1)"), "the element type floaty of X is not known"),
        (text([ONE.replace("real [1]", "float32 [1]")], "(<= X[0] 1)"), "the query uses real and float32; where one"),
        (text(["f (declare-output Y real [1]) (declare-input X real [2])"], "(<= X[0] 1)"), "inputs come first"),
        (
            text(["f (declare-input X real [2])"], "(<= X[0] 1)"),
            "the network f needs at least one (declare-out",
        ),
        (text(["f (declare-hidden X real [2])"], "(<= X[0] 1)"), 'declared by (declare-hidden X real [1,5] "name in'),
        (text([ONE, network("g", "U", "V", 2, 1, relation="(equal-to h)")], "(<= X[0] 1)"), "no network h is declared"),
        (
            text([ONE, network("g", "U", "V", 3, 1, relation="(equal-to f)")], "(<= X[0] 1)"),
            "g is equal-to f, but",
        ),
        (
            text([ONE, network("g", "U", "V", 3, 1, relation="(isomorphic-to f)")], "(<= X[0] 1)"),
            "their inputs differ in number, or in shapes",
        ),
        (
            text(
                [
                    ONE,
                    network("g", "U", "V", 2, 1, relation="(equal-to f)"),
                    network("h", "A", "B", 2, 1, relation="(equal-to g)"),
                ],
                "(<= X[0] 1)",
            ),
            "g is itself declared equal-to f; name f here",
        ),
        (
            text([ONE, network("g", "U", "V", 2, 1, relation="(equal-to f) (isomorphic-to f)")], "(<= X[0] 1)"),
            "one isomorphic-to at most, and before the tensors",
        ),
        (
            text([ONE.replace("real", "int32")], "(<= X[0] 0.5)"),
            "a number with a fraction has no place among",
        ),
        (
            text([ONE.replace("real [1]", "float64 [1]").replace("real", "float32")], "(<= X[0] Y[0])"),
            "this mixes variables of the types float32 and float64",
        ),
        (
            text([ONE.replace("real [1]", "float64 [1]").replace("real", "float32")], "(<= (+ X[0] Y[0]) 1.0)"),
            "this mixes variables of the types float32 and float64",
        ),
        (text([ONE], f"(<= (* {'X[0] ' * 65}) 1.0)"), "a product of more than 64 variables"),
        (
            text(
                [ONE.replace("[2]", "[400]")],
                f"(<= (* {2 * ('(+ ' + ' '.join(f'X[{i}]' for i in range(400)) + ')')}) 1)",
            ),
            "has more than 100000 terms when it is multiplied out",
        ),
        # What only slir-milp-vnnlib reads.
        (text([ONE, network("g", "U", "V", 2, 1)], "(<= X[0] 1)"), "the query is about 2 networks; slir-milp-vnnlib"),
        (text([ONE], "(<= (* X[0] X[1]) 1)"), "the query multiplies variables; slir-milp-vnnlib verify reads it"),
        (
            text([ONE.replace("real", "float32")], *box("X", 2)),
            "line 2, column 21: X has the element type float32",
        ),
        (
            text([ONE], *box("X", 2)[1:]),
            "line 2, column 21: X[0] has no upper bound; assert",
        ),
    ],
)
def test_what_is_wrong_gets_a_sentence(source, message):
    assert message in refused(source)


def test_consent_by_the_environment(monkeypatch):
    source = text([ONE.replace("real", "float32")], *box("X", 2), "(<= Y[0] 0.5)")
    monkeypatch.setenv("SLIR_MILP_FLOATS", "real")
    assert parse_query(source) == parse_query(text([ONE], *box("X", 2), "(<= Y[0] 0.5)"))
    monkeypatch.setenv("SLIR_MILP_FLOATS", "yes")
    with pytest.raises(SlirError, match="the one value that it may have is 'real'"):
        parse_query(source)


def test_comments_before_the_version_are_skipped_quickly():
    comment = "; ; ;;;; " * 2000 + "\n"
    source = comment + text([ONE], "(<= X[0] 1)") + "; a comment ends with the line\r (assert (<= Y[0] 1))"
    assert parse_specification(source).formula == formula("(<= X[0] 1)").formula
    assert "the query declares nothing" in refused(comment + "; (vnnlib-version <2.0>)")


def test_a_newer_version_warns():
    with pytest.warns(SlirWarning, match=r"the query has version 2\.7; it is read as version 2\.1"):
        parse_specification(text([ONE], "(<= X[0] 1)", version="2.7"))


def twins() -> list[tuple[Path, Path]]:
    found = []
    for twin in sorted(Path(BENCHMARKS or "/nowhere").glob("*/vnnlib2/*.vnnlib")):
        for original in (twin.parent.parent / "vnnlib" / twin.name, twin.parent.parent / "vnnlib" / f"{twin.name}.gz"):
            if original.exists():
                found.append((twin, original))
    return found


def same_formulas(pairs: list[tuple[Path, Path]]) -> int:
    for twin, original in pairs:
        assert load_query(twin) == load_query(original), twin
    return len(pairs)


@needs_benchmarks
def test_twins_mean_what_the_originals_mean():
    small = [pair for pair in twins() if pair[0].stat().st_size < 40_000]
    large = [pair for pair in twins() if 40_000 <= pair[0].stat().st_size < 100_000]
    assert same_formulas(small + large[::8]) > 180


@needs_benchmarks
@pytest.mark.slow
def test_all_twins_mean_what_the_originals_mean():
    assert same_formulas(twins()) >= 250


# --- the official parser ---------------------------------------------------------------------------------------------

official = pytest.importorskip("vnnlib", reason="the official parser is not installed")


def value_of(node, values: dict[str, Fraction]) -> Fraction:
    """Value of an arithmetic expression of the official parser, its constants exact as written."""
    kind = type(node).__name__
    if kind == "Var":
        return values[f"{node.name}[{','.join(map(str, node.indices))}]" if node.indices else node.name]
    if kind in {"Float", "Int", "IntExpr", "Literal"}:
        return Fraction(node.lexeme)
    if kind == "Negate":
        return -value_of(node.expr, values)
    if kind == "Minus":
        return value_of(node.head, values) - sum(value_of(part, values) for part in node.rest)
    parts = [value_of(part, values) for part in node.args]
    result = parts[0]
    for part in parts[1:]:
        result = result + part if kind == "Plus" else result * part
    return result


def truth_of(node, values: dict[str, Fraction]) -> bool:
    kind = type(node).__name__
    if kind in {"And", "Or"}:
        return (all if kind == "And" else any)(truth_of(part, values) for part in node.args)
    left, right = value_of(node.lhs, values), value_of(node.rhs, values)
    return {
        "LessThan": left < right,
        "LessEqual": left <= right,
        "GreaterThan": left > right,
        "GreaterEqual": left >= right,
        "Equal": left == right,
        "NotEqual": left != right,
    }[kind]


def agree(source: str, rng: np.random.Generator, points: int = 3) -> None:
    """Both readers find the same tensors, and the same truth at some points."""
    own, other = parse_specification(source), official.parse_query_string(source.replace(" Real ", " real "))
    assert [n.name for n in own.networks] == [n.name for n in other.networks]
    for mine, theirs in zip(own.networks, other.networks, strict=True):
        declared = [*theirs.inputs, *theirs.hidden, *theirs.outputs]
        assert [(t.name, list(t.shape)) for t in mine.tensors] == [(t.name, list(t.shape)) for t in declared]
    names = [own.variable_name(v) for v in range(own.variables)]
    for _ in range(points):
        values = [Fraction(int(value), 4) for value in rng.integers(-8, 9, own.variables)]
        known = dict(zip(names, values, strict=True))
        truth = all(truth_of(assertion.expr, known) for assertion in other.assertions)
        assert surely_holds(own.formula, own.with_monomials([(value, value) for value in values])) is truth


TERM = st.recursive(
    st.sampled_from(["X[0]", "X[1]", "Y[0]", "H[1,0]", "0.5", "-3.0", "1.25"]),
    lambda inner: st.builds(
        lambda head, parts: f"({head} {' '.join(parts)})",
        st.sampled_from("+-*"),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
COMPARISON = st.builds(
    lambda head, left, right: f"({head} (+ X[0] {left}) {right})",
    st.sampled_from(["<=", ">=", "<", ">", "==", "!="]),
    TERM,
    TERM,
)
CONDITION = st.recursive(
    COMPARISON,
    lambda inner: st.builds(
        lambda head, parts: f"({head} {' '.join(parts)})",
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(conditions=st.lists(CONDITION, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_random_queries_are_read_as_the_official_parser_reads_them(conditions, seed):
    declared = network("f", "X", "Y", 2, 1, '(declare-hidden H real [2,1] "h")')
    conditions = [c.replace("(* X", "(*  X").replace("(* ", "(* 1.0 ").replace("(- ", "(- 0.0 ") for c in conditions]
    agree(text([declared], *conditions), np.random.default_rng(seed))


@needs_benchmarks
def test_the_standards_files_are_read_as_the_official_parser_reads_them():
    rng = np.random.default_rng(0)
    files = sorted(Path(BENCHMARKS or "").glob("vnnlib2_standard/syntax/test/*.vnnlib"))
    assert files
    for file in files:
        source = file.read_text()
        if "initialized" in source:  # of version 2.1, which that parser does not know
            assert parse_specification(source).networks[0].inputs[0].initialized
        elif "(* 2.0 3.0 2.5)" in source:  # comparisons without variables, which the standard's own rules forbid
            with pytest.raises(QueryError, match="this comparison has no variable"):
                parse_specification(source)
        else:
            agree(source, rng)


@needs_benchmarks
def test_twins_are_read_as_the_official_parser_reads_them():
    rng = np.random.default_rng(0)
    sample = [twin for twin, _ in twins() if twin.stat().st_size < 20_000][::4]
    assert len(sample) > 30
    for twin in sample:
        agree(twin.read_text(), rng, points=1)
