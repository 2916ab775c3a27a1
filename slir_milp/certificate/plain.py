"""The plain checker: whether a proof of ``unsat`` about a network of hinges holds, in one file to be read in one go.

It follows the rules of :mod:`slir_milp.certificate.check` (Statements 1, 2, 3 and 5, proven in ``docs/proofs.md``; 4 is
about float64), and shares with it the readers of files and the form of entries, no more.  All numbers are rational,
nodes are closed one after another, and there are no curves.

A linear function is a *row*: its coefficients, and then its constant.  Whatever is known of a node holds at every
counterexample in it, that is, for every input that meets, with its outputs, all facts of the node.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from flint import fmpq, fmpq_mat, fmpz_mat

from slir_milp.certificate import format as form
from slir_milp.certificate.check import Files, Report
from slir_milp.certificate.check.network import read_network
from slir_milp.certificate.check.query import Question, read_query
from slir_milp.certificate.file import Header, open_proof
from slir_milp.certificate.format import Entry, Kind, RawEntry
from slir_milp.errors import OptionError, ProofError
from slir_milp.network.normal_form import Network
from slir_milp.query.formula import And, Formula, Or

Number: TypeAlias = Any  # a rational number of python-flint
Row: TypeAlias = list[Number]
ByNumber: TypeAlias = dict[int, Number]
Ends: TypeAlias = tuple[Row, Row]  # lower and upper ones
Line: TypeAlias = tuple[Number, Number]  # slope and offset
Box: TypeAlias = dict[tuple[int, bool], tuple[Number, int]]
"""Ends by input, and whether it is the lower one; (v, 0) is v, (v, 1) a little more than v, (v, -1) a little less."""
ZERO, ONE, TIE, EDGE, LEAST = fmpq(0), fmpq(1), 1 + fmpq(1, 2**20), fmpq(1, 2**64), fmpq(-(10**300))
BOUND_BITS, CHORD_BITS = 64, 40
SMALL = 2**15  # in a network of at most so many weights nothing need be rounded where a proof names fractions


def _number(value: Any) -> Number:
    """An integer, a fraction or a float64 number, exactly."""
    return fmpq(*value.as_integer_ratio())


def _by_number(index: Any, values: Any, divisors: Any = None) -> ByNumber:
    """Numbers from a list of an entry; of what is there twice the later one counts."""
    below = [1] * len(index) if divisors is None else divisors.tolist()
    return {i: _number(p) / q for i, p, q in zip(index.tolist(), values.tolist(), below, strict=True)}


def _short(value: Number, up: bool, bits: int = BOUND_BITS) -> Number:
    """A number of few bits just above or below, or lengths would multiply from layer to layer; itself if it is one."""
    if max(value.p.bit_length(), value.q.bit_length()) <= bits:
        return value
    scale = fmpq(2) ** (bits - value.p.bit_length() + value.q.bit_length())
    return fmpq((value * scale).ceil() if up else (value * scale).floor()) / scale


def _plus(row: Row, factor: Number, other: Row) -> Row:
    return [a + factor * b for a, b in zip(row, other, strict=True)]


def _put(row: Row, i: int, value: Number) -> Row:
    return [*row[:i], value, *row[i + 1 :]]


def _minus(row: Row) -> Row:
    return [-c for c in row]


def _least(row: Row, ends: Ends) -> Number:
    """The least value of a linear function of variables that lie between ends."""
    return sum((c * (low if c > 0 else up) for c, low, up in zip(row, *ends, strict=False) if c), row[-1])


# --- neurons ---------------------------------------------------------------------------------------------------------


class Hinge(NamedTuple):
    """The function ``left·z`` for ``z ≤ 0`` and ``right·z`` for ``z ≥ 0``."""

    left: Number
    right: Number

    def is_unstable(self, lower: Number, upper: Number) -> bool:
        """Whether it is bent between these bounds of ``z``."""
        return bool(lower < 0 < upper and self.left != self.right)

    def range(self, lower: Number, upper: Number) -> tuple[Number, Number]:
        """The least and the greatest value between two bounds: among those there and at zero between them."""
        values = [(self.left if z < 0 else self.right) * z for z in (lower, upper)] + [ZERO] * (lower < 0 < upper)
        return min(values), max(values)

    def lines(self, lower: Number, upper: Number, slope: Number | None, rounds: bool) -> tuple[Line, Line]:
        """A line below and one above it between two bounds; the one through the kink has ``slope``, if that is named.

        Statement 1: every slope will do, with the least (greatest) value of ``f(z) - slope·z`` as offset.  It is linear
        on either side of zero, so these are among its values at the bounds and at zero.
        """
        if not self.is_unstable(lower, upper):
            return ((self.right if lower >= 0 else self.left, ZERO),) * 2
        if slope is None:
            slope = self.right if upper > -lower * TIE else self.left
        chord = (self.right * upper - self.left * lower) / (upper - lower)
        chord = _short(chord, True, CHORD_BITS) if rounds else chord
        below, above = (slope, chord) if self.right > self.left else (chord, slope)
        least = min((self.left - below) * lower, (self.right - below) * upper, ZERO)
        most = max((self.left - above) * lower, (self.right - above) * upper, ZERO)
        return (below, least), (above, most)


class Net:
    """A network: of every neuron its argument, a row over what the layer below gives, and its function."""

    def __init__(self, network: Network) -> None:
        self.rows, self.hinges, self.layers = list[Row](), list[Hinge](), list[range]()
        for layer in network.layers:
            self.layers.append(range(len(self.rows), len(self.rows) + layer.size))
            self.rows += self._rows(layer.affine)
            slopes = zip(layer.negative_slope.tolist(), layer.positive_slope.tolist(), strict=True)
            self.hinges += [Hinge(_number(left), _number(right)) for left, right in slopes]
        self.output = self._rows(network.output)
        self.is_small = sum(affine.rows * affine.columns for affine in network.affines) <= SMALL

    @staticmethod
    def _rows(affine: Any) -> list[Row]:
        weights = getattr(affine.weight, "toarray", lambda: affine.weight)().tolist()  # (which may be sparse)
        return [[_number(c) for c in (*row, bias)] for row, bias in zip(weights, affine.bias.tolist(), strict=True)]


class Step:
    """Backward evaluation through one layer (Statement 2), with a line below and a line above each of its hinges.

    ``r·f(z)`` is at least ``r·below(z)`` for ``r ≥ 0`` and ``r·above(z)`` for ``r < 0``; both of these are
    ``r·below(z) + min(r, 0)·(above - below)(z)``.  And ``z`` is a row of the layer.
    """

    def __init__(self, rows: list[Row], lines: list[tuple[Line, Line]]) -> None:
        gaps = [(above[0] - below[0], above[1] - below[1]) for below, above in lines]
        self._below = [i for i, (below, _) in enumerate(lines) if any(below)]
        self._gaps = [i for i, gap in enumerate(gaps) if any(gap)]
        used = [(i, *lines[i][0]) for i in self._below] + [(i, *gaps[i]) for i in self._gaps]
        one = [ZERO] * (len(rows[0]) - 1) + [ONE]
        table = [_plus([slope * c for c in rows[i]], offset, one) for i, slope, offset in used]
        self._table, self._unit = fmpq_mat([*table, one]).numer_denom()

    @staticmethod
    def walk(steps: list[Step], rows: list[Row]) -> list[Row]:
        """From functions of the last layer's activations to functions of the inputs that are nowhere above."""
        table, unit = fmpq_mat(rows).numer_denom()  # (integers, in parts of a unit that all have in common)
        for step in reversed(steps):
            below, gaps, ints = step._below, step._gaps, table.tolist()
            wide: Any = [[r[i] for i in below] + [r[i] if r[i] < 0 else 0 for i in gaps] + r[-1:] for r in ints]
            table, unit = fmpz_mat(wide) * step._table, unit * step._unit
        return [[fmpq(c, unit) for c in row] for row in table.tolist()]


