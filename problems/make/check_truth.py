"""Check every expected verdict by means that share nothing with the verifier, and write truth.csv.

``sat``: a point is found (or taken from truth.csv), rounded to float32, and must meet the query both in exact
arithmetic and by ONNX Runtime.  ``unsat``: see :func:`least_violation`; of the networks made by hand, every vertex of
the grid of their kinks is evaluated exactly.

    python -m slir_milp.problems.make.check_truth [PART OF A NAME ...]
"""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .conditions import Clause, Row, read_clauses
from .straight_line import Program, evaluate, is_smooth, program, shapes

Array = NDArray[np.float64]
FOLDER = Path(__file__).resolve().parents[1]
HEADER = ("onnx", "vnnlib", "timeout", "verdict", "witness")
MARGIN = 1e-5
KINKS = (0, 1, 3)  # ends of the box and tips of the tents that were made by hand
FEW_OPEN, FEW_INPUTS = 16, 6


@dataclass(frozen=True, eq=False)
class Condition:
    """A box of inputs and the rows that must all be at most zero, over (1, inputs, neurons)."""

    low: Array
    high: Array
    rows: Array


def conditions(network: Program, text: str) -> list[Condition]:
    """Return every disjunct of a query, with its rows written over the program's columns."""
    found = []
    for clause in read_clauses(text):
        low, high = np.full(network.inputs, -np.inf), np.full(network.inputs, np.inf)
        rows = []
        for row in clause:
            names = [name for name, c in row.terms.items() if name and c]
            if len(names) == 1 and names[0][0] == "X":
                i, c = int(names[0][2:]), row.terms[names[0]]
                end = float(-row.terms.get("", Fraction(0)) / c)
                if c > 0:
                    high[i] = min(high[i], end)
                else:
                    low[i] = max(low[i], end)
            else:
                rows.append(_row(network, row))
        if np.all(low <= high):
            found.append(Condition(low, high, np.array(rows)))
    return found


def _row(network: Program, row: Row) -> Array:
    result = np.zeros(network.outputs.shape[1])
    for name, c in row.terms.items():
        if not name:
            result[0] += float(c)
        elif name[0] == "X":
            result[1 + int(name[2:])] += float(c)
        else:
            result += float(c) * network.outputs[int(name[2:])]
    return result


def depths(network: Program) -> list[NDArray[np.intp]]:
    """Neurons grouped so that each reads only neurons of earlier groups."""
    depth: list[int] = []
    for row in network.pre:
        read = np.flatnonzero(row[network.inputs + 1 :])
        depth.append(1 + max((depth[i] for i in read), default=-1))
    return [np.flatnonzero(np.array(depth) == d) for d in range(max(depth) + 1)]


def bounds(network: Program, low: Array, high: Array, rows: Array) -> tuple[Array, Array, Array, Array]:
    """Bounds of every pre-activation, lower bounds of rows, and the rows' slopes in the inputs.

    Every neuron between two lines, which are put in from the last to the first.  All results have the boxes first.
    Plain float64: the margin asked for is far above its rounding.
    """
    groups, first = depths(network), network.inputs + 1
    count = (len(low), len(network.pre))
    lower, upper = np.zeros(count), np.zeros(count)
    chord, lift, tangent = np.zeros(count), np.zeros(count), np.zeros(count)

    def least(wanted: Array, done: int) -> tuple[Array, Array]:
        coefficients = np.repeat(wanted[None], len(low), axis=0)
        for group in reversed(groups[:done]):
            c = coefficients[:, :, first + group]
            coefficients[:, :, first + group] = 0.0
            # A neuron is c times above its lower line (the tangent, through zero) or below its upper one (the chord).
            slope = np.where(c > 0, tangent[:, None, group], chord[:, None, group])
            coefficients += (c * slope) @ network.pre[group]
            coefficients[:, :, 0] += (np.minimum(c, 0) * lift[:, None, group]).sum(axis=-1)
        slopes = coefficients[:, :, 1:first]
        ends = np.where(slopes > 0, low[:, None], high[:, None])
        return coefficients[:, :, 0] + (slopes * ends).sum(axis=-1), slopes

    for done, group in enumerate(groups):
        wanted = network.pre[group]
        both, _ = least(np.concatenate((wanted, -wanted)), done)
        below, above = both[:, : len(group)], -both[:, len(group) :]
        slope = network.negative[group]
        crossing = (below < 0) & (above > 0)
        one_side = np.where(below >= 0, 1.0, slope)
        lower[:, group], upper[:, group] = below, above
        rise = (above - slope * below) / np.where(crossing, above - below, 1.0)
        chord[:, group] = np.where(crossing, rise, one_side)
        lift[:, group] = np.where(crossing, (slope - chord[:, group]) * below, 0.0)
        tangent[:, group] = np.where(crossing, np.where(above >= -below, 1.0, slope), one_side)
    return lower, upper, *least(rows, len(groups))


