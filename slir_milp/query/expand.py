"""The disjunctive normal form of a query, as a stream of clauses that is never held as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

from slir_milp.errors import QueryError, SlirWarning
from slir_milp.query.box import Box, Cut, End, cut, is_empty, is_tighter_lower, is_tighter_upper, tighten
from slir_milp.query.clause import Clause, Place
from slir_milp.query.formula import And, Atom, Formula, Or, conjuncts, numbering
from slir_milp.query.query import Query

LARGEST_GROUP = 4096


class Observer(Protocol):
    """Who is told of the tree in which alternatives are expanded.

    Its root, node 0, asserts the whole formula; every child asserts one part of an alternative besides.
    """

    def cases(self, node: int, alternative: int, parts: int) -> int:
        """An alternative is expanded at a node; the number of the first child, the others follow it."""

    def excluded(self, node: int, cuts: tuple[Cut, ...], weights: Mapping[int, Fraction]) -> bool:
        """Cuts, and a sum of inequalities on inputs that excludes the box that is left, close a node.

        ``False`` refuses: then the node stays open.
        """


@dataclass(frozen=True)
class Start:
    """Where an expansion begins, if not at the root.

    Attributes
    ----------
    node
        The node.
    formulas
        All that is asserted there: inequalities and alternatives of the query, the very objects.
    lower, upper
        Ends of every input's interval there, if they are known already.
    """

    node: int
    formulas: tuple[Formula, ...]
    lower: tuple[End, ...] | None = None
    upper: tuple[End, ...] | None = None


def clauses(
    query: Query,
    refute: Callable[[Clause], bool] | None = None,
    observer: Observer | None = None,
    start: Start | None = None,
) -> Iterator[Clause]:
    """Ways to meet a query, one after another: an input meets it exactly if it meets one of them.

    Alternatives are expanded depth first, those that bound inputs before all others, so that clauses with the same
    box follow each other.  A branch is dropped as soon as its box is empty or an inequality between constants fails.

    Parameters
    ----------
    query
        The query.
    refute
        Called with a partial conjunction (all of a clause that is known so far) before its alternatives are expanded;
        if it returns ``True``, claiming that nothing meets the conjunction, they are skipped.
    observer
        Is told of every step; the clauses then tell their places in the tree, and boxes are shrunk by cuts.
    start
        Where to begin in place of the root.

    Yields
    ------
    Clause
        With a non-empty box.

    Raises
    ------
    QueryError
        A clause leaves an input unbounded, which :func:`slir_milp.query.parse_query` refuses beforehand.

    Warns
    -----
    SlirWarning
        There is no clause: no input meets the query, whatever the network.
    """
    expansion = _Expansion(query, observer)
    bounds, first = _Bounds.none(query.inputs), (0, query.formula)
    if start is not None:
        first = start.node, And(start.formulas)
        bounds.node = start.node
        if start.lower is not None and start.upper is not None:
            bounds.lower, bounds.upper = list(start.lower), list(start.upper)
    # Each entry is a conjunction and its remaining ways through its first alternative, with their nodes.
    stack: list[tuple[_Partial, Iterator[tuple[int, Formula]]]] = [(_Partial(bounds, (), ()), iter((first,)))]
    empty, pruned = True, start is not None
    while stack:
        partial, branches = stack[-1]
        node, part = next(branches, (0, None))
        if part is None:
            stack.pop()
            continue
        rest = _Partial(partial.bounds, partial.rows, partial.pending[1:], node)
        child = expansion.extend(rest, part)
        if child is None:
            continue
        if child.pending:
            if refute and expansion.is_refuted(child, refute):
                pruned = True
            else:
                stack.append((child, expansion.ways(child)))
            continue
        clause = expansion.clause(child)
        if clause is not None:
            empty = False
            yield clause
    if empty and not pruned:
        warnings.warn(
            SlirWarning("the query is empty by itself: its constraints on the inputs exclude each other."), stacklevel=2
        )


def grouped_clauses(
    query: Query, refute: Callable[[Clause], bool] | None = None, observer: Observer | None = None
) -> Iterator[tuple[Box, tuple[Clause, ...]]]:
    """Clauses as :func:`clauses` gives them, those with the same box that follow each other taken together.

    A group has at most 4096 clauses; more of the same box make a further group.
    """
    group: list[Clause] = []
    for clause in clauses(query, refute, observer):
        if group and (clause.box is not group[0].box or len(group) == LARGEST_GROUP):
            yield group[0].box, tuple(group)
            group = []
        group.append(clause)
    if group:
        yield group[0].box, tuple(group)


@dataclass(slots=True)
class _Bounds:
    """Ends known so far and what they come from; shared by conjunctions, so it is copied before it is changed."""

    lower: list[End | None]
    upper: list[End | None]
    lower_atoms: list[Atom | None]
    upper_atoms: list[Atom | None]
    node: int = 0
    box: Box | None = None

    @staticmethod
    def none(inputs: int) -> _Bounds:
        """No bound at all."""
        return _Bounds([None] * inputs, [None] * inputs, [None] * inputs, [None] * inputs)

    def copy(self, node: int) -> _Bounds:
        """The same, to be changed at a node."""
        return _Bounds(self.lower.copy(), self.upper.copy(), self.lower_atoms.copy(), self.upper_atoms.copy(), node)


@dataclass(frozen=True, slots=True)
class _Partial:
    """A conjunction under construction: bounds, rows, and alternatives of which one must still be chosen each."""

    bounds: _Bounds
    rows: tuple[Atom, ...]
    pending: tuple[Or, ...]
    node: int = 0


class _Expansion:
    """One expansion of a query."""

    def __init__(self, query: Query, observer: Observer | None) -> None:
        self.query, self.observer = query, observer
        self.atoms, self.alternatives = numbering(query.formula) if observer else ({}, {})
        self.bounding: dict[int, bool] = {}  # id of an alternative -> whether it bounds inputs
        self.last: Box | None = None

    def ways(self, partial: _Partial) -> Iterator[tuple[int, Formula]]:
        """Ways through the first alternative of a conjunction, each with its node."""
        first, start = partial.pending[0], 0
        if self.observer:
            start = self.observer.cases(partial.node, self.alternatives[id(first)], len(first.parts))
        return enumerate(first.parts, start)

    def extend(self, partial: _Partial, formula: Formula) -> _Partial | None:
        """Add a formula to a conjunction; ``None`` if they contradict each other."""
        bounds, copied = partial.bounds, False
        rows: list[Atom] = []
        bounding: list[Or] = []
        others: list[Or] = []
        todo = [iter(conjuncts(formula))]
        while todo:
            part = next(todo[-1], None)
            if part is None:
                todo.pop()
            elif isinstance(part, And):
                todo.append(iter(part.parts))
            elif isinstance(part, Or):
                (bounding if self.bounds_inputs(part) else others).append(part)
            elif not part.terms:
                if part.constant > 0 or (part.constant == 0 and part.strict):
                    return None
            elif len(part.terms) == 1 and part.terms[0][0] < self.query.inputs:
                if not copied:
                    bounds, copied = bounds.copy(partial.node), True
                if not _bound(bounds, part):
                    return None
            else:
                rows.append(part)
        if not (rows or bounding or others):
            return _Partial(bounds, partial.rows, partial.pending, partial.node)
        pending = partial.pending
        if bounding or others:
            old = [p for p in pending if self.bounds_inputs(p)]
            pending = (*bounding, *old, *others, *pending[len(old) :])
        return _Partial(bounds, (*partial.rows, *rows), pending, partial.node)

    def bounds_inputs(self, alternative: Or) -> bool:
        """Whether some part of an alternative is, or has within it, a bound on a single input."""
        known = self.bounding.get(id(alternative))
        if known is None:
            known = self.bounding[id(alternative)] = any(map(self._has_bound, alternative.parts))
        return known

    def _has_bound(self, formula: Formula) -> bool:
        if isinstance(formula, Atom):
            return len(formula.terms) == 1 and formula.terms[0][0] < self.query.inputs
        return any(map(self._has_bound, formula.parts))

    def is_refuted(self, partial: _Partial, refute: Callable[[Clause], bool]) -> bool:
        """Ask about a partial conjunction, if its inputs are bounded already."""
        if None in partial.bounds.lower or None in partial.bounds.upper:
            return False
        clause = self.clause(partial)
        return clause is None or refute(clause)

    def clause(self, partial: _Partial) -> Clause | None:
        """Clause of a finished conjunction; ``None`` if its rows on inputs alone exclude each other."""
        n = self.query.inputs
        rows = [row for row in partial.rows if row.terms[-1][0] < n]
        box: Box | None = self._box(partial.bounds)
        place = Place()
        if self.observer:
            remainder = cut(self._box(partial.bounds), rows)
            cuts = tuple(replace(cut, row=self.atoms[id(rows[cut.row])]) for cut in remainder.cuts)
            if remainder.excluded_by is not None:
                weights = self._excluding(partial.bounds, rows[remainder.excluded_by], remainder.strict_input)
                if self.observer.excluded(partial.node, cuts, weights):
                    return None
            box = remainder.box
            place = Place(partial.node, partial.bounds.node, cuts, tuple(self.atoms[id(row)] for row in partial.rows))
        elif rows and box is not None:
            box = tighten(box, rows)
        if box is None:
            return None
        if self.last is not None and box is not self.last and box == self.last:
            box = self.last
        self.last = box
        return Clause(box, partial.rows, self.query.outputs, place)

    def _excluding(self, bounds: _Bounds, row: Atom, strict_input: int | None) -> dict[int, Fraction]:
        """Weights with which a row, and the strict bound of an input if that is needed, add up to a contradiction."""
        weights = {self.atoms[id(row)]: Fraction(1)}
        if strict_input is not None:
            slope = dict(row.terms)[strict_input]
            bound = (bounds.lower_atoms if slope > 0 else bounds.upper_atoms)[strict_input]
            if bound is not None:
                weights[self.atoms[id(bound)]] = abs(slope / bound.terms[0][1])
        return weights

    def _box(self, bounds: _Bounds) -> Box:
        if bounds.box is None:
            lower, upper = _complete(bounds.lower, "lower"), _complete(bounds.upper, "upper")
            bounds.box = Box(lower, upper)
        return bounds.box


def _bound(bounds: _Bounds, atom: Atom) -> bool:
    """Intersect with a bound on one input; ``False`` if nothing is left."""
    (i, coefficient), constant = atom.terms[0], atom.constant
    old_lower, old_upper = bounds.lower[i], bounds.upper[i]
    if coefficient > 0:
        end = (-constant if coefficient == 1 else -constant / coefficient, atom.strict)
        if old_upper is not None and not is_tighter_upper(end, old_upper):
            return True
        bounds.upper[i], bounds.upper_atoms[i] = end, atom
        return old_lower is None or not is_empty(old_lower, end)
    end = (constant if coefficient == -1 else -constant / coefficient, atom.strict)
    if old_lower is not None and not is_tighter_lower(end, old_lower):
        return True
    bounds.lower[i], bounds.lower_atoms[i] = end, atom
    return old_upper is None or not is_empty(end, old_upper)


def _complete(ends: list[End | None], side: str) -> tuple[End, ...]:
    found: list[End] = []
    for i, end in enumerate(ends):
        if end is None:
            raise QueryError(f"X_{i} has no {side} bound in some alternative; assert one.")
        found.append(end)
    return tuple(found)