# --- a region --------------------------------------------------------------------------------------------------------


class Region:
    """The inputs in a box and in half-spaces ``row ≤ 0``, and bounds of all neurons there.

    It turns out to be empty as soon as a half-space excludes the box, or bounds exclude each other.
    """

    def __init__(self, net: Net, box: Ends, halves: list[Row], bounds: Ends | None, rounds: bool) -> None:
        self._net, self._box, self._halves, self._rounds, self._slopes = net, box, halves, rounds, ByNumber()
        self.is_empty = any(_least(half, box) > 0 for half in halves)
        self.bounds: Ends = ([], []) if bounds is None else (bounds[0].copy(), bounds[1].copy())
        for k, layer in () if bounds else enumerate(net.layers):  # the first bounds are by intervals alone
            ranges = self._ranges(k)
            for i in layer:
                low, up = self._interval(i, ranges)
                self.bounds[0].append(self._rounded(low, False))
                self.bounds[1].append(self._rounded(up, True))

    def tighten(self, first: int, until: int, slopes: ByNumber | None) -> None:
        """Bound the unstable neurons of layers ``first`` to ``until - 1``: by intervals, then by backward evaluation.

        Lines have the ``slopes`` that are named, now or, if none are now, last.
        """
        self._slopes = self._slopes if slopes is None else slopes
        steps = self.steps({}, 0, first)
        for k, layer in list(enumerate(self._net.layers))[first:until]:
            if self.is_empty:
                break
            ranges = self._ranges(k)
            for i in self._unstable(layer) if k else ():
                self._intersect(i, *self._interval(i, ranges))
            self.backward(self._unstable(layer), steps)
            steps += self.steps({}, k, k + 1)

    def backward(self, neurons: list[int], steps: list[Step], side: int = 0) -> None:
        """Bound neurons from below (``side`` 1), above (-1) or both (0) by steps through all layers below them."""
        rows = [self._net.rows[i] for i in neurons]
        found = [self.least(row) for row in Step.walk(steps, rows + [_minus(row) for row in rows])] if rows else []
        for i, below, above in zip(neurons, found, found[len(rows) :], strict=False):
            low, up = self.bounds[0][i], self.bounds[1][i]
            self._intersect(i, below if side >= 0 else low, -above if side <= 0 else up)

    def combine(self, row: Row, slopes: ByNumber, conditions: ByNumber) -> Row:
        """A function of the inputs that is nowhere above the sum of one of the last activations and ``conditions``.

        These are at most zero (Statement 3): ``μ·(z - upper)`` with ``μ > 0``, ``μ·(z - lower)`` with ``μ < 0``.
        """
        steps = self.steps(slopes, 0, len(self._net.layers))
        for step, layer in reversed(list(zip(steps, self._net.layers, strict=True))):
            (row,) = Step.walk([step], [row])
            for i in conditions.keys() & set(layer):
                row = _plus(row, conditions[i], self._net.rows[i])
                row[-1] -= conditions[i] * self.bounds[conditions[i] > 0][i]
        return row

    def least(self, row: Row) -> Number:
        """A lower bound over the box and the half-spaces, each added with its best multiplier β ≥ 0 (Statement 3).

        The minimum of ``row + β·half`` is concave in β and bent where a coefficient is zero: so one of these is best.
        """
        for half in self._halves:
            turns = [ZERO, *(-c / h for c, h in zip(row, half[:-1], strict=False) if c * h < 0)]
            row = max((_plus(row, beta, half) for beta in turns), key=self._over_box)
        return self._over_box(row)

    def half_space(self, row: Row) -> Row:
        """In short numbers a half-space that contains the given one, within the box."""
        if not self._rounds:
            return row
        short = [*(_short(c, False) for c in row[:-1]), ZERO]
        return [*short[:-1], _short(self._over_box(_plus(row, -ONE, short)), False)]

    def steps(self, slopes: ByNumber, first: int, until: int) -> list[Step]:
        """Steps through layers, by lines of the slopes named here, of those named before, or the usual ones."""
        slopes, steps = self._slopes | slopes, []
        for layer in self._net.layers[first:until]:
            ends = ((i, self._net.hinges[i], self.bounds[0][i], self.bounds[1][i]) for i in layer)
            lines = [hinge.lines(low, up, slopes.get(i), self._rounds) for i, hinge, low, up in ends]
            steps.append(Step(self._net.rows[layer.start : layer.stop], lines))
        return steps

    def _ranges(self, k: int) -> Ends:
        """Ranges of what the rows of layer k are about: of the inputs, or of the activations below."""
        layer, bounds = range(0) if not k else self._net.layers[k - 1], self.bounds
        found = [self._net.hinges[i].range(bounds[0][i], bounds[1][i]) for i in layer]
        return ([low for low, _ in found], [up for _, up in found]) if k else self._box

    def _interval(self, i: int, ranges: Ends) -> tuple[Number, Number]:
        return _least(self._net.rows[i], ranges), -_least(_minus(self._net.rows[i]), ranges)

    def _unstable(self, layer: range) -> list[int]:
        return [i for i in layer if self._net.hinges[i].is_unstable(self.bounds[0][i], self.bounds[1][i])]

    def _intersect(self, i: int, low: Number, up: Number) -> None:
        lower, upper = self.bounds
        low, up = max(lower[i], self._rounded(low, False)), min(upper[i], self._rounded(up, True))
        if low > up:
            self.is_empty = True
        else:
            lower[i], upper[i] = low, up

    def _over_box(self, row: Row) -> Number:
        return _least(row, self._box)

    def _rounded(self, bound: Number, up: bool) -> Number:
        """A bound, moved outward; from zero, too, as it was in the float64 arithmetic for which slopes were chosen."""
        return bound if not self._rounds else _short(bound, up) if bound else EDGE if up else -EDGE


