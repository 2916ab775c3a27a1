"""What a run does to its regions, entered into its proof as it goes; a run without a proof enters nothing."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.kernel import Conjunction, End, Explorer, Settings
from slir_milp.bounding.magnitude import Slack
from slir_milp.certificate.format import Combination, Entry, Kind, Numbers, pack, ratios
from slir_milp.certificate.write import Branch, Sink
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Cut, Place
from slir_milp.search.limits import Limits

MARGIN = 4.0
"""How many times its rounding charge a bound has to exceed zero in a run with a proof: the checker rounds as well."""

Sides = NDArray[np.int8]
Analysis = tuple[End, float, Vector, Vector, Vector, Vector]


class Journal:
    """Entries of a proof, or of a part of it that may yet be dropped.

    It is also what an expansion of a query's alternatives is observed by (:class:`slir_milp.query.Observer`).

    Parameters
    ----------
    sink
        Where entries go; ``None`` if the run has no proof.
    width
        Bytes of a neuron's, atom's or input's number.
    """

    def __init__(self, sink: Sink | None = None, width: int = 2) -> None:
        self._sink, self._width = sink, width

    @property
    def is_kept(self) -> bool:
        """Whether there is a proof."""
        return self._sink is not None

    def enter(self, entry: Entry) -> None:
        """Add one entry."""
        if self._sink is not None:
            self._sink.append(pack(entry, self._width), 1)

    def branch(self) -> Journal:
        """A journal of its own for what may yet be dropped; see :meth:`keep`."""
        return self if self._sink is None else Journal(Branch(self._sink), self._width)

    def keep(self) -> None:
        """Hand over what a branch holds."""
        if isinstance(self._sink, Branch):
            self._sink.keep()

    # --- the kernel --------------------------------------------------------------------------------------------------

    def explorer(
        self, network: Network, slack: Slack, compiled: Any, conjunction: Conjunction, settings: Settings
    ) -> Explorer:
        """A kernel that logs, if there is a proof, what it does."""
        return Explorer(network, slack, compiled, conjunction, settings, log=self.is_kept, index_bytes=self._width)

    def analyse(
        self, explorer: Explorer, record: Vector, sides: Sides, limits: Limits, *, claim: bool = True
    ) -> Analysis:
        """:meth:`Explorer.analyse`, with what it logs."""
        result = explorer.analyse(record, sides, claim=claim, deadline=limits.deadline, cancel=limits.flag)
        self._take(explorer)
        return result

    def sharpen(self, explorer: Explorer, record: Vector, sides: Sides, limits: Limits, *, most: int) -> End:
        """:meth:`Explorer.sharpen`, with what it logs."""
        end = explorer.sharpen(record, sides, most=most, deadline=limits.deadline, cancel=limits.flag)
        self._take(explorer)
        return end

    def explore(
        self, explorer: Explorer, records: NDArray[np.float64], sides: Sides, limits: Limits, *, budget: int
    ) -> Any:
        """:meth:`Explorer.explore`, with what it logs."""
        if self._sink is not None:
            explorer.nodes_from(self._sink.reserve(2 * budget))
        result = explorer.explore(
            np.ascontiguousarray(records),
            np.ascontiguousarray(sides),
            budget=budget,
            deadline=limits.deadline,
            cancel=limits.flag,
        )
        self._take(explorer)
        return result

    def _take(self, explorer: Explorer) -> None:
        if self._sink is not None:
            self._sink.append(explorer.take_log())

    # --- what is done outside the kernel -----------------------------------------------------------------------------

    def cases(self, node: int, alternative: int, parts: int) -> int:
        """An alternative is expanded at a node; the first child."""
        first = self._sink.reserve(parts) if self._sink is not None else 0
        self.enter(Entry(Kind.CASES, node, index=alternative, first=first))
        return first

    def excluded(self, node: int, cuts: tuple[Cut, ...], weights: Mapping[int, Fraction]) -> bool:
        """Cuts, and a sum of rows on inputs alone that excludes what they leave, close a node, if there is room."""
        summands = ratios(weights)
        if summands is not None:
            left = self._cut(node, cuts)
            self.enter(Entry(Kind.REFUTED, left, combination=Combination(weight_fractions=summands)))
        return summands is not None

    def enter_cuts(self, place: Place) -> Place:
        """Make the cuts of a clause; its place with the node that is left."""
        if not place.cuts:
            return place
        node = self._cut(place.node, place.cuts)
        return Place(node, node, (), place.atoms)

    def halve(self, node: int, q: int, value: float) -> tuple[int, int]:
        """Cut a box in two; the nodes of what is below and of what is above."""
        first = self._sink.reserve(2) if self._sink is not None else 0
        self.enter(Entry(Kind.SPLIT_INPUT, node, index=q, value=value, first=first))
        return first, first + 1

    def _cut(self, node: int, cuts: tuple[Cut, ...]) -> int:
        for cut in cuts:
            below, above = self.halve(node, cut.input, cut.value)
            node, excluded = (below, above) if cut.above else (above, below)
            row = Numbers(np.array([cut.row], dtype=np.uint32), np.ones(1))
            self.enter(Entry(Kind.REFUTED, excluded, combination=Combination(row)))
        return node
