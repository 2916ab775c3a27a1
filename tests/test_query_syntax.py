"""VNN-LIB as text: what is understood, and what is refused with which words."""

import gzip
import hashlib
import os
import random
import warnings
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slir_milp.errors import Position, QueryError, SlirWarning
from slir_milp.query import And, Atom, Or, clauses, load_query, parse_query

HEADER = "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"
BOX = "(assert (<= X_0 1))(assert (>= X_0 -1))(assert (<= X_1 1))(assert (>= X_1 -1))\n"
TEXT = HEADER + BOX + "(assert (or (and (<= Y_0 Y_1) (< X_0 0.5)) (>= (+ Y_0 (* -2.0 Y_1)) 1e-3))) ; end\n"
VALUES = {"X_0": Fraction(1, 2), "X_1": Fraction(-1), "Y_0": Fraction(3), "Y_1": Fraction(1, 4)}


def last_assertion(condition):
    """Formula of one condition, without the box that every query needs."""
    parts = parse_query(f"{HEADER}{BOX}(assert {condition})(assert (<= Y_0 Y_1))").formula.parts[4:-1]
    return parts[0] if len(parts) == 1 else And(parts)


def holds(condition):
    query = parse_query(f"{HEADER}{BOX}(assert {condition})(assert (or (<= Y_0 Y_1) (< Y_1 Y_0)))")
    return query.holds([VALUES["X_0"], VALUES["X_1"]], [(VALUES[y], VALUES[y]) for y in ("Y_0", "Y_1")])


def refused(text):
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    return str(caught.value)


# ---- meaning -----------------------------------------------------------------------------------------------

numbers = st.sampled_from(
    [
        ("0", 0),
        ("1", 1),
        ("-0.5", Fraction(-1, 2)),
        ("(- 0.25)", Fraction(-1, 4)),
        ("2.50", Fraction(5, 2)),
        ("1e-1", Fraction(1, 10)),
        ("1.5E+1", 15),
        ("(/ 1.0 3.0)", Fraction(1, 3)),
        ("+3", 3),
        (".5", Fraction(1, 2)),
    ]
)
variables = st.sampled_from(sorted(VALUES.items()))


@st.composite
def constants(draw, depth=2):
    if depth == 0 or draw(st.booleans()):
        return draw(numbers)
    first, second = draw(constants(depth - 1)), draw(constants(depth - 1))
    operator = draw(st.sampled_from("+-*"))
    value = {"+": first[1] + second[1], "-": first[1] - second[1], "*": first[1] * second[1]}[operator]
    return f"({operator} {first[0]} {second[0]})", value


@st.composite
def terms(draw, depth=3):
    """Text of a linear term and its value at VALUES."""
    kind = draw(st.sampled_from(["number", "variable", "sum", "difference", "minus", "left", "right", "quotient"]))
    if depth == 0 or kind == "number":
        return draw(constants())
    if kind == "variable":
        return draw(variables)
    text, value = draw(terms(depth - 1))
    if kind == "minus":
        return f"(- {text})", -value
    if kind in {"left", "right"}:
        factor = draw(constants())
        pair = (factor[0], text) if kind == "left" else (text, factor[0])
        return f"(* {pair[0]} {pair[1]})", factor[1] * value
    if kind == "quotient":
        return f"(/ {text} 8)", Fraction(value) / 8
    more = draw(st.lists(terms(depth - 1), min_size=1, max_size=3))
    texts = " ".join([text, *(t for t, _ in more)])
    total = sum(v for _, v in more)
    return (f"(+ {texts})", value + total) if kind == "sum" else (f"(- {texts})", value - total)


@st.composite
def conditions(draw, depth=3):
    """Text of a condition and whether it holds at VALUES."""
    kind = draw(st.sampled_from(["relation", "simple", "and", "or", "not", "=>", "constant"]))
    if kind == "constant" and depth:
        return draw(st.sampled_from([("true", True), ("false", False), ("(and)", True), ("(or)", False)]))
    if depth == 0 or kind in {"relation", "simple", "constant"}:
        relation = draw(st.sampled_from(["<=", ">=", "<", ">", "="]))
        side = variables if kind == "simple" else terms()
        (left, a), (right, b) = draw(side), draw(st.one_of(side, numbers))
        value = {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "=": a == b}[relation]
        return f"({relation} {left} {right})", value
    count = {"not": 1, "=>": 2}.get(kind) or draw(st.integers(0, 3))
    parts = draw(st.lists(conditions(depth - 1), min_size=count, max_size=count))
    values = [v for _, v in parts]
    value = {
        "and": all(values),
        "or": any(values),
        "not": not all(values),
        "=>": not values or not values[0] or values[-1],
    }[kind]
    space = draw(st.sampled_from([" ", "\n\t", " ; note (and\n "]))
    return f"({kind}{space}{space.join(t for t, _ in parts)})", value


