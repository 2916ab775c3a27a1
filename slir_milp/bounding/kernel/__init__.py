"""The compiled kernel: regions bounded, split and explored depth first, without the interpreter.

It computes what :mod:`slir_milp.bounding.backward` and :mod:`slir_milp.bounding.reference` say, within rounding, and
every bound it returns is sound by the same argument.  It is built once per instruction set and picks the best that
the processor has.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import Curve
from slir_milp.activations.shift import compiled
from slir_milp.bounding.backward import Rows, own_rounding
from slir_milp.bounding.kernel import _binding  # type: ignore[attr-defined]
from slir_milp.bounding.magnitude import Slack
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.network.affine import Affine, Vector, is_sparse
from slir_milp.network.normal_form import Layer, Network

LANES = 8

NEVER = np.zeros(1, dtype=np.int32)
"""A flag that nobody sets."""
NEVER.flags.writeable = False


class End(IntEnum):
    """How the kernel left a region."""

    OPEN = 0
    BOUND = 1
    INHERITED = 2
    EMPTY = 3
    LEAF = 4
    TIGHT = 5
    STOPPED = 6


@dataclass(frozen=True)
class Settings:
    """What the kernel may do in a region.

    Attributes
    ----------
    ascent_steps
        Steps of ascent over slopes, multipliers and weights after the first bound.
    first_step, decay
        Step ``t`` moves each hinge's slope by ``first_step·decay^t`` of its range, and the weights likewise.
    curve_step, curve_decay
        The same for the slopes of curves.
    patience
        After two steps the ascent goes on only while this many times the gain so far would make the bound positive.
    split_inputs, split_activations
        What a split may divide.
    warm_start
        Whether a region starts from its parent's best slopes and weights.
    interval_step
        Whether neuron bounds are first tightened by interval arithmetic.
    use_half_space
        Whether a region inherits its parent's refuting row.
    report_tight
        Whether regions that only rounding keeps open are set aside with the leaves, for exact arithmetic.
    tight_tolerance
        How far below zero, rounding apart, a bound may be for its region to be set aside too.
    hand_crafted
        Whether curves start from the usual tangents and chords instead of the lines of least area.
    least_interval
        A curve's interval is split only if it is wider than this share of its larger end (or of one).
    margin
        How many times its rounding charge a bound has to be past zero before it closes a region.  Whoever repeats the
        bound with other roundings is then sure to find it positive too.  With a margin, a bound of exactly zero closes
        nothing.
    """

    ascent_steps: int = 8
    first_step: float = 0.5
    decay: float = 0.7
    curve_step: float = 0.05
    curve_decay: float = 0.8
    patience: float = 6.0
    split_inputs: bool = True
    split_activations: bool = False
    warm_start: bool = False
    interval_step: bool = True
    use_half_space: bool = True
    report_tight: bool = True
    tight_tolerance: float = 0.0
    hand_crafted: bool = False
    least_interval: float = 0.0
    margin: float = 0.0


def _padded(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = matrix.shape
    wide = np.zeros((max(rows, 1), max(-(-columns // LANES) * LANES, LANES)))
    wide[:rows, :columns] = matrix
    return wide


def _map(affine: Affine, charge: Vector, layer: Layer | None, numbers: dict[Curve, int]) -> tuple[Any, ...]:
    weight = affine.weight
    dense, triple = None, None
    if isinstance(weight, np.ndarray):
        dense = _padded(weight)
    elif weight.nnz > 0.1 * affine.rows * affine.columns:
        dense = _padded(weight.toarray())
    else:
        weight = weight.copy()
        weight.sum_duplicates()
        triple = (weight.indptr.astype(np.int32), weight.indices.astype(np.int32), weight.data.astype(np.float64))
    plain = [np.ascontiguousarray(v, dtype=np.float64) if v is not None else None for v in (affine.bias, charge)]
    if layer is None:
        return (affine.rows, affine.columns, dense, triple, *plain, None, None, None)
    slopes = [np.ascontiguousarray(v, dtype=np.float64) for v in (layer.negative_slope, layer.positive_slope)]
    curve = None
    if layer.curves:
        curve = np.full(layer.size, -1, dtype=np.int32)
        for function, here in layer.curves:
            curve[here] = numbers.setdefault(function, len(numbers))
    return (affine.rows, affine.columns, dense, triple, *plain, *slopes, curve)


def compile_network(network: Network, slack: Slack) -> _binding.Net:
    """Lay a network out for the kernel; the result may be shared by any number of threads."""
    numbers: dict[Curve, int] = {}
    maps = [_map(layer.affine, slack.affine[k], layer, numbers) for k, layer in enumerate(network.layers)]
    maps.append(_map(network.output, slack.affine[-1], None, numbers))
    curves = [compiled(curve.table) for curve in numbers]
    return _binding.Net(maps, curves, np.ascontiguousarray(slack.inputs), slack.offset, slack.underflow)


@dataclass(frozen=True, eq=False)
class Conjunction:
    """Rows that a counterexample makes non-positive, all of them at once, as the kernel reads them.

    Attributes
    ----------
    rows
        The rows.
    strict
        Shape ``(rows,)``: which of them a counterexample makes negative.
    least_width
        Shape ``(inputs,)``: an input no wider than this is not split; ``None`` for zero.
    atoms, scales
        Shape ``(rows,)`` each, for a log: which inequality of the query each row is a multiple of, and by which
        positive factor; ``None`` for the rows' own numbers and for one.
    """

    rows: Rows
    strict: NDArray[np.bool_]
    least_width: Vector | None = None
    atoms: NDArray[np.uint32] | None = None
    scales: Vector | None = None


class Explorer:
    """The kernel at work on one conjunction, in one thread.

    Parameters
    ----------
    network, slack
        The network and the rounding charges of a box that contains every region to come.
    compiled
        ``compile_network(network, slack)``.
    conjunction
        The rows.
    settings
        What may be done in a region.
    variant
        Name of an instruction set from :func:`variants`; empty for the best.
    log
        Whether everything that is done to a region is logged as entries of a proof, see :meth:`take_log`.
    index_bytes
        How many bytes the number of a neuron, an input or an inequality takes there: 2 or 4.
    """

    def __init__(
        self,
        network: Network,
        slack: Slack,
        compiled: _binding.Net,
        conjunction: Conjunction,
        settings: Settings,
        variant: str = "",
        *,
        log: bool = False,
        index_bytes: int = 2,
    ) -> None:
        rows = conjunction.rows
        inputs = rows.inputs if rows.inputs is not None else np.zeros((len(rows), network.input_size))
        atoms = np.arange(len(rows)) if conjunction.atoms is None else conjunction.atoms
        scales = np.ones(len(rows)) if conjunction.scales is None else conjunction.scales
        self._space = _binding.Space(
            compiled,
            np.ascontiguousarray(rows.coefficients),
            np.ascontiguousarray(inputs),
            np.ascontiguousarray(rows.constants),
            np.ascontiguousarray(own_rounding(rows, network, slack)),
            np.ascontiguousarray(conjunction.strict, dtype=np.uint8),
            np.zeros(network.input_size) if conjunction.least_width is None else conjunction.least_width,
            settings.ascent_steps,
            settings.first_step,
            settings.decay,
            settings.curve_step,
            settings.curve_decay,
            settings.patience,
            settings.split_inputs,
            settings.split_activations,
            settings.warm_start,
            settings.interval_step,
            settings.use_half_space,
            settings.report_tight,
            settings.tight_tolerance,
            settings.hand_crafted,
            settings.least_interval,
            settings.margin,
            log,
            index_bytes,
            np.ascontiguousarray(atoms, dtype=np.uint32),
            np.ascontiguousarray(scales, dtype=np.float64),
            variant,
        )
        self._sizes = tuple(layer.size for layer in network.layers)
        self.layout: dict[str, int] = self._space.record_layout
        self.variant: str = self._space.variant

    def record(self, region: Region) -> tuple[Vector, NDArray[np.int8]]:
        """Lay a region out as the kernel stores it."""
        at, inputs, neurons = self.layout, len(region.lower), sum(self._sizes)
        record = np.zeros(at["size"])
        record[at["lower"] : at["lower"] + inputs] = region.lower
        record[at["upper"] : at["upper"] + inputs] = region.upper
        low = np.full(neurons, -np.inf) if region.neurons is None else np.concatenate([*region.neurons.lower, []])
        high = np.full(neurons, np.inf) if region.neurons is None else np.concatenate([*region.neurons.upper, []])
        record[at["neuron_lower"] : at["neuron_lower"] + neurons] = low
        record[at["neuron_upper"] : at["neuron_upper"] + neurons] = high
        if len(region.half_spaces):
            record[at["normal"] : at["normal"] + inputs] = region.half_spaces.normals[-1]
            record[at["offset"]] = region.half_spaces.offsets[-1]
            record[at["has_half_space"]] = 1.0
        record[at["volume"]] = 1.0
        record[at["bound"]] = -np.inf
        sides = np.zeros(neurons, dtype=np.int8)
        if region.sides is not None:
            sides[:] = np.concatenate([*region.sides, np.zeros(0, dtype=np.int8)])
        return record, sides

    def neurons(self, record: Vector) -> NeuronBounds:
        """Neuron bounds stored in a record."""
        at, ends = self.layout, np.cumsum(self._sizes)[:-1]
        count = sum(self._sizes)
        low = record[at["neuron_lower"] : at["neuron_lower"] + count]
        high = record[at["neuron_upper"] : at["neuron_upper"] + count]
        parts = (tuple(np.split(values.copy(), ends))[: len(self._sizes)] for values in (low, high))
        return NeuronBounds(*parts)

    def region(self, record: Vector, sides: NDArray[np.int8]) -> Region:
        """A record as a region, the inverse of :meth:`record`."""
        at = self.layout
        inputs = at["upper"] - at["lower"]
        ends = np.cumsum(self._sizes)[:-1]
        low, high = (record[at[name] : at[name] + inputs].copy() for name in ("lower", "upper"))
        half_spaces = HalfSpaces.none(inputs)
        if record[at["has_half_space"]]:
            normal = record[at["normal"] : at["normal"] + inputs].copy()
            half_spaces = HalfSpaces(normal[None, :], record[at["offset"] : at["offset"] + 1].copy())
        chosen = tuple(np.split(sides[: sum(self._sizes)].copy(), ends)) if sides.any() else None
        return Region(low, high, half_spaces, chosen, self.neurons(record))

    def nodes_from(self, first: int) -> None:
        """Number the regions that splits make from now on, two for each split; for the log."""
        self._space.next_node = first

    def take_log(self) -> bytes:
        """Entries of a proof for all that was done since the last call.

        The record of a region carries its number in the proof (``layout["node"]``).  Every region that is bounded ends
        in one entry: a split, a refutation, that it is empty, or, where it stays open without having been split, that
        its bounds were tightened.  A region whose work was stopped has none, and :meth:`descend` logs nothing.
        """
        return bytes(self._space.take_log())

    def analyse(
        self,
        record: Vector,
        sides: NDArray[np.int8],
        *,
        claim: bool = True,
        deadline: float = np.inf,
        cancel: NDArray[np.int32] = NEVER,
    ) -> tuple[End, float, Vector, Vector, Vector, Vector]:
        """Bound one region; its neuron bounds are tightened in the record.

        Parameters
        ----------
        record, sides
            The region, from :meth:`record`.
        claim
            Whether the log may say that a bound of the rows closes the region; without, the caller goes on with it.
        deadline, cancel
            As for :meth:`explore`; a region that is given up in the middle ends as :attr:`End.STOPPED`.

        Returns
        -------
        tuple
            How it ended, the best bound, the row ``normal, offset`` at the input that gave it, its minimiser, the
            slopes (shape ``(2, neurons)``, lower and upper lines; both that of the free line for a hinge) and the
            rows' weights.
        """
        end, value, row, minimiser, slopes, weights = self._space.analyse(record, sides, claim, deadline, cancel)
        return End(end), value, row, minimiser, slopes[:-1].reshape(2, -1), weights

    def sharpen(
        self,
        record: Vector,
        sides: NDArray[np.int8],
        *,
        most: int,
        steps: int = 4,
        deadline: float = np.inf,
        cancel: NDArray[np.int32] = NEVER,
    ) -> End:
        """Tighten the bounds of the neurons whose envelopes cost a region's bound most, each by an ascent of its own.

        Parameters
        ----------
        record, sides
            The region; the bounds in the record are tightened.
        most
            Greatest number of neurons.
        steps
            Steps of each ascent.
        deadline, cancel
            As for :meth:`explore`.

        Returns
        -------
        End
            ``OPEN`` or ``TIGHT`` if all is done; that the region is closed, or the work was stopped.
        """
        return End(self._space.sharpen(record, sides, most, steps, deadline, cancel))

    def descend(
        self, root: Vector, x: Vector, radius: float, steps: int, *, deadline: float, cancel: NDArray[np.int32]
    ) -> tuple[bool, Vector, float]:
        """Walk from ``x`` towards a point that meets every row, by minimising the relaxation in small boxes.

        Parameters
        ----------
        root
            Record of the region to stay in.
        x
            Where to start.
        radius
            Half width of the first box, relative to the root's width.
        steps
            Most boxes to look at.
        deadline, cancel
            As for :meth:`explore`.

        Returns
        -------
        tuple
            Whether the point reached meets every row in plain float64, the point, and its largest row value.
        """
        at = np.array(x, dtype=np.float64)
        found, margin = self._space.descend(root, at, radius, steps, deadline, cancel)
        return bool(found), at, float(margin)

    def evaluate(self, x: Vector) -> Vector:
        """Outputs at a point in plain float64: not a bound."""
        return np.asarray(self._space.evaluate(np.ascontiguousarray(x, dtype=np.float64)))

    def explore(
        self,
        records: NDArray[np.float64],
        sides: NDArray[np.int8],
        *,
        budget: int,
        deadline: float,
        cancel: NDArray[np.int32],
    ) -> Any:
        """Search depth first below some open regions, the last one first.

        Stops after ``budget`` regions, at ``deadline`` (on the clock of :func:`time.monotonic`), when ``cancel[0]``
        is set, or as soon as a candidate witness is met.

        Returns
        -------
        tuple
            Open records and sides, leaf records and sides, the candidate or ``None``, and the counts.
        """
        return self._space.explore(records, sides, budget, deadline, cancel)


def variants() -> list[str]:
    """Names of the instruction sets that this build and processor support, the preferred one first."""
    return list(_binding.available())


__all__ = ["Conjunction", "End", "Explorer", "Settings", "compile_network", "is_sparse", "variants"]
