"""Lines above and below a function, proven by ball arithmetic from its formula.

A line of slope ``s`` is above ``f`` on an interval if its offset is at least ``max f(x) - s·x`` there.  The interval is
covered by pieces ``[a, b]``.  On a piece the formula is one analytic formula ``g`` and one of these bounds is used (for
lines below: of ``-f`` and ``-s``):

1. *Tangent.*  If ``g`` is concave, then for any ``t`` of ``[a, b]`` and all ``x`` of it ``g(x) - s·x ≤ g(t) - s·t +
   (g'(t) - s)(x - t)``, whose last term is greatest at ``a`` or ``b``.  Where ``t`` is from does not matter.
2. *Ends.*  If ``g`` is convex, ``g(x) - s·x`` is greatest at ``a`` or ``b``.
3. *Mean value.*  If ``g' ≤ M``, then ``g(x) - s·x ≤ g(a) - s·a + max(0, M - s)(b - a)``; likewise from ``b``.
4. *Values.*  If ``f ≤ V``, then ``f(x) - s·x ≤ V - min(s·a, s·b)``; this needs no ``g``.

``g`` is convex on ``[a, b]`` with the middle m if the ball of ``g''`` over it is not negative, or that of ``g''(m) +
g'''·(x - m)``.  Neighbours on which the same ``g`` is convex are one piece, for ``g''`` has one sign on both.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from flint import arb, ctx, fmpq

from slir_milp.activations.curve import Curve
from slir_milp.activations.formula import BRANCHING, Formula, rebuild
from slir_milp.activations.interval import ZERO, Interval, enclose, interval
from slir_milp.activations.series import Expansion
from slir_milp.certificate.check.touch import Guess, guess, touch
from slir_milp.errors import ProofError

_CONVEX, _CONCAVE = 1, 2  # bits; a straight piece has both
_POWERS = [2.0**k for k in range(41)]
_EDGES = [-math.inf, *(-x for x in reversed(_POWERS)), 0.0, *_POWERS, math.inf]
"""Ends of the blocks that are cut into pieces when they are first asked for."""
_MOST_CELLS, _MOST_FAR_CELLS, _FAR, _LEAST_WIDTH = 4096, 32, 256.0, 2.0**-100
_PRECISION, _OFFSET_PRECISION = 96, 64
_LOSS, _TINY, _LARGEST = arb(2) ** -46, arb(2) ** -80, arb(2) ** 1100
"""What a bound may give away: a share of the size of the numbers in it, and this; the largest number reported."""


class _Analytic:
    """A formula without branches, expanded at points; the latest are remembered."""

    def __init__(self, formula: Formula) -> None:
        self.series, self._known = Expansion(formula), dict[float, list[arb]]()

    def at(self, x: float) -> list[arb]:
        """Value, slope and half the second derivative."""
        found = self._known.get(x)
        if found is None:
            if len(self._known) >= 10_000:
                self._known.clear()
            found = self._known[x] = self.series(arb(x), 3)
        return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bound 4 holds; with ``g``, bound 1 or 2 by its curvature, or if that is 0 bound 3, with ``slopes`` around g'."""

    lower: float
    upper: float
    g: _Analytic | None = None
    curvature: int = 0
    slopes: arb = ZERO
    guess: Guess = ()


