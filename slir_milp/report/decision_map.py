"""Which output a network prefers over a plane of two inputs, and where that is proven.

The plane is divided into cells, finer where the preferred output changes.  A cell belongs to the output that is least
(or greatest) at its centre; it is *proven* if sound bounds show that every other output is strictly worse, for every
value of the two inputs in the cell and every value of all other inputs in their ranges.  Each comparison of two outputs
is a row of its own for the kernel, which may divide the cell and the other inputs' ranges further on its own account.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.kernel import Conjunction, Explorer, Settings, compile_network
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.region import Region
from slir_milp.errors import OptionError
from slir_milp.network import Network
from slir_milp.network.affine import Vector

MOST_DEPTH = 12
_SAMPLES = 12
_AT_ONCE = 64


@dataclass(frozen=True)
class Plane:
    """The inputs of a map.

    Attributes
    ----------
    x, y
        The inputs that vary along the picture's axes.
    lower, upper
        Shape ``(inputs,)``: ranges of all inputs.
    """

    x: int
    y: int
    lower: Vector
    upper: Vector

    def box(self, cell: Cell) -> tuple[Vector, Vector]:
        """Ranges of all inputs within a cell; neighbours share their edges exactly."""
        low, high = self.lower.copy(), self.upper.copy()
        for axis, place in ((self.x, cell.column), (self.y, cell.row)):
            low[axis], high[axis] = (self._edge(axis, place + step, cell.depth) for step in (0, 1))
        return low, high

    def _edge(self, axis: int, place: int, depth: int) -> float:
        share = place / (1 << depth)  # exact
        low, high = float(self.lower[axis]), float(self.upper[axis])
        return high if share == 1.0 else low + (high - low) * share


@dataclass(frozen=True)
class Cell:
    """A part of the plane.

    Attributes
    ----------
    column, row, depth
        Its place among ``2**depth`` columns and as many rows, from the lower ends.
    best
        The output that is preferred at its centre.
    proven
        Whether no other output can be preferred anywhere in it.
    beaten
        Outputs that have been proven to be worse than ``best`` in all of it.
    """

    column: int
    row: int
    depth: int
    best: int = -1
    proven: bool = False
    beaten: frozenset[int] = frozenset()

    def parts(self) -> tuple[Cell, ...]:
        """Its four quarters; what is proven of it is true of them."""
        return tuple(
            Cell(2 * self.column + i, 2 * self.row + j, self.depth + 1, self.best, False, self.beaten)
            for j in (0, 1)
            for i in (0, 1)
        )


@dataclass(frozen=True)
class DecisionMap:
    """A plane divided into cells.

    Attributes
    ----------
    plane
        The inputs.
    outputs
        How many there are.
    least
        Whether the least output is preferred, or the greatest.
    cells
        They cover the plane and do not overlap.
    complete
        Whether every cell that is not proven is as small as was asked for; not so after a deadline or Ctrl-C.
    seconds
        Time it took.
    """

    plane: Plane
    outputs: int
    least: bool
    cells: tuple[Cell, ...]
    complete: bool
    seconds: float

    def shares(self) -> dict[int, tuple[float, float]]:
        """Share of the plane that belongs to each output, and the share in which that is proven."""
        found: dict[int, tuple[float, float]] = {}
        for cell in self.cells:
            area = 0.25**cell.depth
            all_of_it, proven = found.get(cell.best, (0.0, 0.0))
            found[cell.best] = (all_of_it + area, proven + area * cell.proven)
        return dict(sorted(found.items()))

    @property
    def proven_share(self) -> float:
        """Share of the plane in which the preferred output is proven."""
        return math.fsum(proven for _, proven in self.shares().values())


@dataclass(eq=False)
class _Comparisons:
    """The network laid out once for the whole plane, and the kernel for each pair of outputs in each thread."""

    network: Network
    plane: Plane
    least: bool
    effort: int
    deadline: float
    flag: NDArray[np.int32]
    _local: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        self._slack = slack(self.network, self.plane.lower, self.plane.upper)
        self._compiled = compile_network(self.network, self._slack)
        curved = not self.network.is_piecewise_linear
        self._settings = Settings(report_tight=False, least_interval=1e-6 if curved else 0.0)

    def preferred(self, points: Vector) -> NDArray[np.intp]:
        """Number of the preferred output at each point: a guess, since it is computed in floating point."""
        values = self.network(points)
        return np.asarray((np.argmin if self.least else np.argmax)(values, axis=1))

    def worse(self, other: int, best: int, low: Vector, high: Vector) -> bool:
        """Whether bounds prove one output strictly worse than another over a box."""
        explorer = self._explorer(other, best)
        record, sides = explorer.record(Region.box(low, high))
        left, _, leaves, _, candidate, _ = explorer.explore(
            record[None, :], sides[None, :], budget=self.effort, deadline=self.deadline, cancel=self.flag
        )
        return candidate is None and len(left) == 0 and len(leaves) == 0

    def _explorer(self, other: int, best: int) -> Explorer:
        """The kernel for the row that is not positive where ``other`` is as good as ``best``."""
        known: dict[tuple[int, int], Explorer] = self._local.__dict__.setdefault("explorers", {})
        if (other, best) not in known:
            row = np.zeros((1, self.network.output_size))
            row[0, other], row[0, best] = (1.0, -1.0) if self.least else (-1.0, 1.0)
            rows = Rows(row, None, np.zeros(1))
            conjunction = Conjunction(rows, np.zeros(1, dtype=np.bool_))
            known[other, best] = Explorer(self.network, self._slack, self._compiled, conjunction, self._settings)
        return known[other, best]


def decision_map(
    network: Network,
    plane: Plane,
    *,
    least: bool = True,
    depth: int = 7,
    effort: int = 200,
    jobs: int = 1,
    timeout: float | None = None,
    cancel: threading.Event | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> DecisionMap:
    """Divide a plane into cells.

    Parameters
    ----------
    network
        The network.
    plane
        The inputs.
    least
        Whether the least output is preferred, or the greatest.
    depth
        How often a cell is halved along both axes at most.
    effort
        Regions that a comparison of two outputs over a cell may take.
    jobs
        Threads.
    timeout
        Seconds after which cells are left as they are; ``None`` for no limit.
    cancel
        Set it from any thread to the same effect.
    progress
        Called with the share of the plane that is done and the number of cells, now and then, from this thread.

    Raises
    ------
    OptionError
        The plane does not fit the network, or the network has fewer than two outputs.
    """
    _check(network, plane, depth)
    started = time.monotonic()
    deadline = math.inf if timeout is None else started + timeout
    cancel, flag = cancel or threading.Event(), np.zeros(1, dtype=np.int32)
    comparisons = _Comparisons(network, plane, least, effort, deadline, flag)
    done: list[Cell] = []
    todo = [Cell(0, 0, 0)]
    stopped = False

    def over() -> bool:
        return cancel.is_set() or time.monotonic() > deadline

    def judged(cell: Cell) -> Cell:
        return cell if over() else _judge(comparisons, cell)

    with ThreadPoolExecutor(jobs) as pool:
        while todo and not stopped:
            following: list[Cell] = []
            for first in range(0, len(todo), _AT_ONCE):
                asked = [pool.submit(judged, cell) for cell in todo[first : first + _AT_ONCE]]
                for answer in asked:
                    while not answer.done() and not over():
                        time.sleep(0.002)
                    if over():
                        flag[0] = 1
                    cell = answer.result()
                    finished = cell.proven or cell.depth == depth
                    done += [cell] if finished else []
                    following += () if finished else (cell,)
                if progress is not None:
                    progress(sum(0.25**cell.depth for cell in done), len(done) + len(following))
                if over():
                    following += todo[first + _AT_ONCE :]
                    stopped = True
                    break
            if stopped:
                done += following
            else:
                todo = [part for cell in following for part in cell.parts()]
    cells = tuple(cell if cell.best >= 0 else _guessed(comparisons, cell) for cell in done)
    return DecisionMap(plane, network.output_size, least, cells, not stopped, time.monotonic() - started)


def _judge(comparisons: _Comparisons, cell: Cell) -> Cell:
    """Prove the output at a cell's centre the preferred one, unless a sample already tells that it is not."""
    low, high = comparisons.plane.box(cell)
    centre = 0.5 * low + 0.5 * high
    random = np.random.default_rng((cell.depth, cell.column, cell.row))
    samples = low + (high - low) * random.random((_SAMPLES, len(low)))
    found = comparisons.preferred(np.vstack([centre, np.minimum(samples, high)]))
    best = int(found[0])
    beaten = set(cell.beaten) if best == cell.best else set()
    if (found == best).all():
        for other in range(comparisons.network.output_size):
            if other != best and other not in beaten and comparisons.worse(other, best, low, high):
                beaten.add(other)
    proven = len(beaten) == comparisons.network.output_size - 1
    return Cell(cell.column, cell.row, cell.depth, best, proven, frozenset(beaten))


