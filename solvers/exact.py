"""Exact answers of linear programs: a basis that a solver proposes, checked in rational arithmetic.

The entries of a program are float64 numbers, which are rational.  A basis says which columns and rows are at a bound;
the others then follow from a system of linear equations.  If the point that solves it, over the rational numbers, is
within all bounds, and the duals that solve the transposed system have the right signs, then the point is an optimum and
its objective *the* optimum, exactly.  Where the solver's tolerances have hidden that the basis is not quite optimal, a
few exact pivots of the simplex method go on from it.  A Farkas ray is evaluated in the same arithmetic.

So the reference that all solvers are compared with is itself no solver's word: HiGHS only proposes the basis.

Method: D. L. Applegate, W. Cook, S. Dash, D. G. Espinoza, *Operations Research Letters* 35 (2007), 693-699.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.solvers.elastic import elastic
from slir_milp.solvers.highs_library import load
from slir_milp.solvers.protocol import LinearProgram, Vector

MOST_BASIC = 180
"""Basic columns beyond which no exact answer is looked for: the equations then take more than a second."""
_MOST_PIVOTS = 40
_TOLERANCE = 1e-10

BASIC, AT_LOWER, AT_UPPER, AT_ZERO = 0, 1, 2, 3
Places = NDArray[np.int8]


class Finding(StrEnum):
    """What rational arithmetic says of a linear program."""

    OPTIMUM = "optimum"
    INFEASIBLE = "infeasible"
    OPEN = "open"


@dataclass(frozen=True)
class ExactAnswer:
    """An answer that is certain, or none.

    Attributes
    ----------
    finding
        What is known.
    objective
        The optimum, if it is known.
    x
        A point where it is attained, if it is known.
    pivots
        How many exact pivots it took from the basis that HiGHS proposed.
    why
        Why it stays open, as a phrase; else ``""``.
    """

    finding: Finding
    objective: Fraction | None = None
    x: tuple[Fraction, ...] | None = None
    pivots: int = 0
    why: str = ""


def enclosure(value: Fraction) -> tuple[float, float]:
    """The float64 numbers next below and next above, or the number itself twice."""
    near = value.numerator / value.denominator
    exact = Fraction(near)
    low = near if exact <= value else math.nextafter(near, -math.inf)
    high = near if exact >= value else math.nextafter(near, math.inf)
    return low, high


def solve_exactly(program: LinearProgram, *, most_basic: int = MOST_BASIC) -> ExactAnswer:
    """Find the exact optimum of a linear program, or prove that it has no feasible point.

    Parameters
    ----------
    program
        The program; columns that must be integers are refused.
    most_basic
        Columns in the basis beyond which nothing is tried.

    Raises
    ------
    ValueError
        The program has columns that must be integers.
    """
    if program.integral is not None and program.integral.any():
        raise ValueError("an exact answer is for linear programs only")
    status, places, ray = _propose(program)
    if status == "kInfeasible" and ray is not None:
        if any(proves_infeasible(program, candidate) for candidate in (ray, -ray)):
            return ExactAnswer(Finding.INFEASIBLE)
        # Rounding spoils a ray where a region is empty by little.  The optimum of the elastic program is exact.
        violated = elastic(program)
        violation = _from_basis(violated, *_propose(violated)[:2], most_basic)
        if violation.objective is not None and violation.objective > 0:
            return ExactAnswer(Finding.INFEASIBLE, pivots=violation.pivots)
        return ExactAnswer(Finding.OPEN, why="the Farkas ray does not hold exactly")
    return _from_basis(program, status, places, most_basic)


def _from_basis(program: LinearProgram, status: str, places: Places | None, most_basic: int) -> ExactAnswer:
    """Go on from what HiGHS proposes."""
    if places is None:
        return ExactAnswer(Finding.OPEN, why=f"HiGHS proposes no basis ({status})")
    if int(np.count_nonzero(places[: program.columns] == BASIC)) > most_basic:
        return ExactAnswer(Finding.OPEN, why="the basis is too large for exact arithmetic")
    return _Simplex(program, places).run()


def proves_infeasible(program: LinearProgram, ray: Vector) -> bool:
    """Whether a ray, with entries that name an infinite side left out, proves exactly that no point is feasible."""
    return (dual_bound(program, ray, with_costs=False) or 0) > 0


def dual_bound(program: LinearProgram, row_duals: Vector, *, with_costs: bool = True) -> Fraction | None:
    """The exact dual objective of float64 row duals: a lower bound on every feasible point's objective.

    Duals whose sign names an infinite side are left out first.  Where the reduced cost of a single column then names an
    infinite bound, all duals are scaled until it is zero.

    Returns
    -------
    Fraction or None
        ``None`` if they bound nothing.
    """
    y = np.where(np.isfinite(np.where(row_duals > 0, program.row_lower, program.row_upper)), row_duals, 0.0)
    y = np.where(np.isfinite(y), y, 0.0)
    kept = np.flatnonzero(y)
    sums = [Fraction(0)] * program.columns
    multipliers = {i: Fraction(float(y[i])) for i in kept.tolist()}
    for i, multiplier in multipliers.items():
        here = slice(program.starts[i], program.starts[i + 1])
        for j, value in zip(program.indices[here].tolist(), program.values[here].tolist(), strict=True):
            sums[j] += multiplier * Fraction(value)
    costs = [Fraction(c) for c in program.costs.tolist()] if with_costs else [Fraction(0)] * program.columns
    factor = Fraction(1)
    lower, upper = program.column_lower.tolist(), program.column_upper.tolist()
    for c, total, low, high in zip(costs, sums, lower, upper, strict=True):
        if not math.isfinite(_named(c - total, low, high)) and total != 0:
            factor = c / total
            break
    if factor < 0 or (factor == 0 and not with_costs):
        return None
    result = Fraction(program.offset) if with_costs else Fraction(0)
    for c, total, low, high in zip(costs, sums, lower, upper, strict=True):
        reduced = c - factor * total
        if reduced:
            bound = _named(reduced, low, high)
            if not math.isfinite(bound):
                return None
            result += reduced * Fraction(bound)
    for i, multiplier in multipliers.items():
        side = float(program.row_lower[i] if multiplier > 0 else program.row_upper[i])
        result += factor * multiplier * Fraction(side)
    return result


def _named(reduced: Fraction, low: float, high: float) -> float:
    """The bound that a reduced cost's sign names; zero where it names none."""
    return low if reduced > 0 else high if reduced < 0 else 0.0