@given(conditions())
def test_random_conditions_mean_what_they_say(condition):
    text, value = condition
    assert holds(text) == value


@pytest.mark.parametrize(
    ("text", "terms_", "constant", "strict"),
    [
        ("(<= X_0 0.1)", {0: 1}, Fraction(-1, 10), False),
        ("(> X_0 0.1)", {0: -1}, Fraction(1, 10), True),
        ("(not (> X_0 0.1))", {0: 1}, Fraction(-1, 10), False),
        ("(>= Y_0 Y_1)", {2: -1, 3: 1}, 0, False),
        ("(< (+ X_0 Y_1 X_0) (- Y_1 7))", {0: 2}, 7, True),
        ("(<= X_0 X_0)", {}, 0, False),
        ("(<= 0 1.5e3)", {}, -1500, False),
    ],
)
def test_inequalities_are_exact(text, terms_, constant, strict):
    expected = Atom(tuple((v, Fraction(a)) for v, a in terms_.items()), Fraction(constant), strict)
    assert last_assertion(text) == expected


def test_equation_is_two_inequalities():
    formula = last_assertion("(or (= X_0 Y_0) (<= Y_1 0))")
    assert isinstance(formula, Or)
    assert isinstance(formula.parts[0], And)
    assert [atom.strict for atom in formula.parts[0].parts] == [False, False]
    assert [atom.strict for atom in last_assertion("(not (= X_0 Y_0))").parts] == [True, True]


def test_nested_conjunctions_are_flat_and_single_parts_bare():
    assert len(last_assertion("(and (and (<= Y_0 1) (and (<= Y_1 1))) (or (<= Y_0 2)))").parts) == 3


def test_positions_are_kept():
    atom = parse_query(TEXT).formula.parts[4].parts[1]
    assert atom.position == Position(6, TEXT.splitlines()[5].index("(>=") + 1)


def test_declaration_forms_commands_and_comments():
    query = parse_query(
        '; (assert (<= X_9 1))\n(set-logic QF_LRA) (set-info :source |a ) b|) (set-option :x "(")\n'
        "( ; here too\n declare-fun Y_0 () Real)(declare-fun X_0 ( ) Real)\n"
        "(assert(and(<= X_0 1)(>= X_0 0)(>= Y_0 0)))(check-sat)(get-model)(exit)"
    )
    assert (query.inputs, query.outputs, len(query.formula.parts)) == (1, 1, 3)


def test_outputs_come_after_inputs_whatever_the_order_of_declaration():
    query = parse_query(
        "(declare-const Y_0 Real)(declare-const X_1 Real)(declare-const X_0 Real)"
        "(assert (and (<= X_0 1) (>= X_0 0) (<= X_1 1) (>= X_1 0)))(assert (<= Y_0 1))"
    )
    assert query.formula.parts[-1].terms == ((2, 1),)


def test_long_and_deep_text():
    deep_sum = "(+ X_0 " * 20_000 + "Y_0" + ")" * 20_000
    assert last_assertion(f"(<= {deep_sum} 0)").terms == ((0, 20_000), (2, 1))
    deep_and = "(and (<= Y_0 1) " * 20_000 + "(<= Y_1 1)" + ")" * 20_000
    assert len(last_assertion(deep_and).parts) == 20_001
    assert last_assertion("(not " * 20_000 + "(<= Y_1 1)" + ")" * 20_000) == last_assertion("(<= Y_1 1)")
    assert "nested more than" in refused(
        f"{HEADER}{BOX}(assert " + "(or (<= Y_0 1) (and (<= Y_1 1) " * 5000 + "))" * 5000 + ")"
    )
    assert "never closed" in refused(HEADER + "(assert " + "(and " * 100_000)