def _guessed(comparisons: _Comparisons, cell: Cell) -> Cell:
    low, high = comparisons.plane.box(cell)
    best = int(comparisons.preferred((0.5 * low + 0.5 * high)[None, :])[0])
    return Cell(cell.column, cell.row, cell.depth, best)


def _check(network: Network, plane: Plane, depth: int) -> None:
    inputs = network.input_size
    if network.output_size < 2:
        raise OptionError("a decision map needs a network of at least two outputs.")
    for axis in (plane.x, plane.y):
        if not 0 <= axis < inputs:
            raise OptionError(f"there is no input X_{axis}: the network has {inputs} inputs, from X_0 on.")
        if not plane.lower[axis] < plane.upper[axis]:
            raise OptionError(f"the range of X_{axis} is empty or reversed; give its lower end first.")
    if plane.x == plane.y:
        raise OptionError(f"both axes are X_{plane.x}; a map needs two inputs.")
    if not 1 <= depth <= MOST_DEPTH:
        raise OptionError(f"the depth must be a whole number from 1 to {MOST_DEPTH}, not {depth}.")


def plane_of(inputs: int, x: tuple[int, float, float], y: tuple[int, float, float],
             fixed: Sequence[tuple[int, float, float]]) -> Plane:  # fmt: skip
    """A plane from the ranges that a user gives.

    Parameters
    ----------
    inputs
        How many the network has.
    x, y, fixed
        An input, its lower and its upper end, each.

    Raises
    ------
    OptionError
        An input is named twice, or not at all, or a range is reversed.
    """
    lower, upper = np.full(inputs, np.nan), np.full(inputs, np.nan)
    for q, low, high in (x, y, *fixed):
        if not 0 <= q < inputs:
            raise OptionError(f"there is no input X_{q}: the network has {inputs} inputs, from X_0 on.")
        if not math.isnan(lower[q]):
            raise OptionError(f"the input X_{q} is given twice.")
        if low > high:
            raise OptionError(f"the range of X_{q} is reversed; give its lower end first.")
        lower[q], upper[q] = low, high
    missing = [f"X_{q}" for q in range(inputs) if math.isnan(lower[q])]
    if missing:
        names = ", ".join(missing[:5]) + (" and others" if len(missing) > 5 else "")
        raise OptionError(
            f"no value is given for {names}; add --fix {missing[0]}=VALUE or --fix {missing[0]}=LOW:HIGH."
        )
    return Plane(x[0], y[0], lower, upper)