def _propose(program: LinearProgram) -> tuple[str, Places | None, Vector | None]:
    """What HiGHS answers: its status, a basis (columns, then rows), a ray."""
    options = {
        "presolve": "off",
        "solver": "simplex",
        "primal_feasibility_tolerance": _TOLERANCE,
        "dual_feasibility_tolerance": _TOLERANCE,
    }
    highs = load(replace(program, integral=None), options)
    highs.run()
    status = str(highs.getModelStatus().name)
    if status in ("kUnknown", "kSolveError", "kUnboundedOrInfeasible"):
        columns = np.arange(program.columns, dtype=np.int32)
        highs.changeColsCost(len(columns), columns, np.zeros(len(columns)))
        highs.clearSolver()
        highs.run()
        if highs.getModelStatus().name != "kInfeasible":
            return status, None, None
        status = "kInfeasible"
    if status == "kInfeasible":
        _, exists, ray = highs.getDualRay()
        return status, None, np.array(ray) if exists else None
    basis = highs.getBasis()
    if status != "kOptimal" or not basis.valid:
        return status, None, None
    kinds = {"kBasic": BASIC, "kLower": AT_LOWER, "kUpper": AT_UPPER, "kZero": AT_ZERO, "kNonbasic": AT_LOWER}
    places = [kinds[place.name] for place in (*basis.col_status, *basis.row_status)]
    return status, np.array(places, dtype=np.int8), None