class CurveLines:
    """Offsets of lines that enclose one function, whose meaning is its formula.

    Raises
    ------
    ProofError
        If the function has no formula.
    """

    def __init__(self, curve: Curve) -> None:
        if curve.formula is None:
            raise ProofError(
                f"activation {curve.name} is known by samples only: proofs cannot cover it; register it by a formula."
            )
        self._formula = curve.formula
        self._analytic: dict[Formula, _Analytic] = {}
        self._blocks: dict[int, tuple[list[float], list[_Piece]]] = {}

    def offset(self, lower: float, upper: float, slope: fmpq, above: bool) -> fmpq | None:
        """A number that is at least (below: at most) ``f(x) - slope·x`` for every real x of an interval, or nothing."""
        precision, ctx.prec = ctx.prec, _PRECISION
        try:
            s, sign, bounds = arb(slope), 1 if above else -1, []
            for piece in self._pieces(lower, upper):
                bound = self._bound(piece, max(lower, piece.lower), min(upper, piece.upper), s, sign)
                if not bound.is_finite():
                    return None
                bounds.append(bound)
            return _shortened(max(bounds), sign) if bounds else None
        finally:
            ctx.prec = precision

    def image(self, lower: float, upper: float) -> tuple[fmpq | None, fmpq | None]:
        """Lower and upper bound on the values on an interval; nothing where there is none."""
        return self.offset(lower, upper, fmpq(0), above=False), self.offset(lower, upper, fmpq(0), above=True)

    def chord(self, lower: float, upper: float) -> float:
        """About the slope from end to end of an interval, zero where there is none; nothing is claimed of it."""
        with ctx.workprec(_PRECISION):
            ends = [self._formula.ball(arb(x)) for x in (lower, upper)]
            slope = float(((ends[1] - ends[0]) / (arb(upper) - lower)).mid())
        return slope if math.isfinite(slope) else 0.0

    def _pieces(self, lower: float, upper: float) -> list[_Piece]:
        """Pieces that cover an interval; none for what is no interval."""
        if not lower <= upper:
            return []
        found = []
        first = min(bisect_right(_EDGES, lower), len(_EDGES) - 1) - 1
        for block in range(first, max(bisect_left(_EDGES, upper) - 1, first) + 1):
            starts, pieces = self._blocks.get(block) or self._cut(block)
            i = max(bisect_right(starts, lower) - 1, 0)
            found += pieces[i : max(bisect_left(starts, upper), i + 1)]
        return found

    def _bound(self, piece: _Piece, a: float, b: float, s: arb, sign: int) -> arb:
        """Upper bound on ``sign·(f(x) - s·x)`` on a part of a piece: an exact number, or not finite."""
        if piece.curvature == (_CONCAVE if sign > 0 else _CONVEX):
            return _tangent(piece, a, b, s, sign)
        if piece.g is not None:
            left, right = (sign * (piece.g.at(x)[0] - s * x) for x in (a, b))
            if piece.curvature:  # bound 2
                return left.max(right).upper()
        values, product = enclose(self._formula, interval(a, b)), sign * s  # bound 4
        product = ZERO if s.is_zero() else product * (a if product > ZERO else b)  # (s is never uncertain of its sign)
        bound = ((values[1] if sign > 0 else -values[0]) - product).upper()
        if piece.g is None:
            return bound
        rise = sign * (piece.slopes - s) * (arb(b) - a)  # bound 3
        return min((left + max(rise.upper(), ZERO)).upper(), (right - min(rise.lower(), ZERO)).upper(), bound)

    def _cut(self, block: int) -> tuple[list[float], list[_Piece]]:
        """Pieces of a block, by halving it until a bound is tight on each part, or a limit is reached."""
        todo, found = [(_EDGES[block], _EDGES[block + 1])], list[_Piece]()
        left = _MOST_CELLS if max(map(abs, todo[0])) <= _FAR else _MOST_FAR_CELLS
        for a, b in todo:
            middle, left = 0.5 * (a + b), left - 1
            piece = self._piece(a, b, last=left < 0 or not a < middle < b or b - a <= _LEAST_WIDTH)
            if piece is None:
                todo += [(a, middle), (middle, b)]
            else:
                found.append(piece)
        pieces = list[_Piece]()
        for piece in sorted(found, key=lambda piece: piece.lower):
            pieces.append(piece)
            while len(pieces) > 1 and (joined := _joined(*pieces[-2:])):
                pieces[-2:] = [joined]
        self._blocks[block] = [piece.lower for piece in pieces], pieces
        return self._blocks[block]

    def _piece(self, a: float, b: float, last: bool) -> _Piece | None:
        """The piece on ``[a, b]`` if a bound is tight on it; if it is the last resort, whatever holds."""
        g, middle, cell = None, 0.5 * (a + b), arb(a).union(arb(b))
        if math.isfinite(b - a) and (g := self._on(interval(a, b))) is not None:
            over, points = g.series(cell, 4), [g.at(x) for x in (a, middle, b)]
        if g is None or not all(c.is_finite() for coefficients in (over, *points) for c in coefficients):
            nowhere = not any(self._formula.ball(arb(x)).is_finite() for x in (middle, a, b))
            return _Piece(a, b) if last or nowhere else None
        value, slope, bend = points[1]
        slopes, bend = slope + 2 * over[2] * (cell - middle), bend + 3 * over[3] * (cell - middle)
        curvature = _CONVEX * (over[2] >= ZERO or bend >= ZERO) | _CONCAVE * (over[2] <= ZERO or bend <= ZERO)
        found = guess(g.series, a, b) if curvature else None
        if curvature and (found is not None or last):
            return _Piece(a, b, g, curvature, ZERO, found or ())
        tight = 2 * slopes.rad() * (arb(b) - a) <= _LOSS * (abs(value) + abs(middle * slopes)) + _TINY
        return _Piece(a, b, g, 0, slopes) if tight or last else None

    def _on(self, x: Interval) -> _Analytic | None:
        """The analytic formula that the function equals on a closed interval, if every branch is certain there."""
        formula: Formula | None = self._formula
        if not self._formula.is_analytic:
            formula = self._formula.fold(lambda node, arguments: _branch(node, arguments, x))
        if formula is not None and formula not in self._analytic:
            self._analytic[formula] = _Analytic(formula)
        return self._analytic[formula] if formula is not None else None