def least_violation(network: Program, condition: Condition) -> tuple[float, Array]:
    """Lower bound on the least value, over the box, of the largest row, and where; infinite if bounds close all.

    A box is closed when a row is above the margin all over it.  Boxes left with few open neurons (or any box of many
    inputs) become mixed-integer programs solved by HiGHS; the others are halved.
    """
    worst, where = np.inf, condition.low
    pending = [(condition.low, condition.high)]
    while pending:
        part, pending = pending[:256], pending[256:]
        low, high = (np.array(ends) for ends in zip(*part, strict=True))
        lower, upper, rows, slopes = bounds(network, low, high, condition.rows)
        for b in np.flatnonzero(rows.max(axis=1) <= MARGIN):
            open_neurons = int(((lower[b] < 0) & (upper[b] > 0)).sum())
            if open_neurons <= FEW_OPEN or network.inputs > FEW_INPUTS:
                found, point = _solve(network, condition.rows, low[b], high[b], lower[b], upper[b])
                if found < worst:
                    worst, where = found, point
                if worst <= MARGIN:
                    return worst, where
                continue
            i = int(np.argmax(np.abs(slopes[b, rows[b].argmax()]) * (high[b] - low[b]) + 0.01 * (high[b] - low[b])))
            left, right = high[b].copy(), low[b].copy()
            left[i] = right[i] = (low[b][i] + high[b][i]) / 2
            pending += [(low[b], left), (right, high[b])]
    return worst, where


def _solve(network: Program, rows: Array, low: Array, high: Array, lower: Array, upper: Array) -> tuple[float, Array]:
    """Minimise the largest row over a box exactly, as a mixed-integer program; return it and the point."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    for option in ("mip_feasibility_tolerance", "primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        solver.setOptionValue(option, 1e-9)
    solver.setOptionValue("mip_rel_gap", 1e-3)
    infinity, n = highspy.kHighsInf, network.inputs

    def column(least: float, most: float) -> int:
        solver.addVar(float(least), float(most))
        return int(solver.getNumCol()) - 1

    def row(least: float, most: float, terms: dict[int, float]) -> None:
        items = {c: v for c, v in terms.items() if v}
        index, value = np.array(list(items), dtype=np.int32), np.array(list(items.values()))
        solver.addRow(float(least), float(most), len(index), index, value)

    columns = [column(1, 1)] + [column(*ends) for ends in zip(low, high, strict=True)]
    for pre, slope, below, above in zip(network.pre, network.negative, lower, upper, strict=True):
        before = column(below, above)
        row(0, 0, {**{columns[i]: float(pre[i]) for i in np.flatnonzero(pre)}, before: -1.0})
        after = column(-infinity, infinity)
        columns.append(after)
        if below >= 0 or above <= 0:
            row(0, 0, {before: 1.0 if below >= 0 else float(slope), after: -1.0})
            continue
        positive, switch = column(0, above), column(0, 1)
        solver.changeColIntegrality(switch, highspy.HighsVarType.kInteger)
        row(0, 0, {before: float(slope), positive: 1.0 - float(slope), after: -1.0})
        row(0, infinity, {positive: 1.0, before: -1.0})
        row(-infinity, 0, {positive: 1.0, switch: -float(above)})
        row(-infinity, -float(below), {positive: 1.0, before: -1.0, switch: -float(below)})
    top = column(-infinity, infinity)
    solver.changeColCost(top, 1.0)
    for terms in rows:
        row(-infinity, 0, {**{columns[i]: float(terms[i]) for i in np.flatnonzero(terms)}, top: -1.0})
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        sys.exit(f"HiGHS ended with {solver.modelStatusToString(solver.getModelStatus())}")
    solution = np.array(solver.getSolution().col_value)
    info = solver.getInfo()
    mixed = any(kind == highspy.HighsVarType.kInteger for kind in solver.getLp().integrality_)
    return float(info.mip_dual_bound if mixed else info.objective_function_value), solution[1 : n + 1]


def values(network: Program, points: Array) -> Array:
    """Values of (1, inputs, neurons) at points, in float64."""
    table = np.zeros((len(points), network.outputs.shape[1]))
    table[:, 0] = 1.0
    table[:, 1 : network.inputs + 1] = points
    for k, (row, slope) in enumerate(zip(network.pre, network.negative, strict=True)):
        pre = table @ row
        table[:, 1 + network.inputs + k] = np.where(pre < 0, slope * pre, pre)
    return table


def find_point(network: Program, condition: Condition) -> tuple[float, Array]:
    """Search a point of least violation: samples, whole numbers, then ever smaller steps."""
    if network.inputs > FEW_INPUTS:
        return _climb(network, condition)
    rng = np.random.default_rng(0)
    size = condition.high - condition.low
    points = condition.low + size * rng.random((20000, network.inputs))
    points[:500] = np.clip(np.round(points[:500]), condition.low, condition.high)
    best, best_point = np.inf, points[0]
    for round_ in range(40):
        violation = (values(network, points) @ condition.rows.T).max(axis=1)
        if violation.min() < best:
            best, best_point = float(violation.min()), points[violation.argmin()]
        spread = size * 0.3 * 0.8**round_
        points = np.clip(best_point + spread * rng.normal(size=(2000, network.inputs)), condition.low, condition.high)
    return best, best_point


def _climb(network: Program, condition: Condition) -> tuple[float, Array]:
    """From the middle of the box, move the input to the end that helps most, as long as one helps."""
    best, best_point = np.inf, (condition.low + condition.high) / 2
    while True:
        one = np.eye(network.inputs, dtype=bool)
        points = np.concatenate([np.where(one, end, best_point) for end in (condition.low, condition.high)])
        violation = (values(network, points) @ condition.rows.T).max(axis=1)
        if violation.min() >= best:
            return best, best_point
        best, best_point = float(violation.min()), points[violation.argmin()]


def meets(path: Path, clauses: list[Clause], point: Array) -> bool:
    """Whether a float32 point meets a query in exact arithmetic and, by ONNX Runtime, in float32."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed, start = {}, 0
    for value, shape in zip(session.get_inputs(), shapes(path), strict=True):
        size = int(np.prod(shape))
        feed[value.name] = point[start : start + size].astype(np.float32).reshape(shape)
        start += size
    rounded = [(Fraction(float(v)),) * 2 for result in session.run(None, feed) for v in np.ravel(result)]
    inputs = {f"X_{i}": Fraction(float(v)) for i, v in enumerate(point)}

    def holds(outputs: list[tuple[Fraction, Fraction]]) -> bool:
        """Whether the query is met wherever in their enclosures the outputs lie."""

        def worst(row: Row) -> dict[str, Fraction]:
            names = ((f"Y_{j}", pair) for j, pair in enumerate(outputs))
            return inputs | {name: pair[row.terms.get(name, 0) > 0] for name, pair in names}

        return any(all(row.holds(worst(row)) for row in clause) for clause in clauses)

    return holds(evaluate(path, point.tolist())) and holds(rounded)


