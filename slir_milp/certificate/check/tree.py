"""The tree of splits: every node is refuted, empty, or covered by its children.

Statement 5.  A counterexample in a node lies in one of its children: ``x ≤ v`` or ``x ≥ v`` for an input or for a
neuron, or one of the parts of an alternative that the formula asserts.  What is known of every counterexample in the
node (the box, bounds of neurons, a half-space) is known of it there too.  So if every leaf is refuted, no input meets
the formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from slir_milp.certificate import format as form
from slir_milp.certificate.check.arithmetic import Array, Balls, Exact, float_beyond, rational
from slir_milp.certificate.check.curves import lines_of
from slir_milp.certificate.check.lines import Activations, Slopes
from slir_milp.certificate.check.query import Question
from slir_milp.certificate.check.relaxation import Combination, Map, Region, Relaxation
from slir_milp.certificate.format import Entry, Kind
from slir_milp.errors import ProofError
from slir_milp.network.normal_form import Network
from slir_milp.query.formula import And, Atom, Formula, Or

End = tuple[Fraction, bool]
_STEPS = (Kind.TIGHTEN, Kind.NEURON)
_SMALL = 1 << 15
"""Most weights of a network whose ties are followed in numbers of any length."""
LEFT_OPEN = "it is left open"


@dataclass(frozen=True)
class Case:
    """What of the formula is asserted in a node: inequalities, and alternatives of which one part each must hold."""

    atoms: frozenset[int] = frozenset()
    pending: frozenset[int] = frozenset()
    halves: tuple[int, ...] = ()
    lower: tuple[End | None, ...] = ()
    upper: tuple[End | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Node:
    """A node that is to be closed; arrays without the axis of nodes (see :class:`.relaxation.Region`)."""

    number: int
    case: Case
    lower: Array
    upper: Array
    bounds: tuple[tuple[Array, Array], ...] | None = None
    half_space: tuple[Array, Any] | None = None


class Tree:
    """Nodes and how they are closed, in one arithmetic.

    Parameters
    ----------
    network, question
        The problem, read from its files.
    entries
        The entries of each node.
    numbers
        The arithmetic.
    """

    def __init__(
        self,
        network: Network,
        question: Question,
        entries: dict[int, list[form.RawEntry]],
        width: int,
        numbers: Balls | Exact,
    ) -> None:
        self._question, self._entries, self._width, self._numbers = question, entries, width, numbers
        self._maps = [Map(affine, numbers) for affine in network.affines]
        curves = {curve: lines_of(curve) for layer in network.layers for curve, _ in layer.curves}
        self._activations = [Activations(layer, numbers, curves) for layer in network.layers]
        self._first = np.cumsum([0, *(layer.size for layer in network.layers)])
        self._left = np.concatenate([*(a.negative for a in self._activations), numbers.array([])])
        self._right = np.concatenate([*(a.positive for a in self._activations), numbers.array([])])
        self._seen = set[int]()
        self._numbering = {id(part): i for i, part in enumerate(question.atoms)}
        self._numbering |= {id(part): i for i, part in enumerate(question.alternatives)}

    def root(self) -> Node | None:
        """The root; ``None`` if the formula contradicts itself at once."""
        unbounded = (None,) * self._question.inputs
        none = self._numbers.array(np.zeros(self._question.inputs))
        return self._child(Node(0, Case(lower=unbounded, upper=unbounded), none, none), 0, self._question.formula)

    def group(self, stack: list[Node], most: int) -> list[Node]:
        """Take nodes off a stack that can be closed together."""
        group = [stack.pop()]
        kind = self._kind(group[0])
        while kind is not None and stack and len(group) < most and self._kind(stack[-1]) == kind:
            group.append(stack.pop())
        return group

    def close(self, nodes: Sequence[Node]) -> Iterator[list[Node] | str]:
        """For each node of a group its children (none for a leaf), or why it cannot be closed."""
        found = [self._read(node) for node in nodes]
        steps, ends = [steps for steps, _ in found], [end for _, ends in found for end in ends]
        if not ends:
            yield LEFT_OPEN
            return
        if len(nodes) == 1 and not steps[0] and ends[0].kind is Kind.CASES and ends[0].first_layer == form.NO_LAYER:
            yield self._cases(nodes[0], ends[0])
            return
        relaxation = Relaxation(self._maps, self._activations, self._region(nodes))
        for step in steps[0] if len(nodes) == 1 else ():
            self._step(relaxation, step)
        first = np.array([end.first_layer for end in ends])
        relaxation.tighten(first, np.full(len(nodes), form.NO_LAYER), self._slopes([end.start for end in ends]))
        combined = None
        if any(end.combination is not None for end in ends):
            combined = relaxation.combine(*self._combination(nodes, [end.combination for end in ends]))
        for b, (node, end) in enumerate(zip(nodes, ends, strict=True)):
            yield self._closed(relaxation, combined, b, node, end)

    def is_tie(self, node: Node) -> bool:
        """Whether a node is closed by exact fractions, in a network so small that no number grows long."""
        if sum(len(map_.bias) * map_.columns for map_ in self._maps) > _SMALL:
            return False
        ends = [form.unpack(raw, self._width).combination for raw in self._entries.get(node.number, ())]
        return any(
            end is not None and (len(end.weight_fractions.index) or len(end.lines.fractions.index)) for end in ends
        )

    def _kind(self, node: Node) -> tuple[object, ...] | None:
        """Nodes of the same kind can be closed together; ``None``: alone."""
        entries = self._entries.get(node.number, ())
        if len(entries) != 1 or entries[0].kind in (Kind.CASES, *_STEPS):
            return None
        return node.case.halves, node.bounds is None

    def _read(self, node: Node) -> tuple[list[Entry], list[Entry]]:
        """Steps of a node and its end, if it has one."""
        if node.number in self._seen:
            raise ProofError(f"node {node.number} is the child of two nodes.")
        self._seen.add(node.number)
        found = [form.unpack(raw, self._width) for raw in self._entries.get(node.number, ())]
        ends = [entry for entry in found if entry.kind not in _STEPS]
        if len(ends) > 1:
            raise ProofError(f"node {node.number} is closed or split more than once.")
        return [entry for entry in found if entry.kind in _STEPS], ends

    # --- one node ----------------------------------------------------------------------------------------------------

    def _closed(
        self, relaxation: Relaxation, combined: tuple[Array, Array, Array] | None, b: int, node: Node, end: Entry
    ) -> list[Node] | str:
        if relaxation.closed[b]:
            return []
        if end.kind is Kind.EMPTY:
            return "its bounds do not exclude each other"
        if end.kind is Kind.REFUTED and combined is not None and end.combination is not None:
            bound = combined[2][b]
            if bound > 0 or (bound >= 0 and self._some_strict(end.combination)):
                return []
            return f"its combination is bounded by {float(bound):.3g} only"
        region = relaxation.region
        bounds = tuple((lower[b], upper[b]) for lower, upper in region.bounds)
        node = replace(node, bounds=bounds)
        if end.kind is Kind.CASES:
            return self._cases(node, end)
        if combined is not None and end.combination is not None and combined[1][b] - combined[1][b] == 0:  # (finite)
            node = replace(node, half_space=(combined[0][b], combined[1][b]))
        return self._split(node, end)

    def _split(self, node: Node, end: Entry) -> list[Node]:
        """Both sides of a split (Statement 5); a side without a point is left out."""
        value = self._numbers.array(end.value)[()]
        if end.kind is Kind.SPLIT_INPUT:
            q = self._checked(end.index, len(node.lower), "input", node)
            lower, upper = node.lower.copy(), node.upper.copy()
            lower[q], upper[q] = max(lower[q], value), min(upper[q], value)
            sides = replace(node, number=end.first, upper=upper), replace(node, number=end.first + 1, lower=lower)
            return [side for side in sides if (side.lower <= side.upper).all()]
        neuron = self._checked(end.index, int(self._first[-1]), "neuron", node)
        k = int(np.searchsorted(self._first, neuron, side="right")) - 1
        bounds = list(node.bounds or ())
        lower, upper = (bound.copy() for bound in bounds[k])
        i = neuron - int(self._first[k])
        lower[i], upper[i] = max(lower[i], value), min(upper[i], value)
        halves = ((bounds[k][0], upper), (lower, bounds[k][1]))
        return [
            replace(node, number=end.first + side, bounds=(*bounds[:k], half, *bounds[k + 1 :]))
            for side, half in enumerate(halves)
            if half[0][i] <= half[1][i]
        ]

    def _cases(self, node: Node, end: Entry) -> list[Node] | str:
        if end.kind is not Kind.CASES:
            return "it is taken together with another kind of node"
        if end.index not in node.case.pending:
            return f"alternative {end.index} is not asserted in it"
        alternative = self._question.alternatives[end.index]
        rest = replace(node, case=replace(node.case, pending=node.case.pending - {end.index}))
        children = (self._child(rest, end.first + j, part) for j, part in enumerate(alternative.parts))
        return [child for child in children if child is not None]

    def _child(self, node: Node, number: int, formula: Formula) -> Node | None:
        """The node with a formula asserted besides; ``None`` if what is asserted contradicts itself."""
        case = node.case
        atoms, pending, halves = set(case.atoms), set(case.pending), list(case.halves)
        lower, upper, inputs = list(case.lower), list(case.upper), self._question.inputs
        todo: list[Formula] = [formula]
        while todo:
            part = todo.pop()
            if isinstance(part, And):
                todo.extend(reversed(part.parts))
                continue
            if isinstance(part, Or):
                pending.add(self._numbering[id(part)])
                continue
            atoms.add(self._numbering[id(part)])
            if not part.terms:
                if part.constant > 0 or (part.constant == 0 and part.strict):
                    return None
            elif len(part.terms) == 1 and part.terms[0][0] < inputs:
                _cut(lower, upper, part)
            elif part.terms[-1][0] < inputs:
                halves.append(self._numbering[id(part)])
        if any(
            a and b and (a[0] > b[0] or (a[0] == b[0] and (a[1] or b[1]))) for a, b in zip(lower, upper, strict=True)
        ):
            return None
        asserted = Case(frozenset(atoms), frozenset(pending), tuple(halves), tuple(lower), tuple(upper))
        if (asserted.lower, asserted.upper) == (case.lower, case.upper):
            return replace(node, number=number, case=asserted)
        if None in asserted.lower or None in asserted.upper:
            return replace(node, number=number, case=asserted, bounds=None)
        known = None not in case.lower and None not in case.upper
        low, high = (self._ends(ends, up) for ends, up in ((asserted.lower, False), (asserted.upper, True)))
        low, high = (np.maximum(low, node.lower), np.minimum(high, node.upper)) if known else (low, high)
        return Node(number, asserted, low, high, None, node.half_space)

    def _ends(self, ends: Iterable[End | None], up: bool) -> Array:
        exact = [rational(end[0]) for end in ends if end is not None]
        if isinstance(self._numbers, Exact):
            return self._numbers.array(np.array([*exact, None], dtype=object)[:-1])
        return np.array([float_beyond(end, up) for end in exact])

    def converted(self, node: Node) -> Node:
        """A node of another arithmetic, in this one: rounded outward, or with the exact ends of its case."""

        def moved(values: Array, up: bool) -> Array:
            if isinstance(self._numbers, Exact):
                return self._numbers.array(values)
            return np.array([float_beyond(value, up) for value in values.tolist()])

        lower, upper = moved(node.lower, False), moved(node.upper, True)
        if isinstance(self._numbers, Exact) and None not in node.case.lower and None not in node.case.upper:
            lower = np.maximum(lower, self._ends(node.case.lower, False))
            upper = np.minimum(upper, self._ends(node.case.upper, True))
        bounds = None if node.bounds is None else tuple((moved(a, False), moved(b, True)) for a, b in node.bounds)
        half_space = node.half_space
        if half_space is not None:
            exact = [rational(value) for value in half_space[0].tolist()]
            normal = self._numbers.nearest([Fraction(int(value.p), int(value.q)) for value in exact])
            normal = normal if isinstance(self._numbers, Exact) else np.nan_to_num(normal, nan=0.0)
            ends = zip(exact, normal.tolist(), node.lower.tolist(), node.upper.tolist(), strict=True)
            lost = sum(abs(q - rational(n)) * max(abs(rational(a)), abs(rational(b))) for q, n, a, b in ends)
            half_space = normal, moved(np.array([rational(half_space[1]) - lost, None], dtype=object)[:1], False)[0]
        return replace(node, lower=lower, upper=upper, bounds=bounds, half_space=half_space)

    # --- arrays for a group of nodes ---------------------------------------------------------------------------------

    def _region(self, nodes: Sequence[Node]) -> Region:
        case, numbers = nodes[0].case, self._numbers
        for node in nodes:
            if None in node.case.lower or None in node.case.upper:
                raise ProofError(f"node {node.number} is to be bounded, but not every input has bounds there.")
        lower, upper = np.array([node.lower for node in nodes]), np.array([node.upper for node in nodes])
        layers = [] if nodes[0].bounds is None else zip(*(node.bounds or () for node in nodes), strict=True)
        bounds = [(np.array([low for low, _ in layer]), np.array([high for _, high in layer])) for layer in layers]
        zero = 0 * lower[0]
        spaces = [node.half_space or (zero, zero.sum()) for node in nodes]
        normal = np.array([normal for normal, _ in spaces])
        offset = numbers.array(np.array([*(offset for _, offset in spaces), None], dtype=object)[:-1])
        inherited = np.array([node.half_space is not None for node in nodes])
        normals, _, offsets = self._rows(case.halves)
        return Region(lower, upper, bounds, normal, offset, inherited, normals, offsets)

    def _rows(self, atoms: Sequence[int]) -> tuple[Array, Array, Array]:
        """Coefficients of inputs and of outputs, and constants, of some inequalities."""
        inputs, outputs = self._question.inputs, self._question.outputs
        table = np.full((len(atoms), inputs + outputs + 1), Fraction(0), dtype=object)
        for row, number in zip(table, atoms, strict=True):
            atom: Atom = self._question.atoms[number]
            row[-1] = atom.constant
            for variable, coefficient in atom.terms:
                row[variable] = coefficient
        found = self._numbers.nearest(table.ravel().tolist()).reshape(table.shape)
        return found[:, :inputs], found[:, inputs:-1], found[:, -1]

    def _flat(self, nodes: int) -> Array:
        return self._numbers.array(np.zeros((nodes, int(self._first[-1]))))

    def _layers(self, flat: Array) -> list[Array]:
        return [flat[:, a:b] for a, b in pairwise(self._first.tolist())]

    def _slopes(self, named: Sequence[form.Lines | None]) -> list[Slopes | None] | None:
        """Slopes by layer; ``None`` if nothing is said of any."""
        if all(lines is None for lines in named):
            return None
        lower, upper = self._flat(len(named)), self._flat(len(named))
        known = np.zeros(lower.shape, dtype=bool)
        for b, lines in enumerate(named):
            if lines is None:
                continue
            for index, low, high in self._given(lines):
                lower[b, index], upper[b, index], known[b, index] = low, high, True
        layers = zip(self._layers(known), self._layers(lower), self._layers(upper), strict=True)
        return [Slopes(*layer) if layer[0].any() else None for layer in layers]

    def _given(self, lines: form.Lines) -> Iterator[tuple[Any, Array, Array]]:
        """Neurons and the slopes of their lower and upper lines, in the ways that a proof may give them."""
        if len(lines.shares.index):
            index = self._neurons(lines.shares.index)
            left, right = self._left[index], self._right[index]
            slope = left + (right - left) * self._numbers.array(lines.shares.k / float(form.SHARES))
            yield index, slope, slope
        if len(lines.slopes.index):
            slope = self._numbers.array(lines.slopes.value)
            yield self._neurons(lines.slopes.index), slope, slope
        if len(lines.fractions.index):
            slope = self._ratios(lines.fractions)
            yield self._neurons(lines.fractions.index), slope, slope
        if len(lines.pairs.index):
            yield self._neurons(lines.pairs.index), *map(self._numbers.array, lines.pairs[1:])

    def _combination(
        self, nodes: Sequence[Node], given: Sequence[form.Combination | None]
    ) -> tuple[Combination, list[Slopes | None]]:
        none = form.Combination()
        chosen = [combination or none for combination in given]
        numbers = [np.concatenate([c.weights.index, c.weight_fractions.index]).tolist() for c in chosen]
        for node, wanted in zip(nodes, numbers, strict=True):
            if not node.case.atoms.issuperset(wanted):
                raise ProofError(f"node {node.number} uses an inequality that is not asserted in it.")
        atoms = sorted(set().union(*map(set, numbers)))
        weights = self._numbers.array(np.zeros((len(nodes), len(atoms))))
        inherited = self._numbers.array([c.inherited for c in chosen])
        multipliers = self._flat(len(nodes))
        for b, c in enumerate(chosen):
            if c.inherited and nodes[b].half_space is None:
                raise ProofError(f"node {nodes[b].number} uses a half-space, but inherits none.")
            weights[b, np.searchsorted(atoms, c.weights.index)] = self._numbers.array(c.weights.value)
            if len(c.weight_fractions.index):
                weights[b, np.searchsorted(atoms, c.weight_fractions.index)] = self._ratios(c.weight_fractions)
            if len(c.conditions.index):
                multipliers[b, self._neurons(c.conditions.index)] = self._numbers.array(c.conditions.value)
            if len(c.condition_fractions.index):
                multipliers[b, self._neurons(c.condition_fractions.index)] = self._ratios(c.condition_fractions)
        some = any(len(c.conditions.index) + len(c.condition_fractions.index) for c in chosen)
        inputs, outputs, constants = self._rows(atoms)
        combination = Combination(
            weights, inputs, outputs, constants, inherited, self._layers(multipliers) if some else None
        )
        return combination, self._slopes([c.lines for c in chosen]) or []

    def _step(self, relaxation: Relaxation, step: Entry) -> None:
        if step.kind is Kind.TIGHTEN:
            first, until = np.array([step.first_layer]), np.array([step.until])
            relaxation.tighten(first, until, self._slopes([step.start]))
            return
        relaxation.make_lines()
        neuron = int(self._neurons(np.array([step.index]))[0])
        k = int(np.searchsorted(self._first, neuron, side="right")) - 1
        slopes = self._slopes([step.lines or form.NO_LINES]) or []
        relaxation.neuron(k, neuron - int(self._first[k]), step.side, slopes)

    def _neurons(self, index: Any) -> Any:
        if len(index) and index.max() >= self._first[-1]:
            raise ProofError(f"neuron {index.max()} is named, but there are {self._first[-1]}.")
        return index

    def _ratios(self, ratios: form.Ratios) -> Array:
        return self._numbers.nearest([Fraction(int(p), int(q)) for p, q in zip(ratios.p, ratios.q, strict=True)])

    def _some_strict(self, combination: form.Combination) -> bool:
        """Whether some inequality with a positive weight excludes equality."""
        # Of an inequality that is named twice, the last weight counts, as in the combination itself.
        pairs = [*zip(*combination.weights, strict=True), *zip(*combination.weight_fractions[:2], strict=True)]
        weights = {int(number): weight for number, weight in pairs}
        return any(weight > 0 and self._question.atoms[number].strict for number, weight in weights.items())

    @staticmethod
    def _checked(index: int, count: int, what: str, node: Node) -> int:
        if index >= count:
            raise ProofError(f"node {node.number} splits {what} {index}, but there are {count}.")
        return index


def _cut(lower: list[End | None], upper: list[End | None], atom: Atom) -> None:
    """Take an inequality on a single input into the box."""
    ((q, coefficient),) = atom.terms
    end = (-atom.constant / coefficient, atom.strict)
    old = (upper if coefficient > 0 else lower)[q]
    if coefficient > 0 and (old is None or end[0] < old[0] or (end[0] == old[0] and atom.strict)):
        upper[q] = end
    elif coefficient < 0 and (old is None or end[0] > old[0] or (end[0] == old[0] and atom.strict)):
        lower[q] = end