# ---- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "declares nothing"),
        ("; only a comment\n", "declares nothing"),
        (HEADER, "asserts nothing"),
        ("(declare-const X_0 Real)(assert (<= X_0 1))", "no output"),
        ("(declare-const Y_0 Real)(assert (<= Y_0 1))", "no input"),
        (HEADER + BOX + "(assert (<= Y_0 1)", "line 6, column 1: this parenthesis is never closed"),
        (TEXT + ")", "line 7, column 1: this closing parenthesis"),
        (TEXT + "garbage", "line 7, column 1: garbage stands outside"),
        (TEXT + "(<= X_0 1)", "stands outside of a command"),
        (TEXT + "(<= X_0 1", "the command '<=' is not known"),
        (TEXT + "()", "a command or operator is missing"),
        (TEXT + '"', "stands outside"),
        (TEXT + "(assert)", "takes one condition, but has 0"),
        (TEXT + "(assert (<= X_0 1) (<= X_0 1))", "takes one condition, but has 2"),
        (TEXT + "(assert (<= Y_0 1) |a|)", "|a| has no place in a condition"),
        (TEXT + "(assert X_0)", "a condition such as"),
        (TEXT + "(assert (and X_0 (<= X_0 1)))", "a condition such as"),
        (TEXT + "(assert (<= (and) 1))", "'<=' takes terms"),
        (TEXT + "(assert (+ 1 (<= X_0 1)))", "a condition such as"),
        (TEXT + "(assert (<= 1 (<= X_0 1)))", "'<=' takes terms"),
        (TEXT + "(assert (<= X_0))", "compares two terms, but has 1"),
        (TEXT + "(assert (<= X_0 X_1 1))", "compares two terms, but has 3"),
        (TEXT + "(assert (not))", "'not' takes 1 conditions, but has 0"),
        (TEXT + "(assert (=> (<= X_0 1)))", "'=>' takes 2 conditions, but has 1"),
        (TEXT + "(assert (xor (<= X_0 1) (<= X_0 1)))", "line 7, column 9: the operator 'xor' is not known"),
        (TEXT + "(assert (<= (* X_0 X_1) 1))", "line 7, column 13: a product of two variables is not linear"),
        (TEXT + "(assert (<= (* X_0 X_0) 1))", "not linear"),
        (TEXT + "(assert (<= (* Y_0 (+ X_0 1)) 1))", "not linear"),
        (TEXT + "(assert (<= (/ 1 X_0) 1))", "a division needs a constant"),
        (TEXT + "(assert (<= (/ 1 0) 1))", "a division needs a constant"),
        (TEXT + "(assert (<= (/ 1) 1))", "needs two operands, but has 1"),
        (TEXT + "(assert (<= (+) 1))", "needs at least one operand"),
        (TEXT + "(assert (<= X_2 1))", "line 7, column 13: X_2 is not declared"),
        (TEXT + "(assert (<= X_0 Y_7))", "Y_7 is neither a number nor a declared variable"),
        (TEXT + "(assert (<= X_0 1.2.3))", "1.2.3 is neither a number"),
        (TEXT + "(assert (<= X_0 nan))", "nan is neither a number"),
        (TEXT + "(assert (<= X_0 1e9999))", "an exponent beyond"),
        (TEXT + "(assert (<= X_0 1e151))", "beyond 1e150"),
        (TEXT + "(assert (<= (* 1e-151 X_0) 1))", "below 1e-150"),
        (TEXT + f"(assert (<= X_0 {'1' * 9999}))", "characters"),
        (TEXT + f"(assert (<= X_0 (* {'1e1000 ' * 99})))", "too many digits"),
        (TEXT + "(declare-const X_0 Real)", "X_0 is declared twice, first at line 1, column 1"),
        (TEXT + "(declare-const X_2 Real)", "declare all inputs first"),
        (TEXT + "(declare-const Y_2 Int)", "Y_2 has the sort Int; only Real"),
        (TEXT + "(declare-const Z_2 Real)", "the name Z_2 is neither"),
        (TEXT + "(declare-const Y_02 Real)", "the name Y_02 is neither"),
        (TEXT + "(declare-const Y_2)", "a declaration has the form (declare-const X_0 Real)"),
        (TEXT + "(declare-fun Y_2 Real)", "a declaration has the form (declare-fun X_0 () Real)"),
        (TEXT + "(declare-const Y_3 Real)", "line 7, column 1: Y_3 is declared, but Y_2 is not"),
        (TEXT + "(define-fun f () Real 1.0)", "the command 'define-fun' is not known"),
        ("(vnnlib-version <2.0>)", "asserts nothing"),
        ("(declare-const X_0 Real) (vnnlib-version <2.0>)", "VNN-LIB 2 file begins with"),
        (HEADER + "(assert (<= X_0 1))(assert (<= Y_0 1))", "line 1, column 1: X_0 has no lower bound"),
        (
            HEADER + BOX.replace("(assert (<= X_1 1))", "") + "(assert (or (<= X_1 1) (<= Y_0 1)))",
            "line 2, column 1: X_1 has no upper bound",
        ),
    ],
)
def test_bad_text_gets_a_sentence(text, message):
    assert message in refused(text)


