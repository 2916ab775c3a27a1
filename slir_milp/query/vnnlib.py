"""Reader of VNN-LIB 1.0, the language of the verification competition: S-expressions over ``X_i`` and ``Y_j``.

One pass over the tokens with an explicit stack, so that neither long nor deeply nested text exhausts anything.  Whether
a condition stands under an odd number of negations is known when its parenthesis opens; so the formula is built in
negation normal form at once.
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction

from slir_milp.errors import Position, QueryError, SlirWarning
from slir_milp.query.formula import And, Atom, Formula, Or, missing_bounds
from slir_milp.query.linear import ARITHMETIC, Linear, combine
from slir_milp.query.numbers import LARGEST, parse_number, shorten
from slir_milp.query.query import Query

# The first alternative takes whole inequalities of the commonest shape, which are nearly all of a large file.
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<simple>\(\s*(?P<relation><=|>=|<|>)\s+(?P<left>[XY]_\d+)\s+(?P<right>[^\s();"|]+)\s*\))
    | (?P<open>\()
    | (?P<close>\))
    | (?P<comment>;[^\n]*)
    | (?P<word>[^\s();"|]+)
    | (?P<quoted>"[^"]*"|\|[^|]*\|)
    | (?P<end>\Z)
    | (?P<bad>.)
    )""",
    re.VERBOSE | re.ASCII,
)
_VARIABLE = re.compile(r"[XY]_(0|[1-9]\d{0,8})", re.ASCII)

_IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"})
_VERSION_2 = frozenset({"vnnlib-version", "declare-network"})
_CONNECTIVES = frozenset({"and", "or", "not", "=>"})
# Whether the relation is strict, and whether its two sides are to be exchanged to make it "smaller than".
_RELATIONS = {"<=": (False, False), "<": (True, False), ">=": (False, True), ">": (True, True)}
_DEEPEST = 100
_ONE = Fraction(1)


def parse_query(text: str, *, source: str = "", sha256: str = "") -> Query:
    """Read a query from VNN-LIB 1.0 text.

    Parameters
    ----------
    text
        The whole file.
    source, sha256
        Passed on to the query.

    Returns
    -------
    Query
        With its formula in negation normal form, every number exact (``0.1`` is one tenth).

    Raises
    ------
    QueryError
        The text is no VNN-LIB 1.0, is not linear, uses what was not declared, or leaves an input unbounded; with line
        and column.
    """
    return _Parser(text).query(source, sha256)


class _Frame:
    """An open parenthesis and what has been read of its contents."""

    __slots__ = ("child_positive", "connective", "count", "depth", "head", "linear", "offset", "parts", "positive")

    def __init__(self, head: str, offset: int, positive: bool, parent: _Frame | None) -> None:
        self.head = head
        self.offset = offset
        self.positive = positive  # False below an odd number of negations
        self.child_positive = positive if head in {"and", "or"} else not positive
        self.connective: type[And] | type[Or] | None = None
        if head in {"and", "or", "=>"}:
            self.connective = And if (head == "and") == positive else Or
        # Contents of an "and" directly within an "and" are collected in the outer one at once.
        nested = parent is not None and self.connective is not None and parent.connective is self.connective
        self.parts: list[Formula] = parent.parts if nested and parent is not None else []
        self.linear: list[Linear] = []
        self.count = 0
        self.depth = 0

    @property
    def takes_conditions(self) -> bool:
        return self.head in _CONNECTIVES


