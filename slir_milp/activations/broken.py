"""Piecewise linear formulas in one canonical form: a line, and a hinge at each breakpoint.

Files say ``|x|`` as ``-x + 2·relu(x)`` and a table as a sum of such things within each other.  As written, such a
formula is long, intervals make little of it, and two that mean the same look different.  Rational arithmetic decides
what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import pairwise

from slir_milp.activations.formula import Formula, X, apply
from slir_milp.activations.hinge import Hinge
from slir_milp.activations.offsets.breakpoints import Breakpoints

_MOST_BREAKPOINTS = 1000

_LINEAR = frozenset({"x", "constant", "add", "sub", "neg", "relu", "abs", "max", "min"})


@lru_cache(maxsize=4096)
def is_piecewise_linear(formula: Formula) -> bool:
    """Whether a formula is plainly piecewise linear and without jumps."""
    for node in formula.nodes:
        scales = node.operator == "mul" and not all(argument.uses_x for argument in node.arguments)
        divides = node.operator == "div" and node.arguments[1].operator == "constant" and node.arguments[1].value != 0.0
        if node.operator not in _LINEAR and not scales and not divides:
            return False
    return True


@dataclass(frozen=True)
class _Broken:
    """``slope·x + offset`` plus ``rise·max(0, x - place)`` for each of the breakpoints, which are in order."""

    slope: Fraction
    offset: Fraction
    rises: tuple[tuple[Fraction, Fraction], ...] = ()

    def plus(self, other: _Broken) -> _Broken:
        rises = dict(self.rises)
        for place, rise in other.rises:
            rises[place] = rises.get(place, Fraction(0)) + rise
        kept = tuple(sorted((place, rise) for place, rise in rises.items() if rise))
        return _Broken(self.slope + other.slope, self.offset + other.offset, kept)

    def times(self, factor: Fraction) -> _Broken:
        if not factor:
            return _Broken(factor, factor)
        rises = tuple((place, factor * rise) for place, rise in self.rises)
        return _Broken(factor * self.slope, factor * self.offset, rises)

    def positive_part(self) -> _Broken:
        """The greater of the function and zero."""
        slope, offset, start = self.slope, self.offset, None
        lines: list[tuple[Fraction | None, Fraction, Fraction]] = []  # where each line begins; slope, offset
        for place, rise in (*self.rises, (None, Fraction(0))):
            root = -offset / slope if slope else None
            inside = root is not None and (start is None or root > start) and (place is None or root < place)
            rising = slope > 0 if slope else offset > 0
            if inside and root is not None:
                before, after = ((slope, offset), (Fraction(0), Fraction(0)))
                if rising:
                    before, after = after, before
                lines += [(start, *before), (root, *after)]
            else:
                middle = _between(start, place)
                above = slope * middle + offset > 0
                lines.append((start, slope, offset) if above else (start, Fraction(0), Fraction(0)))
            if place is not None:
                slope, offset, start = slope + rise, offset - rise * place, place
        rises = tuple(
            (begin, after - before)
            for (_, before, _), (begin, after, _) in pairwise(lines)
            if begin is not None and after != before
        )
        return _Broken(lines[0][1], lines[0][2], rises)


def _between(start: Fraction | None, end: Fraction | None) -> Fraction:
    if start is None:
        return Fraction(0) if end is None else end - 1
    return start + 1 if end is None else (start + end) / 2


class _TooMany(Exception):
    pass


def _step(node: Formula, arguments: tuple[_Broken, ...]) -> _Broken:
    zero, one = Fraction(0), Fraction(1)
    if len(arguments) > 0 and sum(len(argument.rises) for argument in arguments) > _MOST_BREAKPOINTS:
        raise _TooMany
    match node.operator:
        case "x":
            return _Broken(one, zero)
        case "constant":
            return _Broken(zero, Fraction(node.value))
        case "add":
            return arguments[0].plus(arguments[1])
        case "sub":
            return arguments[0].plus(arguments[1].times(-one))
        case "neg":
            return arguments[0].times(-one)
        case "mul":
            first, second = arguments
            return second.times(first.offset) if not node.arguments[0].uses_x else first.times(second.offset)
        case "div":
            return arguments[0].times(1 / arguments[1].offset)
        case "relu":
            return arguments[0].positive_part()
        case "abs":
            return arguments[0].times(-one).plus(arguments[0].positive_part().times(2 * one))
        case "max":
            return arguments[1].plus(arguments[0].plus(arguments[1].times(-one)).positive_part())
    return arguments[0].plus(arguments[0].plus(arguments[1].times(-one)).positive_part().times(-one))


@lru_cache(maxsize=4096)
def _broken(formula: Formula) -> _Broken | None:
    if not is_piecewise_linear(formula):
        return None
    try:
        return formula.fold(_step)
    except (_TooMany, ZeroDivisionError):
        return None


def canonical(formula: Formula) -> Formula | Hinge:
    """The same function as a hinge, or as a line and a sum of hinges.

    The formula comes back as it is if it is not plainly piecewise linear, or three float64 numbers do not add up to one
    of the numbers of the canonical form.
    """
    broken = _broken(formula)
    if broken is None:
        return formula
    if all(place == 0 for place, _ in broken.rises) and not broken.offset:
        right = broken.slope + sum(rise for _, rise in broken.rises)
        slopes = float(broken.slope), float(right)
        if (Fraction(slopes[0]), Fraction(slopes[1])) == (broken.slope, right):
            return Hinge(*slopes)
    terms: list[Formula] = []
    for place, rise in broken.rises:
        parts, factors = _pieces(place), _pieces(rise)
        if parts is None or factors is None:
            return formula
        argument = reduce(lambda a, part: a - part, parts, X)
        terms += [factor * apply("relu", argument) for factor in factors]
    slopes_of_line, offsets = _pieces(broken.slope), _pieces(broken.offset)
    if slopes_of_line is None or offsets is None:
        return formula
    terms = [*(slope * X for slope in slopes_of_line), *terms, *map(Formula.constant, offsets)]
    return reduce(lambda a, b: a + b, terms) if terms else Formula.constant(0.0)


def breakpoints_without_jumps(formula: Formula) -> Breakpoints | None:
    """Breakpoints of a plainly piecewise linear formula, nothing if float64 does not hold one of them."""
    broken = _broken(formula)
    if broken is None or not broken.rises:
        return None
    points, values, slope, offset = [], [], broken.slope, broken.offset
    for place, rise in broken.rises:
        if _pieces(place) not in ([], [float(place)]):
            return None
        points.append(float(place))
        values.append(slope * place + offset)
        slope, offset = slope + rise, offset - rise * place
    return Breakpoints(points, values, broken.slope, slope)


def _pieces(number: Fraction) -> list[float] | None:
    """Float64 numbers whose exact sum it is, three at most; ``None`` if there are none."""
    parts: list[float] = []
    while number and len(parts) < 3:
        try:
            part = float(number)
        except OverflowError:
            return None
        if part == 0.0:
            return None
        parts.append(part)
        number -= Fraction(part)
    return None if number else parts