def test_bounds_may_come_from_every_alternative():
    text = HEADER + BOX.replace("(assert (<= X_1 1))", "(assert (or (<= X_1 1) (and (<= Y_0 1) (< X_1 3)) false))")
    assert parse_query(text).inputs == 2


def test_a_query_without_outputs_warns():
    with pytest.warns(SlirWarning, match="nothing of the outputs"):
        parse_query(HEADER + BOX)


def damage(text, generator):
    """Text with a few characters or words inserted, deleted or replaced."""
    alphabet = "()<>=+-*/.;|\"' \n01eXY_aRΩ\x00\t"
    words = ["(assert ", "or", "and", "not", "=>", "X_0", "Y_9", "Real", "(", ")", "-", "1e999", "declare-fun", "()"]
    for _ in range(generator.randint(1, 4)):
        at, length = generator.randrange(len(text)), generator.choice([0, 1, 1, 2, 10])
        new = generator.choice(["", generator.choice(alphabet), generator.choice(words)])
        text = text[:at] + new + text[at + length :]
    return text


def reads_or_refuses(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlirWarning)
        try:
            query = parse_query(text)
            next(clauses(query), None)
        except QueryError as error:
            assert str(error).endswith("."), error
            return False
    return True


@pytest.mark.parametrize("seed", range(10))
def test_damaged_text_is_read_or_refused(seed):
    """No damage to a text escapes as another exception, and some of it is noticed."""
    generator = random.Random(seed)
    outcomes = [reads_or_refuses(damage(TEXT, generator)) for _ in range(200)]
    assert True in outcomes
    assert False in outcomes


def test_damaged_benchmark_queries_are_read_or_refused():
    root = os.environ.get("SLIR_MILP_BENCHMARKS", "")
    if not root or not Path(root).is_dir():
        pytest.skip("the environment variable SLIR_MILP_BENCHMARKS names no folder of benchmark sets")
    generator = random.Random(0)
    paths = sorted(path for path in Path(root).glob("*/vnnlib/*.vnnlib") if path.stat().st_size < 4000)
    for path in generator.choices(paths, k=1000):
        reads_or_refuses(damage(path.read_text(), generator))


# ---- files -------------------------------------------------------------------------------------------------


def test_load_plain_and_compressed(tmp_path: Path):
    plain, packed = tmp_path / "q.vnnlib", tmp_path / "q.vnnlib.gz"
    plain.write_text(TEXT)
    packed.write_bytes(gzip.compress(TEXT.encode()))
    query = load_query(plain)
    assert query == load_query(str(packed))
    assert query.source == str(plain)
    assert query.sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert load_query(packed).sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "no text in UTF-8"),
        (gzip.compress(TEXT.encode())[:60], "damaged gzip"),
        (b"\x1f\x8b..", "damaged"),
    ],
)
def test_unreadable_files(tmp_path: Path, content, message):
    path = tmp_path / "bad.vnnlib"
    path.write_bytes(content)
    with pytest.raises(QueryError, match=message):
        load_query(path)
    with pytest.raises(QueryError, match="cannot be read"):
        load_query(tmp_path / "absent.vnnlib")
    with pytest.raises(QueryError, match="cannot be read"):
        load_query(tmp_path)