# --- the tree --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """What is known of a node: box, asserted inequalities and alternatives, bounds of neurons, inherited half-space."""

    number: int
    box: Box
    atoms: tuple[int, ...] = ()
    pending: frozenset[int] = frozenset()
    bounds: Ends | None = None
    half: Row | None = None

    def cut(self, q: int, is_lower: bool, end: tuple[Number, int]) -> Node | None:
        """The part on one side of an end of input q; ``None`` if there is nothing there."""
        ends = end, self.box.get((q, is_lower), end)
        box = self.box | {(q, is_lower): max(ends) if is_lower else min(ends)}
        return None if (q, not is_lower) in box and box[q, True] > box[q, False] else replace(self, box=box)


class Tree:
    """The nodes of a proof, and how they are closed."""

    def __init__(self, network: Network, question: Question, entries: dict[int, list[RawEntry]], width: int) -> None:
        self._net, self._question, self._entries, self._width = Net(network), question, entries, width
        self._index = {id(part): i for i, part in (*enumerate(question.atoms), *enumerate(question.alternatives))}
        self._seen = set[int]()

    def root(self) -> Node | None:
        """The root asserts the formula, so every counterexample lies in it."""
        return self._asserted(Node(0, {}), self._question.formula)

    def close(self, node: Node) -> list[Node] | str:
        """Children that every counterexample of the node lies in one of (no children: it has none), or what fails."""
        if node.number in self._seen:
            raise ProofError(f"node {node.number} is the child of two nodes.")
        self._seen.add(node.number)
        entries = [form.unpack(raw, self._width) for raw in self._entries.get(node.number, ())]
        steps = [entry for entry in entries if entry.kind in (Kind.TIGHTEN, Kind.NEURON)]
        ends = [entry for entry in entries if entry.kind not in (Kind.TIGHTEN, Kind.NEURON)]
        if len(ends) > 1:
            raise ProofError(f"node {node.number} is closed or split more than once.")
        if not ends:
            return "it is left open"
        (end,) = ends
        if end.kind is Kind.CASES and not steps and end.first_layer == form.NO_LAYER:
            return self._cases(node, end)
        found, given = self._closed(node, steps, end, rounds=True), end.combination
        is_tie = given and (given.weight_fractions.index.size or given.lines.fractions.index.size)
        if isinstance(found, str) and is_tie and self._net.is_small:
            found = self._closed(node, steps, end, rounds=False)
        return found

    def _closed(self, node: Node, steps: list[Entry], end: Entry, rounds: bool) -> list[Node] | str:
        inputs, atoms = self._question.inputs, self._question.atoms
        if len(node.box) < 2 * inputs:
            raise ProofError(f"node {node.number} is to be bounded, but not every input has bounds there.")
        box = [node.box[q, True][0] for q in range(inputs)], [node.box[q, False][0] for q in range(inputs)]
        sums = [self._sum({i: ONE}) for i in node.atoms if len(atoms[i].terms) > 1 and atoms[i].terms[-1][0] < inputs]
        halves = [[*row[:inputs], row[-1]] for row in sums] + ([] if node.half is None else [node.half])
        region = Region(self._net, box, halves, node.bounds, rounds)
        for entry in (*steps, end):
            if entry.kind is Kind.NEURON:
                (i,), slopes = self._known({entry.index: ZERO}), self._slopes(entry.lines or form.NO_LINES)
                below = next(k for k, layer in enumerate(self._net.layers) if i in layer)
                region.backward([i], region.steps(slopes, 0, below), entry.side)
            else:
                start = None if entry.start is None else self._slopes(entry.start)
                region.tighten(entry.first_layer, entry.until, start)
        row, is_strict = (None, False) if end.combination is None else self._combined(region, node, end.combination)
        if region.is_empty:
            return []
        if end.kind is Kind.EMPTY:
            return "its bounds do not exclude each other"
        if end.kind is Kind.REFUTED:
            bound = LEAST if row is None else region.least(row)
            if bound > 0 or (bound == 0 and is_strict):
                return []
            return f"its combination is bounded by {float(max(bound, LEAST)):.3g} only"
        node = replace(node, bounds=region.bounds, half=node.half if row is None else region.half_space(row))
        return self._cases(node, end) if end.kind is Kind.CASES else self._split(node, end)

    def _combined(self, region: Region, node: Node, given: form.Combination) -> tuple[Row, bool]:
        """A function of the inputs that no counterexample makes positive (Statement 3), and whether nor even zero."""
        weights = _by_number(*given.weights) | _by_number(*given.weight_fractions)
        conditions = _by_number(*given.conditions) | _by_number(*given.condition_fractions)
        if not weights.keys() <= set(node.atoms):
            raise ProofError(f"node {node.number} uses an inequality that is not asserted in it.")
        if given.inherited and node.half is None:
            raise ProofError(f"node {node.number} uses a half-space, but inherits none.")
        total, inputs, output = self._sum(weights), self._question.inputs, self._net.output
        row = [*[ZERO] * (len(output[0]) - 1), total[-1]]
        for factor, of_output in zip(total[inputs:-1], output, strict=True):
            row = _plus(row, factor, of_output)
        row = region.combine(row, self._slopes(given.lines), self._known(conditions))
        row = _plus(row, ONE, [*total[:inputs], ZERO])
        row = row if node.half is None else _plus(row, _number(given.inherited), node.half)
        return row, any(weight > 0 and self._question.atoms[i].strict for i, weight in weights.items())

    def _sum(self, weights: ByNumber) -> Row:
        """A sum of multiples of inequalities, over inputs and outputs."""
        total = [ZERO] * (self._question.inputs + self._question.outputs + 1)
        for i, weight in weights.items():
            for variable, coefficient in (*self._question.atoms[i].terms, (-1, self._question.atoms[i].constant)):
                total[variable] += weight * _number(coefficient)
        return total

    def _split(self, node: Node, end: Entry) -> list[Node]:
        """Statement 5: every input, and every neuron's argument, is at most the value (first child), or at least."""
        value, q, is_input = _number(end.value), end.index, end.kind is Kind.SPLIT_INPUT
        what, count = ("input", self._question.inputs) if is_input else ("neuron", len(self._net.rows))
        if q >= count:
            raise ProofError(f"node {node.number} splits {what} {q}, but there are {count}.")
        below, above = (replace(node, number=end.first + side) for side in (0, 1))
        if is_input:
            sides = below.cut(q, False, (value, 0)), above.cut(q, True, (value, 0))
            return [side for side in sides if side is not None]
        lower, upper = node.bounds or ([], [])
        low, up = max(lower[q], value), min(upper[q], value)
        least = lower[q] - EDGE * (lower[q] == up)  # or it would be lost on which side of a kink at zero this is
        parts = [(below, least, up)] * (least <= up) + [(above, low, upper[q])] * (low <= upper[q])
        return [replace(part, bounds=(_put(lower, q, least), _put(upper, q, most))) for part, least, most in parts]

    def _cases(self, node: Node, end: Entry) -> list[Node] | str:
        """Statement 5: where an alternative is asserted, one of its parts holds."""
        if end.index not in node.pending:
            return f"alternative {end.index} is not asserted in it"
        node, parts = replace(node, pending=node.pending - {end.index}), self._question.alternatives[end.index].parts
        children = (self._asserted(replace(node, number=end.first + j), part) for j, part in enumerate(parts))
        return [child for child in children if child is not None]

    def _asserted(self, node: Node | None, formula: Formula) -> Node | None:
        """The node with a formula asserted besides; ``None`` if facts contradict each other."""
        if node is None or isinstance(formula, And):
            for part in formula.parts if isinstance(formula, And) else ():
                node = self._asserted(node, part)
            return node
        number = self._index[id(formula)]
        if isinstance(formula, Or):
            return replace(node, pending=node.pending | {number})
        node, constant = replace(node, atoms=(*node.atoms, number)), _number(formula.constant)
        if not formula.terms:
            return None if constant > 0 or (constant == 0 and formula.strict) else node
        (q, c), *others = formula.terms
        if others or q >= self._question.inputs:
            return node
        cut = node.cut(q, c < 0, (-constant / _number(c), formula.strict * (1 if c < 0 else -1)))
        return cut if cut is None or cut.box == node.box else replace(cut, bounds=None)

    def _slopes(self, lines: form.Lines) -> ByNumber:
        """Slopes that are named, by neuron."""
        shares = self._known(_by_number(*lines.shares))
        hinges = {i: self._net.hinges[i] for i in shares}
        slopes = {i: h.left + (h.right - h.left) * shares[i] / form.SHARES for i, h in hinges.items()}
        given = _by_number(*lines.slopes) | _by_number(*lines.fractions) | _by_number(*lines.pairs[:2])
        return slopes | self._known(given)

    def _known(self, named: ByNumber) -> ByNumber:
        if named and (last := max(named)) >= len(self._net.rows):
            raise ProofError(f"neuron {last} is named, but there are {len(self._net.rows)}.")
        return named