def into_float32(condition: Condition, point: Array) -> Array:
    """Nearest float32 point inside the box."""
    near = np.asarray(point, dtype=np.float32)
    near = np.where(near > condition.high, np.nextafter(near, np.float32(-np.inf)), near)
    near = np.where(near < condition.low, np.nextafter(near, np.float32(np.inf)), near)
    return near.astype(np.float64)


def check(onnx_path: str, vnnlib_path: str) -> tuple[str, str, str]:
    """Verdict, witness and a remark for one instance."""
    path, text = FOLDER / onnx_path, (FOLDER / vnnlib_path).read_text(encoding="utf-8")
    if is_smooth(path):
        from . import check_smooth

        return check_smooth.check(path, text)
    clauses = read_clauses(text)
    network = program(path)
    parts = conditions(network, text)
    for part in parts:
        violation, found = find_point(network, part)
        point = into_float32(part, found)
        if violation <= 0 and meets(path, clauses, point):
            return "sat", written(point), f"violation {violation:.3g}"
    if path.stem.startswith("boundary"):
        corners = [np.array(corner, dtype=float) for corner in product(KINKS, repeat=network.inputs)]
        met = any(meets(path, clauses, corner) for corner in corners)
        return ("unknown" if met else "unsat"), "", "at every vertex, exactly"
    least = np.inf
    for part in parts:
        violation, found = least_violation(network, part)
        point = into_float32(part, found)
        if violation <= MARGIN:
            verdict = "sat" if meets(path, clauses, point) else "unknown"
            return verdict, written(point), f"violation {violation:.3g}"
        least = min(least, violation)
    return "unsat", "", f"least violation {least:.3g}"


def written(point: Array) -> str:
    """Write a point so that it reads back exactly."""
    return " ".join(repr(float(v)) for v in point)


def expected(vnnlib_path: str) -> str:
    """Verdict that a query's header states."""
    text = (FOLDER / vnnlib_path).read_text(encoding="utf-8")
    return text.split("; Expected: ")[1].split(".")[0]


def main(parts: list[str]) -> None:
    """Check the instances whose query's name contains one of the parts; write truth.csv when all were checked."""
    rows: list[tuple[Any, ...]] = []
    wrong = 0
    with open(FOLDER / "instances.csv", encoding="utf-8") as file:
        instances = list(csv.reader(file))
    for network, query, timeout in instances:
        if (parts and not any(part in query for part in parts)) or network.endswith(".nnet"):
            continue
        start = time.perf_counter()
        verdict, witness, remark = check(network, query)
        agrees = verdict == expected(query)
        wrong += not agrees
        mark = "" if agrees else f"   WRONG: the header says {expected(query)}"
        print(f"{query}: {verdict} ({remark}, {time.perf_counter() - start:.1f} s){mark}", flush=True)
        rows.append((network, query, timeout, verdict, witness))
    if wrong:
        sys.exit(f"{wrong} headers are wrong; truth.csv is left as it was.")
    if not parts:
        found = {row[1]: row[3:] for row in rows}
        with open(FOLDER / "truth.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows((*instance, *found[instance[1]]) for instance in instances)


if __name__ == "__main__":
    main(sys.argv[1:])
