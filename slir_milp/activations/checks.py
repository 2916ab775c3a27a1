"""What somebody declares of a function is checked before it is believed.

Sampling can refuse a declaration, never prove it; a refusal is certain up to the declared error of the function,
because every comparison allows for it.  Each check raises :class:`~slir_milp.errors.OptionError` with the place where
the declaration fails and the numbers there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from slir_milp.activations.formula import Formula
from slir_milp.activations.offsets.samples import Function, Samples, evaluate, take
from slir_milp.activations.table import Vector
from slir_milp.errors import OptionError

POINTS = 4001
"""How many places are looked at on a grid, and as many at random."""


def places(interval: tuple[float, float], extra: Iterable[float] = ()) -> Vector:
    """Where declarations are checked: evenly spread, random (the same every time), and extra points inside."""
    lower, upper = interval
    random = np.random.default_rng(0).uniform(lower, upper, POINTS)
    inside = [x for x in extra if lower <= x <= upper]
    return np.unique(np.concatenate([np.linspace(lower, upper, POINTS), random, inside]))


def far_places(interval: tuple[float, float], domain: tuple[float, float]) -> Vector:
    """Numbers beyond the sampled interval, ever farther, where the domain goes that far."""
    steps = (interval[1] - interval[0]) * 2.0 ** np.arange(-3, 24)
    x = np.concatenate([interval[0] - steps[::-1], interval[1] + steps])
    return x[(x > domain[0]) & (x < domain[1])]


def far_samples(function: Function, x: Vector, error: float) -> Samples:
    """Samples at those of the numbers where the function is finite."""
    with np.errstate(all="ignore"):
        kept = []
        for at in x.tolist():
            try:
                evaluate(function, np.array([at]))
            except OptionError:
                continue
            kept.append(at)
    return take(function, np.array(kept), error)


def check_values(name: str, samples: Samples, values: tuple[float, float]) -> None:
    """Refuse a range of values that a sample leaves."""
    wrong = (samples.low > values[1]) | (samples.high < values[0])
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise OptionError(
            f"activation {name}: its values were declared to lie in [{values[0]}, {values[1]}], "
            f"but at {samples.x[i]} it is {samples.value[i]}."
        )


def secants(samples: Samples) -> tuple[Vector, Vector]:
    """Bounds on the difference quotients of neighbouring samples."""
    width = np.diff(samples.x)
    with np.errstate(all="ignore"):
        least = (samples.low[1:] - samples.high[:-1]) / width
        most = (samples.high[1:] - samples.low[:-1]) / width
    return least - 2.0**-48 * np.abs(least), most + 2.0**-48 * np.abs(most)


def check_slopes(name: str, samples: Samples, low: Vector | float, high: Vector | float, declared: str) -> None:
    """Refuse slopes that two neighbouring samples contradict.

    Parameters
    ----------
    name
        Of the activation.
    samples
        At ``n`` points.
    low, high
        Bounds on the difference quotients, for all or for each of the ``n − 1`` segments.
    declared
        What was declared, as the end of "but declared was ...".
    """
    least, most = secants(samples)
    with np.errstate(all="ignore"):
        secant = np.diff(samples.value) / np.diff(samples.x)
    wrong = (least > high) | (most < low)
    if wrong.any():
        excess = np.where(wrong, np.maximum(secant - high, low - secant), -np.inf)
        i = int(excess.argmax())
        raise OptionError(
            f"activation {name}: between {samples.x[i]} and {samples.x[i + 1]} its slope is {secant[i]:.9g}, "
            f"but declared was {declared}."
        )


def check_curvature(name: str, samples: Samples, low: float, high: float) -> None:
    """Refuse second derivatives that three neighbouring samples contradict."""
    x = samples.x
    if len(x) < 3:
        return
    left, right, both = np.diff(x)[:-1], np.diff(x)[1:], x[2:] - x[:-2]
    slack = samples.high - samples.low
    second = 2 * (np.diff(samples.value)[1:] / right - np.diff(samples.value)[:-1] / left) / both
    slack = 2 * ((slack[1:-1] + slack[2:]) / right + (slack[1:-1] + slack[:-2]) / left) / both + 1e-9 * np.abs(second)
    excess = np.maximum(second - slack - high, low - second - slack)
    i = int(excess.argmax())
    if excess[i] > 0:
        raise OptionError(
            f"activation {name}: about {x[i + 1]} its second derivative is {second[i]:.9g}, "
            f"but declared was the range [{low}, {high}]."
        )


def check_derivative(name: str, function: Function, derivative: Function, x: Vector, error: float) -> None:
    """Refuse a derivative that is not the slope of the function over short distances."""
    step = 2.0**-16 * (1.0 + np.abs(x))
    ahead = x + step
    step = ahead - x
    near, far = (take(function, at, error) for at in (x, ahead))
    slopes = evaluate(derivative, x), evaluate(derivative, ahead)
    secant = (far.value - near.value) / step
    slack = (far.high - far.low + near.high - near.low) / step + 1e-5 * (1.0 + np.abs(slopes[0]) + np.abs(slopes[1]))
    excess = np.maximum(secant - np.maximum(*slopes), np.minimum(*slopes) - secant) - slack
    i = int(excess.argmax())
    if excess[i] > 0:
        raise OptionError(
            f"activation {name}: at {x[i]} its derivative was declared to be {slopes[0][i]:.9g}, "
            f"but between {x[i]} and {ahead[i]} its slope is {secant[i]:.9g}."
        )


def check_monotone(name: str, derivative: Function, x: Vector, inflections: Sequence[float], error: float) -> None:
    """Refuse inflections between which the derivative both rises and falls."""
    ends = [-np.inf, *inflections, np.inf]
    for lower, upper in pairwise(ends):
        here = x[(x >= lower) & (x <= upper)]
        if len(here) < 3:
            continue
        slope = take(derivative, here, error)
        rises = slope.low[1:] - slope.high[:-1] - 1e-12 * np.abs(slope.value[1:])
        falls = slope.low[:-1] - slope.high[1:] - 1e-12 * np.abs(slope.value[1:])
        if (rises > 0).any() and (falls > 0).any():
            against = falls if slope.value[-1] >= slope.value[0] else rises
            i = int(against.argmax())
            raise OptionError(
                f"activation {name}: no inflection was declared between {lower} and {upper}, but its derivative turns "
                f"there: it goes from {slope.value[i]:.9g} at {here[i]} to {slope.value[i + 1]:.9g} at {here[i + 1]}."
            )


def check_critical_points(
    name: str, samples: Samples, critical_points: Callable[[float], Sequence[float]], slopes: Sequence[float]
) -> None:
    """Refuse critical points that miss one: where the secants pass a slope, a point with that slope must be near."""
    x, secant = samples.x, np.diff(samples.value) / np.diff(samples.x)
    slack = (samples.high - samples.low)[1:] / np.diff(x) * 2 + 1e-9
    for slope in slopes:
        points = np.sort(np.asarray(critical_points(slope), dtype=np.float64))
        above, below = secant - slack > slope, secant + slack < slope
        for i in np.flatnonzero((above[:-1] & below[1:]) | (below[:-1] & above[1:])).tolist():
            # The derivative takes the slope between the first and the last of these three samples.
            reach = 1e-9 * (1.0 + abs(x[i + 1]))
            if not ((points >= x[i] - reach) & (points <= x[i + 2] + reach)).any():
                raise OptionError(
                    f"activation {name}: its derivative passes {slope:.9g} between {x[i]} and {x[i + 2]}, "
                    f"but the critical points for that slope were given as {points.tolist()}."
                )


def check_formula(
    name: str,
    formula: Formula,
    x: Vector,
    derivative: Formula | None,
    slopes: tuple[float, float] | None,
    seconds: tuple[float, float] | None,
) -> None:
    """Refuse what interval arithmetic disproves of a formula at some point; certain, whatever the rounding."""
    from slir_milp.activations.interval import down, enclose, interval, up

    def at(of: Formula, point: float) -> tuple[float, float]:
        low, high = enclose(of, interval(point, point))
        return down(low), up(high)

    first = formula.derivative
    checks = [(first, slopes, "slope"), (first.derivative, seconds, "second derivative")]
    for point in x.tolist():
        for of, declared, what in checks:
            if declared is not None:
                low, high = at(of, point)
                if low > declared[1] or high < declared[0]:
                    raise OptionError(
                        f"activation {name}: at {point} its {what} is {low:.9g}, "
                        f"but declared was the range [{declared[0]}, {declared[1]}]."
                    )
        if derivative is not None:
            (low, high), (claimed_low, claimed_high) = at(first, point), at(derivative, point)
            if low > claimed_high or high < claimed_low:
                raise OptionError(
                    f"activation {name}: at {point} its derivative was declared to be {claimed_low:.9g}, "
                    f"but it is {low:.9g}."
                )
