"""Certified ranges of a network's outputs, from both sides, for as long as one cares to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slir_milp.display import card, draw_intervals
from slir_milp.errors import OptionError
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Box
from slir_milp.search.verdict import MOST_JOBS, Reason, Statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Ranges:
    """What is known of the ranges of some functionals of the outputs over a set of inputs, ``k`` of them.

    The range of functional ``i`` goes from its least to its greatest value over the set.  Its least value lies in
    ``[lower[i], attained_lower[i]]`` and its greatest in ``[attained_upper[i], upper[i]]``, in real arithmetic: the
    outer ends are proven by bounds with all rounding charged, the inner ones by points that were evaluated exactly.

    Attributes
    ----------
    lower, upper
        Shape ``(k,)``: no value of the functional lies outside.
    attained_lower, attained_upper
        Shape ``(k,)``: the functional takes a value at most, and one at least, as large.  Plus and minus infinity where
        no point has been evaluated.
    lower_points, upper_points
        Shape ``(k, inputs)``: where; NaN where no point has been evaluated.
    names
        The functionals as text.
    tolerance
        What gap was asked for, as a share of the attained range's width.
    reason
        Why the run ended; ``None`` of a snapshot of a run that goes on.
    statistics
        Counts.
    """

    lower: Vector
    upper: Vector
    attained_lower: Vector
    attained_upper: Vector
    lower_points: NDArray[np.float64]
    upper_points: NDArray[np.float64]
    names: tuple[str, ...]
    tolerance: float
    reason: Reason | None
    statistics: Statistics

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "attained_lower", "attained_upper", "lower_points", "upper_points"):
            getattr(self, name).flags.writeable = False

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def gap(self) -> Vector:
        """Shape ``(k,)``: how far an outer end is from the inner one, at the worse of both ends."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.maximum(self.attained_lower - self.lower, self.upper - self.attained_upper))

    @property
    def relative_gap(self) -> Vector:
        """Shape ``(k,)``: the gap as a share of the attained range's width; zero where there is no gap at all."""
        width = self.attained_upper - self.attained_lower
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(self.gap == 0, 0.0, self.gap / np.maximum(width, 0.0))
        return np.where(np.isnan(share), np.inf, share)

    @property
    def is_within_tolerance(self) -> bool:
        """Whether every range is known as well as was asked for."""
        return self.reason is Reason.WITHIN_TOLERANCE

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """Name, outer and inner ends from left to right, and gap of every functional, as text.

        Outer ends are rounded outward, and inner ends inward, so that what is shown is true as well.
        """
        ends = (self.lower, self.attained_lower, self.attained_upper, self.upper)
        rounded = [[_rounded(value, up) for value in side] for side, up in zip(ends, _DIRECTIONS, strict=True)]
        return [
            (name, low, inner_low, inner_high, high, _share(gap))
            for name, low, inner_low, inner_high, high, gap in zip(
                self.names, *rounded, self.relative_gap.tolist(), strict=True
            )
        ]

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the ranges: a thick bar where values are attained, a thin one where they may be.

        Parameters
        ----------
        axes
            Where to draw; a new figure of matplotlib by default.

        Returns
        -------
        matplotlib.axes.Axes
            What was drawn on.

        Raises
        ------
        OptionError
            Matplotlib is not installed.
        """
        outer, inner = (self.lower, self.upper), (self.attained_lower, self.attained_upper)
        return draw_intervals(self.names, outer, inner, axes)

    def __repr__(self) -> str:
        return f"<Ranges of {len(self)}: {self.reason or 'still running'} ({self.statistics.seconds:.2f} s)>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        counts = self.statistics
        facts = [
            ("reason", str(self.reason or "still running")),
            ("regions", f"{counts.regions:,}"),
            ("seconds", f"{counts.seconds:.2f}"),
        ]
        return card("Ranges", facts, columns=COLUMNS, rows=self.rows())


COLUMNS = ("functional", "proven ≥", "attained ≤", "attained ≥", "proven ≤", "gap")
"""Heads of :meth:`Ranges.rows`."""

_DIRECTIONS = (False, True, False, True)
_DOWN, _UP = Context(prec=6, rounding=ROUND_FLOOR), Context(prec=6, rounding=ROUND_CEILING)


def _rounded(value: float, up: bool) -> str:
    return f"{(_UP if up else _DOWN).create_decimal(float(value)):g}"


def _share(gap: float) -> str:
    return f"{100 * gap:.2g} %" if gap < 10 else "large"


RangesCallback: TypeAlias = Callable[[Ranges], None]


@dataclass(frozen=True, eq=False)
class RangeQuestion:
    """What ranges are asked for, checked.

    Attributes
    ----------
    network
        The network.
    boxes
        The set of inputs: their union.
    functionals, constants
        Shapes ``(k, outputs)`` and ``(k,)``: the functionals ``functionals @ y + constants``.
    tolerance
        Share of an attained range's width that is good enough as its gap.
    memory_limit, jobs, seed
        See :class:`slir_milp.Options`.
    """

    network: Network
    boxes: tuple[Box, ...]
    functionals: NDArray[np.float64]
    constants: Vector
    tolerance: float
    memory_limit: int | None = None
    jobs: int = 0
    seed: int = 0
    deadline: float = float("inf")
    cancel: threading.Event = field(default_factory=threading.Event)
    progress: RangesCallback | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def names(self) -> tuple[str, ...]:
        """The functionals as text."""
        return tuple(map(functional_name, self.functionals, self.constants))


def bounds(
    network: Network,
    lower: ArrayLike | Iterable[Box],
    upper: ArrayLike | None = None,
    *,
    outputs: ArrayLike | None = None,
    constants: ArrayLike | None = None,
    tolerance: float = 1e-3,
    timeout: float | None = None,
    memory_limit: int | None = None,
    jobs: int = 0,
    seed: int = 0,
    progress: RangesCallback | None = None,
    cancel: threading.Event | None = None,
) -> Ranges:
    """Enclose the ranges of a network's outputs over a set of inputs.

    Branch and bound for the least and the greatest value of every functional, all at once, the widest gap first.  It
    may be ended at any time, by the clock, by ``cancel`` or by Ctrl-C, and returns what is known by then.

    Parameters
    ----------
    network
        The network, from :func:`slir_milp.load_network` or made by :meth:`slir_milp.Network.from_layers`.
    lower, upper
        Shape ``(inputs,)`` each: the ends of a box; or ``(boxes, inputs)``: of several, whose union is the set.  In
        place of both, boxes such as :meth:`slir_milp.Query.input_boxes` gives.
    outputs
        Shape ``(k, outputs)``: linear functionals of the outputs, one a row, or one of shape ``(outputs,)``.  By
        default every output by itself.
    constants
        Shape ``(k,)``: what is added to each; zero by default.
    tolerance
        A run ends when the gap of every range, at either end, is at most this share of the attained range's width.
        With zero it goes on until the gap is some 1e-10 of the values themselves, where rounding has the last word.
    timeout
        Seconds of wall time; ``None`` for no limit.
    memory_limit
        Bytes of resident memory; ``None`` for no limit.
    jobs
        Threads; 0 means one per available core.  With one job a run is reproducible, but for where the clock ends it.
    seed
        Seed of everything random.
    progress
        Called about ten times a second with what is known so far.
    cancel
        Set it from any thread to end the run.

    Returns
    -------
    Ranges
        Outer ends that are proven, and inner ends that are attained.

    Raises
    ------
    OptionError
        An argument does not fit the network or makes no sense.

    Notes
    -----
    The meaning is real arithmetic over the stored weights, as everywhere in this program.  Outer ends rest on the
    bounds that verdicts rest on; no proof is written.
    """
    started = time.monotonic()
    if not isinstance(network, Network):
        raise OptionError("bounds takes a network (from load_network), and then the ends of a box")
    _check(tolerance, timeout, memory_limit, jobs, seed)
    matrix, offsets = _functionals(network, outputs, constants)
    question = RangeQuestion(
        network,
        _boxes(network, lower, upper),
        matrix,
        offsets,
        float(tolerance),
        memory_limit,
        jobs,
        seed,
        float("inf") if timeout is None else started + timeout,
        cancel or threading.Event(),
        progress,
        started,
    )
    from slir_milp.search.bounding import Bounding

    return Bounding(question).run()


def functional_name(coefficients: Vector, constant: float) -> str:
    """A functional as text, such as ``Y_0 - 2*Y_3 + 0.5``; cut short if it has many terms."""
    shown = [j for j in range(len(coefficients)) if coefficients[j]]
    text = ""
    for j in shown[:4]:
        size, sign = abs(float(coefficients[j])), "-" if coefficients[j] < 0 else "+"
        term = f"Y_{j}" if size == 1 else f"{size:g}*Y_{j}"
        text += f" {sign} {term}" if text else f"{'-' if sign == '-' else ''}{term}"
    if len(shown) > 4:
        text += " + ..."
    if constant:
        text += f" {'-' if constant < 0 else '+'} {abs(float(constant)):g}"
    return text


def _check(tolerance: float, timeout: float | None, memory_limit: int | None, jobs: int, seed: int) -> None:
    if not (isinstance(tolerance, (int, float)) and 0 <= tolerance < float("inf")):
        raise OptionError(f"the tolerance must be a number that is not negative, not {tolerance}")
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise OptionError(f"the timeout must be a positive number of seconds, not {timeout}")
    if memory_limit is not None and memory_limit <= 0:
        raise OptionError(f"the memory limit must be positive, not {memory_limit}")
    if not isinstance(jobs, int) or not 0 <= jobs <= MOST_JOBS:
        raise OptionError(f"the number of jobs must be a whole number from 0 to {MOST_JOBS}, not {jobs}")
    if not isinstance(seed, int) or seed < 0:
        raise OptionError(f"the seed must be a whole number that is not negative, not {seed}")


def _numbers(what: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{what} must be numbers") from None
    if not np.isfinite(array).all():
        raise OptionError(f"{what} must be finite")
    return array


def _functionals(
    network: Network, outputs: ArrayLike | None, constants: ArrayLike | None
) -> tuple[NDArray[np.float64], Vector]:
    size = network.output_size
    matrix = np.eye(size) if outputs is None else np.atleast_2d(_numbers("the functionals of the outputs", outputs))
    if matrix.ndim != 2 or matrix.shape[1] != size or not len(matrix):
        raise OptionError(
            f"the functionals must have shape (k, {size}), a coefficient for every output in each row, "
            f"not {matrix.shape}"
        )
    empty = np.flatnonzero(~matrix.any(axis=1))
    if len(empty):
        raise OptionError(f"functional {empty[0]} has no coefficient but zero: it speaks of no output")
    offsets = np.zeros(len(matrix)) if constants is None else np.atleast_1d(_numbers("the constants", constants))
    if offsets.shape != (len(matrix),):
        raise OptionError(f"there must be a constant for each of {len(matrix)} functionals, not shape {offsets.shape}")
    return matrix, offsets


def _boxes(network: Network, lower: ArrayLike | Iterable[Box], upper: ArrayLike | None) -> tuple[Box, ...]:
    size = network.input_size
    if upper is None:
        boxes: Sequence[object] = tuple(lower) if isinstance(lower, Iterable) else ()
        if not boxes or not all(isinstance(box, Box) for box in boxes):
            raise OptionError("without upper ends, boxes must be given, as Query.input_boxes makes them")
        found = tuple(box for box in boxes if isinstance(box, Box))
        if any(len(box.lower_ends) != size for box in found):
            raise OptionError(f"the network takes {size} inputs, but a box has {len(found[0].lower_ends)}")
        return found
    low = np.atleast_2d(_numbers("the lower ends", lower))  # type: ignore[arg-type]
    high = np.atleast_2d(_numbers("the upper ends", upper))
    if low.shape != high.shape or low.ndim != 2 or low.shape[1] != size or not len(low):
        raise OptionError(
            f"the network takes {size} inputs: both ends must have shape ({size},) or (boxes, {size}), "
            f"not {low.shape} and {high.shape}"
        )
    wrong = np.argwhere(low > high)
    if len(wrong):
        box, q = wrong[0]
        raise OptionError(f"the lower end of input {q} is {low[box, q]:g}, above its upper end {high[box, q]:g}")
    ends = [[[(Fraction(float(value)), False) for value in row] for row in side] for side in (low, high)]
    return tuple(Box(tuple(a), tuple(b)) for a, b in zip(*ends, strict=True))