class _Parser:
    """State of one reading: what is declared, what is asserted, and where the tokens are."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.declared: dict[str, int] = {}  # name -> offset of its declaration
        self.index: dict[str, int] = {}  # name -> variable
        self.inputs = 0
        self.outputs = 0
        self.output_used = False
        self.root = _Frame("and", 0, True, None)
        self.asserted = False
        self.numbers: dict[str, tuple[Fraction, Fraction]] = {}  # text -> value, its negative
        self.terms: dict[tuple[str, str, bool], tuple[tuple[int, Fraction], ...]] = {}

    # ---- commands -------------------------------------------------------------------------------------------------

    def query(self, source: str, sha256: str) -> Query:
        for match in self.tokens:
            kind = match.lastgroup
            if kind == "open":
                self.command(match.start("open"))
            elif kind == "close":
                raise self.error("this closing parenthesis has no opening one; remove it.", match.start("close"))
            elif kind not in {"comment", "end"}:
                start = match.start(kind or 0)
                raise self.error(
                    f"{shorten(match.group().strip())} stands outside of a command; write (assert ...) around it.", start
                )
        if not self.declared:
            raise QueryError("the query declares nothing; it needs lines such as (declare-const X_0 Real).")
        self.number_variables()
        if not self.inputs:
            raise QueryError("the query declares no input; inputs are named X_0, X_1 and so on.")
        if not self.outputs:
            raise QueryError("the query declares no output; outputs are named Y_0, Y_1 and so on.")
        if not self.asserted:
            raise QueryError("the query asserts nothing; it needs lines such as (assert (<= X_0 1.0)).")
        parts = self.root.parts
        formula = parts[0] if len(parts) == 1 else And(tuple(parts))
        self.check_bounded(formula)
        if not self.output_used:
            warnings.warn(
                SlirWarning("the query says nothing of the outputs: every input of its set meets it."), stacklevel=4
            )
        return Query(self.inputs, self.outputs, formula, sha256, source)

    def command(self, start: int) -> None:
        name = self.head(start)
        if name == "assert":
            self.assertion(start)
        elif name in {"declare-const", "declare-fun"}:
            self.declaration(name, start)
        elif name in _IGNORED:
            self.contents(start)
        elif name in _VERSION_2:
            raise self.error("this is a VNN-LIB 2 file; only VNN-LIB 1.0 is read.", start)
        else:
            raise self.error(f"the command '{shorten(name)}' is not known.", start)

    def declaration(self, command: str, start: int) -> None:
        contents = self.contents(start)
        arguments = contents[1:3] if command == "declare-fun" else []
        if len(contents) != 2 + len(arguments) or arguments not in ([], ["(", ")"]):
            brackets = "() " if command == "declare-fun" else ""
            raise self.error(f"a declaration has the form ({command} X_0 {brackets}Real).", start)
        name, sort = contents[0], contents[-1]
        if sort != "Real":
            raise self.error(f"{shorten(name)} has the sort {shorten(sort)}; only Real is supported.", start)
        if not _VARIABLE.fullmatch(name):
            raise self.error(
                f"the name {shorten(name)} is neither an input (X_0, X_1, ...) nor an output (Y_0, Y_1, ...).", start
            )
        if name in self.declared:
            raise self.error(f"{name} is declared twice, first at {self.position(self.declared[name])}.", start)
        if name[0] == "X" and self.output_used:
            raise self.error(f"{name} is declared after an assertion on outputs; declare all inputs first.", start)
        self.declared[name] = start
        self.index.clear()

    def number_variables(self) -> None:
        """Give every declared variable its number; those of the outputs are final once an assertion uses one."""
        counts = {"X": 0, "Y": 0}
        for name in self.declared:
            counts[name[0]] += 1
        for letter, count in counts.items():
            for i in range(count):
                if f"{letter}_{i}" not in self.declared:
                    last, offset = max((int(n[2:]), at) for n, at in self.declared.items() if n[0] == letter)
                    raise self.error(f"{letter}_{last} is declared, but {letter}_{i} is not.", offset)
        self.inputs, self.outputs = counts["X"], counts["Y"]
        self.index = {name: int(name[2:]) + (self.inputs if name[0] == "Y" else 0) for name in self.declared}

    def check_bounded(self, formula: Formula) -> None:
        missing = missing_bounds(formula, frozenset((i, side) for i in range(self.inputs) for side in (False, True)))
        if missing:
            variable, upper = min(missing)
            name = f"X_{variable}"
            raise self.error(
                f"{name} has no {'upper' if upper else 'lower'} bound; assert one, such as "
                f"({'<=' if upper else '>='} {name} {'1.0' if upper else '-1.0'}), in every alternative.",
                self.declared[name],
            )

    # ---- assertions -----------------------------------------------------------------------------------------------

    def assertion(self, start: int) -> None:
        """Read the contents of ``(assert`` up to its closing parenthesis."""
        if not self.index:
            self.number_variables()
        self.asserted = True
        count = self.root.count
        stack = [self.root]
        offsets = [start]
        for match in self.tokens:
            kind = match.lastgroup
            frame = stack[-1]
            if kind == "simple":
                if not frame.takes_conditions:
                    raise self.misplaced(frame, match.start("simple"))
                self.add_condition(frame, self.simple_atom(match, frame.child_positive), 0)
            elif kind == "open":
                at = match.start("open")
                stack.append(self.open(self.head(at), at, frame))
                offsets.append(at)
            elif kind == "close":
                if len(stack) == 1:
                    break
                self.close(stack.pop(), stack[-1])
                offsets.pop()
            elif kind == "word":
                self.word(match.group("word"), match.start("word"), frame)
            elif kind == "end":
                raise self.error("this parenthesis is never closed.", offsets[-1])
            elif kind != "comment":
                raise self.error(f"{shorten(match.group().strip())} has no place in a condition.", match.start(kind or 0))
        if self.root.count != count + 1:
            raise self.error(f"assert takes one condition, but has {self.root.count - count}.", start)

    def open(self, head: str, start: int, parent: _Frame) -> _Frame:
        if head in _CONNECTIVES or head in _RELATIONS or head == "=":
            if not parent.takes_conditions:
                raise self.misplaced(parent, start)
        elif head in ARITHMETIC:
            if parent.takes_conditions:
                raise self.misplaced(parent, start)
        else:
            raise self.error(
                f"the operator '{shorten(head)}' is not known; and, or, not, =>, <=, >=, <, >, =, +, -, *, / are.", start
            )
        return _Frame(head, start, parent.child_positive, parent)

    def close(self, frame: _Frame, parent: _Frame) -> None:
        if frame.head in ARITHMETIC:
            try:
                parent.linear.append(combine(frame.head, frame.linear))
            except QueryError as error:
                raise self.error(str(error), frame.offset) from None
            return
        depth = frame.depth
        if frame.takes_conditions:
            needed = {"not": 1, "=>": 2}.get(frame.head, frame.count)
            if frame.count != needed:
                raise self.error(f"'{frame.head}' takes {needed} conditions, but has {frame.count}.", frame.offset)
            if frame.parts is parent.parts:
                self.count_condition(parent, depth)
                return
            connective = frame.connective or And
            if len(frame.parts) == 1:
                formula = frame.parts[0]
            else:
                formula = connective(tuple(frame.parts))
                depth += 1
            if depth > _DEEPEST:
                raise self.error(f"and/or are nested more than {_DEEPEST} deep from here; flatten them.", frame.offset)
        else:
            if len(frame.linear) != 2:
                raise self.error(f"'{frame.head}' compares two terms, but has {len(frame.linear)}.", frame.offset)
            formula = self.compare(frame)
            depth = int(not isinstance(formula, Atom))
        self.add_condition(parent, formula, depth)

    def add_condition(self, frame: _Frame, formula: Formula, depth: int) -> None:
        frame.parts.append(formula)
        self.count_condition(frame, depth)

    @staticmethod
    def count_condition(frame: _Frame, depth: int) -> None:
        frame.count += 1
        frame.depth = max(frame.depth, depth)
        if frame.head == "=>":
            frame.child_positive = frame.positive  # only the premise is negated

    def word(self, word: str, start: int, frame: _Frame) -> None:
        if word in {"true", "false"} and frame.takes_conditions:
            self.add_condition(frame, And(()) if (word == "true") == frame.child_positive else Or(()), 0)
        elif frame.takes_conditions:
            raise self.misplaced(frame, start)
        elif (variable := self.index.get(word)) is not None:
            self.output_used |= word[0] == "Y"
            frame.linear.append(Linear({variable: _ONE}, Fraction(0)))
        else:
            frame.linear.append(Linear({}, self.number(word, start)[0]))

    # ---- inequalities ---------------------------------------------------------------------------------------------

    def compare(self, frame: _Frame) -> Formula:
        """Inequality, or pair of them, that a relation between two terms stands for."""
        left, right = frame.linear
        try:
            difference = left.add(right.scale(Fraction(-1)))
        except QueryError as error:
            raise self.error(str(error), frame.offset) from None
        terms = tuple(sorted((v, a) for v, a in difference.terms.items() if a))
        sizes = [abs(coefficient) for _, coefficient in terms]
        if max([abs(difference.constant), *sizes]) > LARGEST or (sizes and min(sizes) * LARGEST < 1):
            raise self.error("a coefficient or constant is beyond 1e150 or below 1e-150; rescale it.", frame.offset)
        position = self.position(frame.offset)
        smaller = (terms, difference.constant)
        larger = (tuple((v, -a) for v, a in terms), -difference.constant)
        if frame.head == "=":
            parts = (Atom(*smaller, not frame.positive, position), Atom(*larger, not frame.positive, position))
            return And(parts) if frame.positive else Or(parts)
        strict, exchanged = _RELATIONS[frame.head]
        if not frame.positive:
            strict, exchanged = not strict, not exchanged
        return Atom(*(larger if exchanged else smaller), strict, position)

    def simple_atom(self, match: re.Match[str], positive: bool) -> Atom:
        """Inequality between a variable and a variable or number, as :meth:`compare` makes it, but quickly."""
        _, relation, left, right = match.group("simple", "relation", "left", "right")
        strict, exchanged = _RELATIONS[relation]
        if not positive:
            strict, exchanged = not strict, not exchanged
        position = self.position(match.start("simple"))
        pair = self.numbers.get(right)
        if pair is None and right not in self.index:
            pair = self.number(right, match.start("right"))
        key = (left, "" if pair else right, exchanged)
        terms = self.terms.get(key)
        if terms is None:
            terms = self.terms[key] = self.unit_terms(match, *key)
        if pair is None:
            return Atom(terms, Fraction(0), strict, position)
        return Atom(terms, pair[0] if exchanged else pair[1], strict, position)

    def unit_terms(
        self, match: re.Match[str], left: str, right: str, exchanged: bool
    ) -> tuple[tuple[int, Fraction], ...]:
        terms: dict[int, Fraction] = {}
        for name, group, sign in ((left, "left", 1), (right, "right", -1)):
            if name:
                variable = self.index.get(name)
                if variable is None:
                    raise self.error(f"{shorten(name)} is not declared.", match.start(group))
                self.output_used |= name[0] == "Y"
                terms[variable] = terms.get(variable, Fraction(0)) + (-sign if exchanged else sign)
        return tuple(sorted((v, a) for v, a in terms.items() if a))

    def number(self, text: str, start: int) -> tuple[Fraction, Fraction]:
        pair = self.numbers.get(text)
        if pair is None:
            try:
                value = parse_number(text)
            except QueryError as error:
                raise self.error(str(error), start) from None
            if value is None:
                known = "is not declared" if _VARIABLE.fullmatch(text) else "is neither a number nor a declared variable"
                raise self.error(f"{shorten(text)} {known}.", start)
            pair = self.numbers[text] = (value, -value)
        return pair

    # ---- tokens and places ----------------------------------------------------------------------------------------

    def head(self, start: int) -> str:
        """Word after an opening parenthesis."""
        for match in self.tokens:
            if match.lastgroup == "word":
                return match.group("word")
            if match.lastgroup == "end":
                raise self.error("this parenthesis is never closed.", start)
            if match.lastgroup != "comment":
                break
        raise self.error("after this parenthesis a command or operator is missing.", start)

    def contents(self, start: int) -> list[str]:
        """Tokens up to the parenthesis that closes the current one."""
        found: list[str] = []
        depth = 1
        for match in self.tokens:
            kind = match.lastgroup
            if kind == "end":
                break
            if kind == "open":
                depth += 1
            elif kind == "close":
                depth -= 1
                if depth == 0:
                    return found
            if kind != "comment":
                found.append(match.group().strip())
        raise self.error("this parenthesis is never closed.", start)

    def misplaced(self, frame: _Frame, start: int) -> QueryError:
        if frame.takes_conditions:
            return self.error("here a condition such as (<= X_0 1.0) is expected.", start)
        return self.error(f"'{frame.head}' takes terms, such as X_0 or (* 2.0 Y_1), and no condition.", start)

    def position(self, offset: int) -> Position:
        line = bisect_right(self.newlines, offset - 1)
        before = self.newlines[line - 1] if line else -1
        return Position(line + 1, offset - before)

    def error(self, message: str, offset: int) -> QueryError:
        return QueryError(message, position=self.position(offset))