class _Simplex:
    """A bounded simplex method over the rational numbers, begun at a basis that is optimal but for rounding.

    The variables are the columns and, after them, the values of the rows.  Every row is multiplied by a power of two
    that makes its entries integers, its sides with them.
    """

    def __init__(self, program: LinearProgram, places: Places) -> None:
        self.columns, self.rows = program.columns, program.rows
        self.shifts = _row_shifts(program)
        self.matrix = self._integers(program)
        scales = [Fraction(1)] * self.columns + [Fraction(2) ** shift for shift in self.shifts]
        self.lower = _scaled(scales, (*program.column_lower.tolist(), *program.row_lower.tolist()))
        self.upper = _scaled(scales, (*program.column_upper.tolist(), *program.row_upper.tolist()))
        self.costs = [Fraction(c) for c in program.costs.tolist()]
        self.offset = Fraction(program.offset)
        self.places = places.copy()
        for v in range(self.columns + self.rows):
            if self.places[v] in (AT_LOWER, AT_UPPER, AT_ZERO):
                self.places[v] = self._nearest_place(v, int(self.places[v]))

    def run(self) -> ExactAnswer:
        """Pivot until the basis is optimal, or give up."""
        for pivots in range(_MOST_PIVOTS + 1):
            if np.count_nonzero(self.places == BASIC) != self.rows:
                return ExactAnswer(Finding.OPEN, pivots=pivots, why="the proposed basis has a wrong size")
            try:
                values, reduced = self._values(), self._reduced()
            except ZeroDivisionError:
                return ExactAnswer(Finding.OPEN, pivots=pivots, why="the proposed basis is singular")
            outside = [v for v in self._basic() if self._excess(v, values[v]) != 0]
            # A variable with two finite bounds can always go to the one that its reduced cost names.
            wrong = [v for v, d in reduced.items() if self._is_wrong(v, d)]
            flipped = [v for v in wrong if self.lower[v] is not None and self.upper[v] is not None]
            if not outside and not wrong:
                x = tuple(values[: self.columns])
                objective = sum((c * v for c, v in zip(self.costs, x, strict=True) if c), self.offset)
                return ExactAnswer(Finding.OPTIMUM, objective, x, pivots)
            if len(flipped) == len(wrong) and outside:
                for v in flipped:
                    self.places[v] = AT_UPPER if reduced[v] < 0 else AT_LOWER
                if flipped:
                    continue
                if not self._dual_pivot(values, reduced, outside):
                    return ExactAnswer(Finding.INFEASIBLE, pivots=pivots)
            elif not outside:
                if not self._primal_pivot(values, reduced, wrong):
                    return ExactAnswer(Finding.OPEN, pivots=pivots, why="the program is unbounded")
            else:
                return ExactAnswer(Finding.OPEN, pivots=pivots, why="the basis is neither primal nor dual feasible")
        return ExactAnswer(Finding.OPEN, pivots=_MOST_PIVOTS, why="the basis is many pivots from an optimum")

    # --- pivots ------------------------------------------------------------------------------------------------------

    def _dual_pivot(self, values: list[Fraction], reduced: dict[int, Fraction], outside: list[int]) -> bool:
        """Let the variable that is farthest outside leave; ``False`` if none can enter: no point is feasible."""
        leaving = max(outside, key=lambda v: abs(self._excess(v, values[v])))
        above = self._excess(leaving, values[leaving]) > 0
        row = self._pivot_row(leaving)
        best: tuple[Fraction, int] | None = None
        for v, alpha in row.items():
            # By how much the leaving variable moves towards its bound for one unit of v, in the direction open to v.
            towards = -alpha if above else alpha
            place = self.places[v]
            if alpha == 0 or (self.lower[v] == self.upper[v] and self.lower[v] is not None):
                continue
            if (place == AT_LOWER and towards > 0) or (place == AT_UPPER and towards < 0) or place == AT_ZERO:
                ratio = (abs(reduced[v] / alpha), v)
                best = ratio if best is None or ratio < best else best
        if best is None:
            return False
        self.places[leaving] = AT_UPPER if above else AT_LOWER
        self.places[best[1]] = BASIC
        return True

    def _primal_pivot(self, values: list[Fraction], reduced: dict[int, Fraction], wrong: list[int]) -> bool:
        """Let the variable of the least number enter; ``False`` if nothing stops it."""
        entering = min(wrong)
        direction = 1 if reduced[entering] < 0 else -1
        change = self._column_change(entering)
        low, high = self.lower[entering], self.upper[entering]
        best: tuple[Fraction, int] | None = (high - low, entering) if low is not None and high is not None else None
        for v, rate in change.items():
            moved = direction * rate
            end = self.upper[v] if moved > 0 else self.lower[v]
            if moved == 0 or end is None:
                continue
            step = ((end - values[v]) / moved, v)
            best = step if best is None or step < best else best
        if best is None:
            return False
        leaving = best[1]
        if leaving == entering:
            self.places[entering] = AT_UPPER if direction > 0 else AT_LOWER
            return True
        self.places[leaving] = AT_UPPER if direction * change[leaving] > 0 else AT_LOWER
        self.places[entering] = BASIC
        return True

    # --- equations ---------------------------------------------------------------------------------------------------

    def _values(self) -> list[Fraction]:
        """Values of all variables at the basis."""
        x = [Fraction(0) if place == BASIC else self._at(v) for v, place in enumerate(self.places[: self.columns])]
        basic, tight = self._basic_columns(), self._tight_rows()
        fixed = self._times(x)
        right = [self._at(self.columns + i) - fixed[i] for i in tight]
        for j, value in zip(basic, self._solved(basic, tight, right, transposed=False), strict=True):
            x[j] = value
        return x + self._times(x)

    def _reduced(self) -> dict[int, Fraction]:
        """Reduced costs of the variables that are not basic; that of a row is its dual."""
        basic, tight = self._basic_columns(), self._tight_rows()
        duals = self._solved(basic, tight, [self.costs[j] for j in basic], transposed=True)
        sums = self._transposed_times(dict(zip(tight, duals, strict=True)))
        result = {j: self.costs[j] - sums[j] for j in range(self.columns) if self.places[j] != BASIC}
        result.update({self.columns + i: y for i, y in zip(tight, duals, strict=True)})
        return result

    def _pivot_row(self, leaving: int) -> dict[int, Fraction]:
        """How much the leaving variable grows with each variable that is not basic."""
        basic, tight = self._basic_columns(), self._tight_rows()
        if leaving < self.columns:
            wanted, own = [Fraction(int(j == leaving)) for j in basic], None
        else:
            own = leaving - self.columns
            wanted = [Fraction(int(self.matrix[own, j])) for j in basic]
        weights = self._solved(basic, tight, wanted, transposed=True)
        sums = self._transposed_times(dict(zip(tight, weights, strict=True)))
        result = {
            j: (Fraction(0) if own is None else Fraction(int(self.matrix[own, j]))) - sums[j]
            for j in range(self.columns)
            if self.places[j] != BASIC
        }
        result.update({self.columns + i: w for i, w in zip(tight, weights, strict=True)})
        return result

    def _column_change(self, entering: int) -> dict[int, Fraction]:
        """How fast every basic variable grows with the entering one."""
        basic, tight = self._basic_columns(), self._tight_rows()
        x = [Fraction(0)] * self.columns
        if entering < self.columns:
            x[entering] = Fraction(1)
        fixed = self._times(x)
        right = [Fraction(int(self.columns + i == entering)) - fixed[i] for i in tight]
        for j, value in zip(basic, self._solved(basic, tight, right, transposed=False), strict=True):
            x[j] = value
        everything = x + self._times(x)
        return {v: everything[v] for v in self._basic()}

    def _solved(self, basic: list[int], tight: list[int], right: list[Fraction], *, transposed: bool) -> list[Fraction]:
        """Solve with the square matrix of the tight rows and basic columns."""
        from flint import fmpq, fmpq_mat, fmpz_mat

        if not basic or not any(right):
            return [Fraction(0)] * len(right)
        if transposed:
            square = fmpz_mat([[self.matrix[i, j] for i in tight] for j in basic])
        else:
            square = fmpz_mat([[self.matrix[i, j] for j in basic] for i in tight])
        side = fmpq_mat(len(right), 1, [fmpq(b.numerator, b.denominator) for b in right])
        found = fmpq_mat(square).solve(side)
        return [Fraction(int(value.p), int(value.q)) for value in found.entries()]

    def _times(self, x: list[Fraction]) -> list[Fraction]:
        """The matrix times a vector."""
        numbers, denominator = _common(x)
        from flint import fmpz_mat

        product = self.matrix * fmpz_mat(self.columns, 1, numbers) if self.columns else fmpz_mat(self.rows, 1)
        return [Fraction(int(value), denominator) for value in product.entries()]

    def _transposed_times(self, y: dict[int, Fraction]) -> list[Fraction]:
        """The transposed matrix times a vector given by its entries that are not zero."""
        from flint import fmpz_mat

        numbers, denominator = _common([y.get(i, Fraction(0)) for i in range(self.rows)])
        product = fmpz_mat(1, self.rows, numbers) * self.matrix if self.rows else fmpz_mat(1, self.columns)
        return [Fraction(int(value), denominator) for value in product.entries()]

    def _integers(self, program: LinearProgram) -> Any:
        from flint import fmpz_mat

        rows = [[0] * self.columns for _ in range(self.rows)]
        entries = zip(program.row_of_entry.tolist(), program.indices.tolist(), program.values.tolist(), strict=True)
        for i, j, value in entries:
            numerator, denominator = value.as_integer_ratio()
            rows[i][j] += (numerator << self.shifts[i]) // denominator
        return fmpz_mat(rows) if rows else fmpz_mat(0, self.columns)

    # --- places ------------------------------------------------------------------------------------------------------

    def _basic(self) -> list[int]:
        return np.flatnonzero(self.places == BASIC).tolist()

    def _basic_columns(self) -> list[int]:
        return np.flatnonzero(self.places[: self.columns] == BASIC).tolist()

    def _tight_rows(self) -> list[int]:
        return np.flatnonzero(self.places[self.columns :] != BASIC).tolist()

    def _at(self, v: int) -> Fraction:
        """Value of a variable that is not basic."""
        end = {AT_LOWER: self.lower[v], AT_UPPER: self.upper[v]}.get(int(self.places[v]))
        return Fraction(0) if end is None else end

    def _nearest_place(self, v: int, place: int) -> int:
        """A bound that the variable has."""
        low, high = self.lower[v], self.upper[v]
        if low is None and high is None:
            return AT_ZERO
        if place == AT_UPPER:
            return AT_UPPER if high is not None else AT_LOWER
        return AT_LOWER if low is not None else AT_UPPER

    def _excess(self, v: int, value: Fraction) -> Fraction:
        """How far a value is above the upper (positive) or below the lower bound (negative)."""
        low, high = self.lower[v], self.upper[v]
        if low is not None and value < low:
            return value - low
        return value - high if high is not None and value > high else Fraction(0)

    def _is_wrong(self, v: int, reduced: Fraction) -> bool:
        """Whether the objective falls where the variable leaves its bound."""
        low, high = self.lower[v], self.upper[v]
        if low is not None and low == high:
            return False
        place = self.places[v]
        return (reduced < 0 and place != AT_UPPER) or (reduced > 0 and place != AT_LOWER)


def _row_shifts(program: LinearProgram) -> list[int]:
    """For each row the least power of two (an exponent) that makes its entries integers."""
    shifts = np.zeros(program.rows, dtype=np.int64)
    for i, value in zip(program.row_of_entry.tolist(), program.values.tolist(), strict=True):
        shifts[i] = max(shifts[i], value.as_integer_ratio()[1].bit_length() - 1)
    return [int(shift) for shift in shifts]


def _scaled(scales: list[Fraction], ends: Iterable[float]) -> list[Fraction | None]:
    pairs = zip(scales, ends, strict=True)
    return [scale * Fraction(end) if math.isfinite(end) else None for scale, end in pairs]


def _common(values: list[Fraction]) -> tuple[list[int], int]:
    """Numerators over the least common denominator, and that."""
    denominator = math.lcm(*(value.denominator for value in values))
    return [value.numerator * (denominator // value.denominator) for value in values], denominator