# --- the files -------------------------------------------------------------------------------------------------------


def check(files: Files, watch: Callable[[int, int], None] | None = None) -> Report:
    """Check a proof of ``unsat``; see :func:`slir_milp.certificate.check.check` for parameters and other errors.

    Theorem: if it is accepted, there is no counterexample.  For that would lie in the root, and then in one child after
    another, down to a node that is closed without children and so has none.

    Raises
    ------
    OptionError
        The claim or the network is not of the kind that is checked here.
    """
    started, nodes, leaves, failures = time.monotonic(), 0, 0, list[str]()
    with open_proof(files.proof) as (header, raw):
        (network, read_twice), question = read_network(files.network), read_query(files.query)
        _compare(header, network, question)
        entries: dict[int, list[RawEntry]] = {}
        for entry in raw:
            entries.setdefault(entry.node, []).append(entry)
    if any(entry.kind == Kind.REWRITE for entry in entries.get(0, ())):
        raise ProofError("it exchanges squares, which the plain checker does not know of; check without --plain.")
    tree = Tree(network, question, entries, header.index)
    todo = [node for node in (tree.root(),) if node is not None]
    while todo and not failures:
        node = todo.pop()
        found = tree.close(node)
        if isinstance(found, str):
            failures.append(f"node {node.number} cannot be confirmed: {found}.")
        else:
            todo, leaves = todo + found, leaves + (not found)
        nodes += 1
        if watch is not None:
            watch(nodes, leaves)
    seconds = time.monotonic() - started
    return Report("unsat", tuple(failures), nodes, leaves, 0, True, read_twice, seconds, header, plain=True)


def _compare(header: Header, network: Network, question: Question) -> None:
    """See that the proof is about these files, and that they are of the right kind."""
    for name, recorded, found in (
        ("network", header.network, network.sha256),
        ("query", header.query, question.sha256),
        ("activations", header.activations, ""),
    ):
        if recorded != found:
            raise ProofError(f"the proof is about another {name}: its SHA-256 is {recorded or 'none'}.")
    sizes = network.input_size, network.output_size
    layers = tuple(layer.size for layer in network.layers)
    are_equal = (header.inputs, header.outputs) == (question.inputs, question.outputs) == sizes
    if not are_equal or header.layers != layers:
        raise ProofError("the sizes of network, query and proof do not agree.")
    for what, is_there in (
        ("claims of sat", header.claim != "unsat"),
        ("curves", not network.is_piecewise_linear),
        ("weights known only to within a radius", not all(affine.is_exact for affine in network.affines)),
    ):
        if is_there:
            raise OptionError(f"the plain checker knows nothing of {what}; check without --plain.")
