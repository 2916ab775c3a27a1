"""Conditions of VNN-LIB 1.0: and, or, not, =>, and inequalities between linear terms.

One pass over the tokens with an explicit stack, so that neither long nor deeply nested text exhausts anything.  Whether
a condition stands under an odd number of negations is known when its parenthesis opens; so the formula is built in
negation normal form at once.
"""

from __future__ import annotations

import re
from fractions import Fraction

from slir_milp.errors import QueryError
from slir_milp.query.formula import And, Atom, Formula, Or, Terms
from slir_milp.query.linear import ARITHMETIC, Linear, combine
from slir_milp.query.numbers import LARGEST, parse_number, shorten
from slir_milp.query.scan import Scanner

# Whether the relation is strict, and whether its two sides are to be exchanged to make it "smaller than".
_RELATIONS = {"<=": (False, False), "<": (True, False), ">=": (False, True), ">": (True, True)}
_DEEPEST = 100
_ONE = Fraction(1)


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
        return self.head in {"and", "or", "not", "=>"}


class ConditionReader:
    """Collects the conditions of all assertions of a text.

    The language is that of VNN-LIB 1.0; :class:`slir_milp.query.polynomial.PolynomialReader` knows that of 2.x.

    Attributes
    ----------
    index
        Number of every variable that may be used, by name; to be set before :meth:`read`.
    output_used
        Whether any condition read so far mentions an output.
    """

    connectives = frozenset({"and", "or", "not", "=>"})
    equalities = frozenset({"="})
    arithmetic = ARITHMETIC
    known = "and, or, not, =>, <=, >=, <, >, =, +, -, *, /"
    example = "X_0"

    def __init__(self, scanner: Scanner) -> None:
        self.index: dict[str, int] = {}
        self.output_used = False
        self._scanner = scanner
        self._root = _Frame("and", 0, True, None)
        self._constants: dict[str, tuple[Fraction, Fraction]] = {}  # text -> value, its negative
        self._terms: dict[tuple[str, str, bool], Terms] = {}

    @property
    def count(self) -> int:
        """How many conditions have been read."""
        return self._root.count

    def formula(self) -> Formula:
        """Conjunction of all conditions read so far."""
        parts = self._root.parts
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def read(self, start: int) -> None:
        """Read the one condition of ``(assert`` and its closing parenthesis, and add it to the others.

        Parameters
        ----------
        start
            Offset of the opening parenthesis of the assertion, for messages.

        Raises
        ------
        QueryError
            It is no condition, uses something that is not declared, or is not linear.
        """
        count = self._root.count
        stack = [self._root]
        offsets = [start]
        for match in self._scanner.tokens:
            kind = match.lastgroup
            frame = stack[-1]
            if kind == "simple":
                if not frame.takes_conditions:
                    raise self._misplaced(frame, match.start("simple"))
                self._add_condition(frame, self._simple_atom(match, frame.child_positive), 0)
            elif kind == "open":
                at = match.start("open")
                stack.append(self._open(self._scanner.head(at), at, frame))
                offsets.append(at)
            elif kind == "close":
                if len(stack) == 1:
                    break
                self._close(stack.pop(), stack[-1])
                offsets.pop()
            elif kind == "word":
                self._word(match.group("word"), match.start("word"), frame)
            elif kind == "end":
                raise self._scanner.error("this parenthesis is never closed.", offsets[-1])
            elif kind != "comment":
                raise self._scanner.error(
                    f"{shorten(match.group().strip())} has no place in a condition.", match.start(kind or 0)
                )
        if self._root.count != count + 1:
            raise self._scanner.error(f"assert takes one condition, but has {self._root.count - count}.", start)

    def _open(self, head: str, start: int, parent: _Frame) -> _Frame:
        if head in self.connectives or head in _RELATIONS or head in self.equalities:
            if not parent.takes_conditions:
                raise self._misplaced(parent, start)
        elif head in self.arithmetic:
            if parent.takes_conditions:
                raise self._misplaced(parent, start)
        else:
            raise self._scanner.error(f"the operator '{shorten(head)}' is not known; {self.known} are.", start)
        return _Frame(head, start, parent.child_positive, parent)

    def _close(self, frame: _Frame, parent: _Frame) -> None:
        if frame.head in self.arithmetic:
            try:
                parent.linear.append(self._combine(frame.head, frame.linear))
            except QueryError as error:
                raise self._scanner.error(str(error), frame.offset) from None
            return
        depth = frame.depth
        if frame.takes_conditions:
            self._check_count(frame.head, frame.count, frame.offset)
            if frame.parts is parent.parts:
                self._count_condition(parent, depth)
                return
            connective = frame.connective or And
            if len(frame.parts) == 1:
                formula = frame.parts[0]
            else:
                formula = connective(tuple(frame.parts))
                depth += 1
            if depth > _DEEPEST:
                raise self._scanner.error(
                    f"and/or are nested more than {_DEEPEST} deep from here; flatten them.", frame.offset
                )
        else:
            if len(frame.linear) != 2:
                raise self._scanner.error(
                    f"'{frame.head}' compares two terms, but has {len(frame.linear)}.", frame.offset
                )
            formula = self._compare(frame)
            depth = int(not isinstance(formula, Atom))
        self._add_condition(parent, formula, depth)

    def _add_condition(self, frame: _Frame, formula: Formula, depth: int) -> None:
        frame.parts.append(formula)
        self._count_condition(frame, depth)

    def _check_count(self, head: str, count: int, offset: int) -> None:
        needed = {"not": 1, "=>": 2}.get(head, count)
        if count != needed:
            raise self._scanner.error(f"'{head}' takes {needed} conditions, but has {count}.", offset)

    @staticmethod
    def _count_condition(frame: _Frame, depth: int) -> None:
        frame.count += 1
        frame.depth = max(frame.depth, depth)
        if frame.head == "=>":
            frame.child_positive = frame.positive  # only the premise is negated

    def _word(self, word: str, start: int, frame: _Frame) -> None:
        if word in {"true", "false"} and frame.takes_conditions:
            self._add_condition(frame, And(()) if (word == "true") == frame.child_positive else Or(()), 0)
        elif frame.takes_conditions:
            raise self._misplaced(frame, start)
        else:
            frame.linear.append(self._term(word, start))

    def _term(self, word: str, start: int) -> Linear:
        """A variable or a number."""
        variable = self._variable(word, start)
        if variable is None:
            return Linear({}, self._number(word, start))
        return Linear({variable: _ONE}, Fraction(0))

    def _variable(self, word: str, start: int) -> int | None:
        """Number of a variable, ``None`` if the word is none."""
        variable = self.index.get(word)
        if variable is not None:
            self.output_used |= word[0] == "Y"
        return variable

    def _combine(self, operator: str, operands: list[Linear]) -> Linear:
        return combine(operator, operands)

    def _difference(self, left: Linear, right: Linear) -> Linear:
        return left.add(right.scale(Fraction(-1)))

    def _compare(self, frame: _Frame) -> Formula:
        """Inequality, or pair of them, that a relation between two terms stands for."""
        left, right = frame.linear
        try:
            difference = self._difference(left, right)
        except QueryError as error:
            raise self._scanner.error(str(error), frame.offset) from None
        terms = tuple(sorted((v, a) for v, a in difference.terms.items() if a))
        self._check_sizes(terms, difference.constant, frame.offset)
        position = self._scanner.position(frame.offset)
        smaller = (terms, difference.constant)
        larger = (tuple((v, -a) for v, a in terms), -difference.constant)
        if frame.head in self.equalities:
            equal = (frame.head != "!=") == frame.positive
            parts = (Atom(*smaller, not equal, position), Atom(*larger, not equal, position))
            return And(parts) if equal else Or(parts)
        strict, exchanged = _RELATIONS[frame.head]
        if not frame.positive:
            strict, exchanged = not strict, not exchanged
        return Atom(*(larger if exchanged else smaller), strict, position)

    def _simple_atom(self, match: re.Match[str], positive: bool) -> Atom:
        """Inequality between a variable and a variable or number, as :meth:`compare` makes it, but quickly."""
        _, relation, left, right = match.group("simple", "relation", "left", "right")
        strict, exchanged = _RELATIONS[relation]
        if not positive:
            strict, exchanged = not strict, not exchanged
        position = self._scanner.position(match.start("simple"))
        pair = self._constants.get(right)
        if pair is None and self._variable(right, match.start("right")) is None:
            constant = self._number(right, match.start("right"))
            self._check_sizes((), constant, match.start("right"))
            pair = self._constants[right] = (constant, -constant)
        key = (left, "" if pair else right, exchanged)
        terms = self._terms.get(key)
        if terms is None:
            terms = self._terms[key] = self._unit_terms(match, *key)
        if pair is None:
            return Atom(terms, Fraction(0), strict, position)
        return Atom(terms, pair[0] if exchanged else pair[1], strict, position)

    def _unit_terms(self, match: re.Match[str], left: str, right: str, exchanged: bool) -> Terms:
        terms: dict[int, Fraction] = {}
        for name, group, sign in ((left, "left", 1), (right, "right", -1)):
            if name:
                variable = self._variable(name, match.start(group))
                if variable is None:
                    raise self._scanner.error(f"{shorten(name)} is not declared.", match.start(group))
                terms[variable] = terms.get(variable, Fraction(0)) + (-sign if exchanged else sign)
        return tuple(sorted((v, a) for v, a in terms.items() if a))

    def _number(self, text: str, start: int) -> Fraction:
        try:
            value = parse_number(text)
        except QueryError as error:
            raise self._scanner.error(str(error), start) from None
        if value is None:
            raise self._scanner.error(f"{shorten(text)} is neither a number nor a declared variable.", start)
        return value

    def _check_sizes(self, terms: Terms, constant: Fraction, start: int) -> None:
        sizes = [abs(coefficient) for _, coefficient in terms]
        if max([abs(constant), *sizes]) > LARGEST or (sizes and min(sizes) * LARGEST < 1):
            raise self._scanner.error("a coefficient or constant is beyond 1e150 or below 1e-150; rescale it.", start)

    def _misplaced(self, frame: _Frame, start: int) -> QueryError:
        if frame.takes_conditions:
            return self._scanner.error(f"here a condition such as (<= {self.example} 1.0) is expected.", start)
        return self._scanner.error(
            f"'{frame.head}' takes terms, such as {self.example} or (* 2.0 {self.example}), and no condition.", start
        )