def _joined(left: _Piece, right: _Piece) -> _Piece | None:
    """Two neighbours as one piece, if they are of one formula and curvature and guesses stay good."""
    if left.g is None or left.g is not right.g or not left.curvature == right.curvature != 0:
        return None
    found = guess(left.g.series, left.lower, right.upper)
    return _Piece(left.lower, right.upper, left.g, left.curvature, ZERO, found) if found is not None else None


def _branch(node: Formula, parts: tuple[Formula | None, ...], x: Interval) -> Formula | None:
    """The node without branches, from its arguments without; nothing where a branch is uncertain on the interval."""
    if node.operator not in BRANCHING:
        return None if None in parts else rebuild(node, parts)  # type: ignore[arg-type]
    a, b, c, d = (*parts, *[Formula.constant(0)] * 4)[:4]
    if a is None or b is None:
        return None
    left, right = enclose(a, x), enclose(b, x)
    over, under, below = left[0] >= right[1], left[1] <= right[0], left[1] < right[0]
    match node.operator:
        case "abs":
            return a if over else -a if under else None
        case "relu" | "max":
            return a if over else b if under else None
        case "min":
            return b if over else a if under else None
        case "where_less":
            return d if over else c if below else None
        case "sign":
            return Formula.constant(-1) if below else Formula.constant(1) if left[0] > ZERO else None
        case "floor" if left[0].is_finite() and left[0].floor() == left[1].floor() == arb(float(left[0].floor())):
            return Formula.constant(float(left[0].floor()))
    return None


def _tangent(piece: _Piece, a: float, b: float, s: arb, sign: int) -> arb:
    """Bound 1, with ``t`` by Newton's method, halving where that fails."""
    low, high, best, aim, tried = a, b, arb.pos_inf(), sign * s, set[float]()
    t = touch(piece.guess, 0.5 * (piece.lower + piece.upper), 0.5 * (piece.upper - piece.lower), a, b, float(s))
    while piece.g is not None and t not in tried and len(tried) < 60:
        tried.add(t)
        value, slope, bend = piece.g.at(t)
        rise = sign * slope - aim
        loss = rise * (arb(b) - t) if rise > ZERO else rise * (arb(a) - t) if rise < ZERO else abs(rise) * (arb(b) - a)
        best = min(best, (sign * value - aim * t + loss).upper())
        if loss <= _LOSS * (abs(value) + abs(aim * t)):
            break
        low, high = (t, high) if rise > ZERO else (low, t)
        t += float(((s - slope) / (2 * bend)).mid())
        t = min(max(t, low), high) if math.isfinite(t) else low
        t = 0.5 * (low + high) if t in tried or len(tried) % 4 == 0 else t
    return best


class CurveRanges(CurveLines):
    """The same by bound 4 alone: wide, but nothing has to be cut into pieces first."""

    def _pieces(self, lower: float, upper: float) -> list[_Piece]:
        return [_Piece(lower, upper)] if lower <= upper else []


@lru_cache(maxsize=64)
def lines_of(curve: Curve) -> CurveLines:
    """Lines around a function; whoever asks for those of the same function shares their pieces."""
    return CurveLines(curve)


def _shortened(bound: arb, sign: int) -> fmpq | None:
    """The bound rounded outward to few bits, times the sign; nothing if it is far beyond float64."""
    if bound > _LARGEST:
        return None
    if bound != ZERO and abs(bound) < 1 / _LARGEST:
        bound = 1 / _LARGEST if bound > ZERO else ZERO
    ctx.prec = _OFFSET_PRECISION
    return sign * max(bound, -_LARGEST).upper().fmpq()
