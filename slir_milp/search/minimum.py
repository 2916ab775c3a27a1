"""The least value of one linear functional of the outputs: branch and bound, the region with the least bound first.

A *threshold* ``t`` lies a tolerance below the least value that is known to be attained.  The kernel is asked to refute
``functional ≤ t`` region by region, just as it refutes a row of a query: what it closes cannot hold a value below
``t``, and the point that it hands back where it cannot is a better value.  So the search for the minimum is a sequence
of queries whose threshold only falls.  That is what makes it right to keep, from one threshold to the next, all that
was found below an earlier one: half-spaces and neuron bounds hold for every point with ``functional ≤ t``, and all the
more for those below a lesser ``t``.

*What is certified.*  Let ``v`` be the bound of a region's row ``functional − t``.  A point of the region has either a
functional above some earlier threshold, which is at least ``t``, or one of at least ``t + v``.  So the least of ``t``
and of ``t + v`` over all regions that are not closed is a lower bound of the functional over the whole set.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.kernel import Conjunction, Explorer, Settings, compile_network
from slir_milp.bounding.magnitude import affine_interval, slack
from slir_milp.bounding.region import Region
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Box
from slir_milp.search.frontier import Records, Sides, Target
from slir_milp.search.limits import Limits
from slir_milp.search.roots import cut_at, halves
from slir_milp.search.target import Charges, Root, root_of

_MOST_DIVISIONS = 10
_SHARE_OF_TOLERANCE = 0.99
"""The threshold is a little nearer than the tolerance asks, so that rounding cannot spoil the end."""

_order = count()


@dataclass(frozen=True, eq=False)
class Patch:
    """A box that is made ready for bounding.

    Attributes
    ----------
    box
        The exact box that it is, or is a part of.
    root
        Interval bounds over the box, its region with the neuron bounds that were found there.
    charges
        Rounding charges of the box.
    """

    box: Box
    root: Root
    charges: Charges


def patches(network: Network, box: Box, settings: Settings, limits: Limits) -> Iterator[Patch]:
    """A box as one patch or, where some neuron is unbounded in it, as several that confine the poles to small ones."""
    todo = [(box.lower, box.upper, _MOST_DIVISIONS)]
    while todo:
        lower, upper, left = todo.pop()
        root = root_of(network, lower, upper)
        charge = slack(network, lower, upper)
        if not Charges.finite(charge):
            cut = halves(network, lower, upper) if left and limits.reached() is None else None
            if cut is not None:
                todo += [(low, high, left - 1) for low, high in cut_at(lower, upper, *cut)]
                continue
        charges = Charges(charge, compile_network(network, charge))
        if charges.are_finite:
            root = replace(root, region=_with_neurons(network, root.region, charges, settings, limits))
            charge = slack(network, lower, upper, root.region.neurons)
            charges = Charges(charge, compile_network(network, charge))
        yield Patch(box, root, charges)


def _with_neurons(network: Network, region: Region, charges: Charges, settings: Settings, limits: Limits) -> Region:
    """The region with neuron bounds by backward evaluation in place of those by intervals."""
    any_row = Conjunction(_functional(np.eye(1, network.output_size)[0], 0.0), np.zeros(1, dtype=bool))
    bare = replace(settings, ascent_steps=0)
    explorer = Explorer(network, charges.slack, charges.compiled, any_row, bare)
    record, sides = explorer.record(region)
    explorer.analyse(record, sides, deadline=limits.deadline, cancel=limits.flag)
    return replace(region, neurons=explorer.neurons(record))


def _functional(coefficients: Vector, constant: float) -> Rows:
    return Rows(np.array(coefficients)[None, :], None, np.array([constant]))


@dataclass(order=True)
class OpenPart:
    """An open region: a lower bound of the functional there, and the region as the kernel stores it.

    Attributes
    ----------
    bound
        The lower bound.
    number
        A number of its own, in the order in which they were made.
    record, sides
        The region.
    target
        What it is a region of.
    """

    bound: float
    number: int
    record: Vector = field(compare=False)
    sides: Sides = field(compare=False)
    target: Target = field(compare=False)


class Minimum:
    """The least value of a functional over some boxes, from both sides.

    Every method is to be called with the lock of the run held, but for :meth:`explorer`.

    Parameters
    ----------
    network
        The network, as it is bounded.
    coefficients, constant
        The functional ``coefficients @ y + constant``, exact float64 numbers.

    Attributes
    ----------
    best, point
        The least value that is known to be attained, rounded up, and where; infinite and ``None`` at first.
    lower
        What no value is below.
    gap_allowed
        How far ``best`` may be above ``lower`` in the end; it may only grow.
    regions
        Regions bounded so far.
    next_attack
        Regions after which the falsifier is called again.
    """

    def __init__(self, network: Network, coefficients: Vector, constant: float) -> None:
        self._network = network
        self.row = _functional(coefficients, constant)
        self.best = math.inf
        self.point: Vector | None = None
        self.lower = -math.inf
        self.gap_allowed = 0.0
        self.regions = 0
        self.next_attack = 0
        self._threshold = math.inf
        self._leaves = math.inf
        self._heap: list[OpenPart] = []
        self._busy: dict[int, float] = {}

    # --- from above --------------------------------------------------------------------------------------------------

    def offer(self, value: float, point: Vector) -> None:
        """Take in that a value is attained, or something less."""
        if value < self.best:
            self.best, self.point = value, point

    @property
    def threshold(self) -> float:
        """What regions have to exceed to be closed; infinite while no value is known."""
        wanted = self.best - _SHARE_OF_TOLERANCE * self.gap_allowed
        self._threshold = min(self._threshold, wanted)
        return self._threshold

    # --- from below --------------------------------------------------------------------------------------------------

    def cover(self, roots: Sequence[Root]) -> None:
        """Take in what intervals tell of the whole set: from now on there is a lower bound."""
        functional = Affine(self.row.coefficients, self.row.constants)
        lows = [affine_interval(functional, root.output_lower, root.output_upper)[0] for root in roots]
        self.lower = max(self.lower, min(float(low[0]) for low in lows))

    def give_up(self, bound: float) -> None:
        """Count a region among those that nothing more can be done about."""
        self._leaves = min(self._leaves, bound)

    def put(self, target: Target, records: Records, sides: Sides, threshold: float, least: float) -> None:
        """Add open regions, whose bounds were found with a threshold, and are parts of one with a bound."""
        at = target.layout["bound"]
        for record, side in zip(records, sides, strict=True):
            bound = max(least, above(threshold, float(record[at])))
            heapq.heappush(self._heap, OpenPart(bound, next(_order), record.copy(), side.copy(), target))

    def take(self) -> OpenPart | None:
        """The open region with the least bound, if it has to be split; :meth:`done` is to follow."""
        while self._heap:
            region = heapq.heappop(self._heap)
            if region.bound < self.threshold:  # the others need not be looked at any more
                self._busy[region.number] = region.bound
                return region
        return None

    def done(self, region: OpenPart) -> None:
        """Say that a region that was taken has been dealt with, and its parts put."""
        del self._busy[region.number]
        self.certify()

    def certify(self) -> None:
        """Bring the lower bound up to date; only right after every patch has been opened."""
        open_now = self._heap[0].bound if self._heap else math.inf
        known = min(open_now, self._leaves, self.threshold, *self._busy.values())
        self.lower = max(self.lower, known)

    # --- how far it is -----------------------------------------------------------------------------------------------

    @property
    def gap(self) -> float:
        """How far both sides are apart."""
        return self.best - self.lower if self.best < math.inf else math.inf

    @property
    def is_settled(self) -> bool:
        """Whether the gap is as small as it has to be."""
        return self.gap <= self.gap_allowed

    @property
    def has_work(self) -> bool:
        """Whether there is an open region to take."""
        return bool(self._heap) and not self.is_settled

    @property
    def is_worked_on(self) -> bool:
        """Whether some region is taken."""
        return bool(self._busy)

    def open_regions(self) -> int:
        """How many regions are open, those being worked on included."""
        return len(self._heap) + len(self._busy)

    def worst(self, most: int) -> list[OpenPart]:
        """Some of the open regions, those with the least bounds."""
        return heapq.nsmallest(most, self._heap)

    # --- bounding ----------------------------------------------------------------------------------------------------

    def target(self, patch: Patch, settings: Settings) -> Target:
        """The functional over a patch, with no threshold yet."""
        explorer = self._explorer(patch.charges, Conjunction(self.row, np.ones(1, dtype=bool)), settings)
        record, _ = explorer.record(patch.root.region)
        conjunction = Conjunction(
            self.row,
            np.ones(1, dtype=bool),
            settings.least_interval * (patch.root.region.upper - patch.root.region.lower),
        )
        return Target(
            patch.box,
            (),
            conjunction,
            patch.charges.slack,
            patch.charges.compiled,
            patch.root,
            record,
            settings,
            explorer.layout,
        )

    def explorer(self, target: Target, threshold: float, settings: Settings | None = None) -> Explorer:
        """The kernel, asked to refute that the functional is below a threshold somewhere in a target's box."""
        rows = self.row
        lowered = np.nextafter(rows.constants - threshold, -np.inf)
        conjunction = replace(target.conjunction, rows=replace(rows, constants=lowered))
        return self._explorer(Charges(target.slack, target.compiled), conjunction, settings or target.settings)

    def _explorer(self, charges: Charges, conjunction: Conjunction, settings: Settings) -> Explorer:
        return Explorer(self._network, charges.slack, charges.compiled, conjunction, settings)


def above(threshold: float, bound: float) -> float:
    """A lower bound of a functional, from the bound of its row with a threshold; rounded down."""
    return math.nextafter(threshold + min(bound, 0.0), -math.inf)


def below(threshold: float, bound: float) -> float:
    """The bound of a row with a threshold, from a lower bound of its functional: the inverse of :func:`above`."""
    return math.nextafter(bound - threshold, -math.inf)
