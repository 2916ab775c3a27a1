"""How tight lines are, by the way in which a function is known: the best offset against the one that is proven.

    python benchmarks/offsets.py [--pairs N]

For each back end and function: random intervals and slopes, the excess of the proven offset over the true optimum (a
dense search, refined), greatest and mean; what the theorem promises; size and building time of the table; and the time
of one line in the NumPy reference and in the compiled code.  A second table: the area that starting slopes leave, in
excess of the least, and how many shifts they take.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import erf

from slir_milp.activations import shift
from slir_milp.activations.catalogue import curve_of
from slir_milp.activations.declared import Facts, declared_curve
from slir_milp.activations.offsets.critical_points import CriticalPoints
from slir_milp.activations.parse import parse
from slir_milp.activations.start import chord_slope, hand_crafted, least_area_above
from slir_milp.activations.table import Table
from slir_milp.activations.touch import touch_above

Vector = NDArray[np.float64]
INTERVAL = (-8.0, 8.0)
SAMPLES = 1024
WIDTH = (INTERVAL[1] - INTERVAL[0]) / (SAMPLES - 1)


@dataclass(frozen=True)
class Known:
    """A function and facts about it."""

    name: str
    formula: str
    function: Callable[[Vector], Vector]
    derivative: Callable[[Vector], Vector]
    slopes: tuple[float, float]
    seconds: tuple[float, float]
    inflections: tuple[float, ...]
    slope_formula: str


def _gelu(x: Vector) -> Vector:
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def _gelu_slope(x: Vector) -> Vector:
    return np.asarray(0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


FUNCTIONS = (
    Known(
        "tanh", "tanh(x)", np.tanh, lambda x: 1 / np.cosh(x) ** 2, (0.0, 1.0), (-0.77, 0.77), (0.0,), "1 - tanh(x)**2"
    ),
    Known(
        "gelu",
        "x * normal_cdf(x)",
        _gelu,
        _gelu_slope,
        (-0.129, 1.129),
        (-0.12, 0.8),
        (-math.sqrt(2), math.sqrt(2)),
        "normal_cdf(x) + x * exp(-x**2 / 2) / sqrt(2 * pi)",
    ),
    Known(
        "sin", "sin(x)", np.sin, np.cos, (-1.0, 1.0), (-1.0, 1.0), tuple(k * math.pi for k in range(-2, 3)), "cos(x)"
    ),
)


def back_ends(f: Known) -> dict[str, tuple[Callable[[], Table], float]]:
    """Tables by how the function is known, each with the excess that is promised."""
    bend = max(map(abs, f.seconds))

    def of(**facts: object) -> Callable[[], Table]:
        error = 2e-13 if f.name == "gelu" else 0.0  # cancellation in its left tail
        known = Facts(interval=INTERVAL, domain=INTERVAL, samples=SAMPLES, error=error, **facts)  # type: ignore[arg-type]
        return lambda: declared_curve(f"{f.name} again", f.function, known).table

    slope_error = (f.slopes[1] - f.slopes[0]) * WIDTH / 2
    return {
        "critical points (formula)": (CriticalPoints(parse(f.formula)).table, 1e-9),
        "derivative by formula": (of(derivative=f.slope_formula), bend * WIDTH**2 / 2),
        "inflections": (of(derivative=f.derivative, inflections=f.inflections), bend * WIDTH**2 / 2),
        "curvature": (of(curvature=f.seconds), (f.seconds[1] - f.seconds[0]) * WIDTH**2 / 8),
        "slope range": (of(slope_range=f.slopes), slope_error),
        "Lipschitz constant": (of(lipschitz=max(map(abs, f.slopes))), max(map(abs, f.slopes)) * WIDTH),
    }


def optimum(f: Callable[[Vector], Vector], slope: float, lower: float, upper: float) -> float:
    """The least offset above, to about 1e-15."""
    x = np.linspace(lower, upper, 4001)
    over = f(x) - slope * x
    i = int(over.argmax())
    a, b = x[max(i - 1, 0)], x[min(i + 1, len(x) - 1)]
    found = minimize_scalar(
        lambda t: slope * t - f(np.asarray(t)), bounds=(a, b), method="bounded", options={"xatol": 1e-12}
    )
    return max(float(over[i]), -float(found.fun))


def pairs(n: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Slopes and intervals."""
    return [(float(rng.uniform(-0.3, 1.2)), *np.sort(rng.uniform(-7.5, 7.5, 2)).tolist()) for _ in range(n)]


def offsets(n: int) -> None:
    """Print the first table."""
    heads = (
        "function",
        "known by",
        "segments",
        "built, ms",
        "excess, greatest",
        "mean",
        "promised",
        "NumPy, µs",
        "C, µs",
    )
    print("|", " | ".join(heads), "|")
    print("|" + "---|" * len(heads))
    for f in FUNCTIONS:
        cases = pairs(n, np.random.default_rng(0))
        best = np.array([optimum(f.function, *case) for case in cases])
        slope, lower, upper = np.array(cases).T
        for name, (make, promised) in back_ends(f).items():
            start = time.perf_counter()
            table = make()
            built = time.perf_counter() - start
            start = time.perf_counter()
            proven = np.array([touch_above(table, *case).offset for case in cases])
            reference = (time.perf_counter() - start) / n
            shift.above(table, lower[:1], upper[:1], slope[:1])
            start = time.perf_counter()
            shift.above(table, lower, upper, slope)
            compiled = (time.perf_counter() - start) / n
            excess = proven - best
            shown = f"{built * 1e3:.0f} | {excess.max():.1e} | {excess.mean():.1e} | {promised:.1e}"
            times = f"{reference * 1e6:.0f} | {compiled * 1e6:.2f}"
            print(f"| {f.name} | {name} | {table.segments} | {shown} | {times} |")


def _area(table: Table, lower: float, upper: float, height: float, slope: float) -> float:
    """Mean height of the line above the function."""
    return touch_above(table, slope, lower, upper).offset + slope * 0.5 * (lower + upper) - height


def starts(n: int) -> None:
    """Print the second table."""
    heads = "function", "least-area start, greatest excess", "mean", "shifts", "chord, mean", "hand-crafted, mean"
    print("|", " | ".join(heads), "|")
    print("|" + "---|" * len(heads))
    for name in ("tanh(x)", "sigmoid(x)", "x * normal_cdf(x)", "x * sigmoid(x)", "x * tanh(softplus(x))", "sin(x)"):
        formula = parse(name)
        table = curve_of(formula).table
        rows = []
        for _, lower, upper in pairs(n, np.random.default_rng(1)):
            height = float(formula(np.linspace(lower, upper, 2001)).mean())

            area = partial(_area, table, lower, upper, height)
            line = least_area_above(table, lower, upper)
            around = max(0.5, abs(line.slope))
            found = minimize_scalar(area, bounds=(line.slope - around, line.slope + around), method="bounded")
            least = min(float(found.fun), area(line.slope))
            chord, hand = area(chord_slope(table, lower, upper)), area(hand_crafted(table, lower, upper)[1])
            rows.append((area(line.slope) / least - 1, line.shifts, chord / least - 1, hand / least - 1))
        excess, shifts, chords, hands = np.array(rows).T
        print(
            f"| {name} | {excess.max():.1%} | {excess.mean():.2%} | {shifts.mean():.1f} "
            f"| {chords.mean():.0%} | {hands.mean():.0%} |"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300, help="intervals and slopes per row (default: %(default)s)")
    n = parser.parse_args().pairs
    offsets(n)
    print()
    starts(max(1, n // 3))


if __name__ == "__main__":
    main()
