"""Roots of the search: conjunctions bounded over their whole boxes, each closed or left open for branching."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slir_milp.bounding.kernel import Conjunction, End, Explorer, Settings
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.ranges import refuted_by_ranges
from slir_milp.bounding.region import Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Clause
from slir_milp.search.explore import multiplications_of, regions_are_dear
from slir_milp.search.frontier import Piece, Sides, Target
from slir_milp.search.journal import Journal
from slir_milp.search.settle import TIE, exact_rows, is_small
from slir_milp.search.state import STAGES, State
from slir_milp.search.target import Charges, Root, conjunction_of

_MOST_CUTS_TRIED = 16
_NEAR_TIE = 0.02
_SHARPENING = 1e8
"""Multiplications by the network's weights for which neurons of a root get bounds by an ascent of their own."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A conjunction bounded over its whole box.

    Attributes
    ----------
    region
        The box, with bounds of its neurons that hold for other conjunctions over it, too.
    conjunction
        The conjunction as the kernel reads it.
    record, sides, layout
        The region as the kernel stores it; no record if it is closed.
    """

    region: Region
    conjunction: Conjunction
    record: Vector | None
    sides: Sides
    layout: dict[str, int]


@dataclass(frozen=True, eq=False)
class Roots:
    """Bounds conjunctions over their boxes.

    Attributes
    ----------
    network
        The network.
    settings
        What the kernel may do there.
    state
        The run, for its limits and counts.
    bounds_close
        Whether a bound of the rows may close a conjunction, or a solver is to be asked.
    sharpened_neurons
        How many neurons get bounds by an ascent of their own.
    """

    network: Network
    settings: Settings
    state: State
    bounds_close: bool
    sharpened_neurons: int

    def bound(
        self,
        clause: Clause,
        root: Root,
        region: Region,
        charges: Charges,
        journal: Journal,
        *,
        shared: bool = False,
    ) -> Opened:
        """Bound one conjunction over a box.

        In a proof, bounds that several conjunctions share are found at the node where the box is known, and the
        conjunctions at nodes below it.

        Parameters
        ----------
        clause
            The conjunction, the cuts of its place entered.
        root, charges
            The box, and the rounding charges of a box that contains it.
        region
            The box with the bounds that other conjunctions over it have left; that of ``root`` if there are none.
        journal
            Takes what is done.
        shared
            Whether the bounds are to serve other conjunctions over the same box.
        """
        conjunction = conjunction_of(clause, root, charges.slack, self.settings.least_interval)

        def explorer_with(settings: Settings) -> Explorer:
            return journal.explorer(self.network, charges.slack, charges.compiled, conjunction, settings)

        # Bounds found with the help of rows on inputs alone hold for this conjunction only.
        is_general = bool(conjunction.rows.coefficients.any(axis=1).all())
        by_box = journal.is_kept and shared and is_general
        explorer = last = explorer_with(self.settings)
        at, limits, place = explorer.layout, self.state.limits, clause.place
        record, sides = explorer.record(region)
        if by_box:
            record[at["node"]] = place.box_node
            if region is root.region:
                journal.analyse(explorer, record, sides, limits, claim=False)
            # Neurons are left as they are from here on.
            last, record[at["settled"]] = (
                explorer_with(replace(self.settings, split_inputs=False)),
                len(self.network.layers),
            )
        tightened = replace(region, neurons=explorer.neurons(record)) if by_box else region
        record[at["node"]] = place.node
        end, value, *_ = journal.analyse(last, record, sides, limits, claim=self.bounds_close)
        if end not in STAGES and self.sharpened_neurons and self.settings.ascent_steps:
            record[at["node"]] = place.box_node if by_box else place.node
            end = self._sharpen(explorer, record, sides, journal, own=not by_box)
            if by_box:
                tightened = replace(region, neurons=explorer.neurons(record))
            record[at["node"]] = place.node
            if end not in STAGES and end is not End.STOPPED:
                end, value, *_ = journal.analyse(last, record, sides, limits, claim=self.bounds_close)
        if end not in STAGES and end is not End.STOPPED and self._is_beyond_ranges(clause, explorer, record, journal):
            self.state.counts.regions += 1
            self.state.counts.closed_by["exact"] += 1
            return Opened(tightened, conjunction, None, sides, at)
        if is_general and not by_box:
            tightened = replace(region, neurons=explorer.neurons(record))
        self.state.counts.regions += 1
        if end in STAGES and not (end is End.BOUND and not self.bounds_close):
            self.state.counts.closed_by[STAGES[end]] += 1
            return Opened(tightened, conjunction, None, sides, at)
        record[at["bound"]], record[at["settled"]] = value, 0.0
        return Opened(tightened, conjunction, record, sides, at)

    def _is_beyond_ranges(self, clause: Clause, explorer: Explorer, record: Vector, journal: Journal) -> bool:
        """Whether a strict row asks for what no activation gives: a tie that rounding alone leaves open."""
        if journal.is_kept or self.network.is_piecewise_linear or not is_small(self.network):
            return False
        if not any(row.strict for row in clause.rows):
            return False
        rows = exact_rows(clause.rows, self.network.input_size)
        return refuted_by_ranges(self.network, rows, clause.box.lower, clause.box.upper, explorer.neurons(record))

    def piece(self, clause: Clause, root: Root, opened: Opened, charges: Charges) -> Piece:
        """A conjunction that was left open, for the search."""
        record = np.array(opened.record)
        target = Target(
            clause.box,
            clause.rows,
            opened.conjunction,
            charges.slack,
            charges.compiled,
            root,
            record,
            self._settings(opened, float(record[opened.layout["bound"]])),
            opened.layout,
        )
        return Piece(target, record[None, :].copy(), opened.sides[None, :])

    def _settings(self, opened: Opened, bound: float) -> Settings:
        """Where a strict row makes ties decidable, and exact arithmetic is cheap, near ties are set aside early."""
        if not opened.conjunction.strict.any() or not is_small(self.network):
            return self.settings
        return replace(self.settings, tight_tolerance=max(_NEAR_TIE * abs(bound), TIE) if np.isfinite(bound) else 0.0)

    def _sharpen(self, explorer: Explorer, record: Vector, sides: Sides, journal: Journal, *, own: bool) -> End:
        """Sharpen a region; at a node that is not its own, or where a solver is to close it, nothing may be closed."""
        trial, branch = record.copy(), journal.branch()
        end = branch.sharpen(explorer, trial, sides, self.state.limits, most=self.sharpened_neurons)
        if journal.is_kept and end in STAGES and not (own and (self.bounds_close or end is not End.BOUND)):
            return End.OPEN
        branch.keep()
        record[:] = trial
        return end


def neurons_to_sharpen(network: Network) -> int:
    """How many neurons of a root get bounds by an ascent of their own: none where regions cost little."""
    return int(_SHARPENING / multiplications_of(network)) if regions_are_dear(network) else 0


def halves(network: Network, lower: Vector, upper: Vector) -> tuple[int, float] | None:
    """The input and the place where a box is best cut in two: where most of the result has finite charges."""
    middle, width = 0.5 * lower + 0.5 * upper, upper - lower
    best: tuple[int, float] | None = None
    score = (-1, 0.0)
    for q in np.argsort(-width)[:_MOST_CUTS_TRIED].tolist():
        if not lower[q] < middle[q] < upper[q]:
            continue
        boxes = cut_at(lower, upper, q, float(middle[q]))
        found = (sum(Charges.finite(slack(network, *box)) for box in boxes), float(width[q]))
        if found > score:
            best, score = (q, float(middle[q])), found
    return best


def cut_at(lower: Vector, upper: Vector, q: int, value: float) -> tuple[tuple[Vector, Vector], tuple[Vector, Vector]]:
    """Both parts of a box that is cut at a value of one input."""
    first, second = upper.copy(), lower.copy()
    first[q] = second[q] = value
    return (lower, first), (second, upper)
