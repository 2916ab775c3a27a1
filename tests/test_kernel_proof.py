"""What the kernel logs is a proof: replayed by the reference it closes what the kernel closed and leaves the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from bounds_cases import BoundCase, bound_case, network_of

from slir_milp.activations import RELU
from slir_milp.activations.catalogue import activation
from slir_milp.activations.curve import Curve
from slir_milp.bounding.backward import Rows, Splits, backward, combine
from slir_milp.bounding.kernel import Conjunction, End, Explorer, Settings, compile_network, variants
from slir_milp.bounding.lines import Slopes, enclose, unstable
from slir_milp.bounding.magnitude import activation_interval, affine_interval, slack
from slir_milp.bounding.reference import Problem
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.certificate.format import HEAD, NO_LAYER, Combination, Entry, Kind, Lines, RawEntry, unpack
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec

PROVING = Settings(margin=4.0)
PALETTES = {
    "hinges": (),
    "sigmoid": ("sigmoid",),
    "waves": ("sin", "square", "gelu"),
    "many": ("tanh", "clip", "elu", "softplus", "exp"),
}
MODES = {
    "inputs": PROVING,
    "activations": replace(PROVING, split_inputs=False, split_activations=True),
    "both": replace(PROVING, split_activations=True),
    "warm": replace(PROVING, split_inputs=False, split_activations=True, warm_start=True),
    "no half-spaces": replace(PROVING, use_half_space=False),
}


def case_of(palette: str, seed: int, widths: list[int] | None = None, **conditions: bool) -> BoundCase:
    rng = np.random.default_rng([seed, len(palette)])
    curves = tuple(f for f in map(activation, PALETTES[palette]) if isinstance(f, Curve))
    network = network_of(rng, widths or [3, 10, 9, 8, 2], curves=curves, sparse=seed % 5 == 4)
    case = bound_case(rng, network, rows=1 + seed % 3, width=float(rng.choice([0.5, 1.0, 3.0])), **conditions)
    rows = case.problem.rows
    if rows.inputs is not None and len(rows) > 1:  # one row speaks of inputs alone
        coefficients, constants = rows.coefficients.copy(), rows.constants.copy()
        coefficients[0], constants[0] = 0.0, -rows.inputs[0] @ case.region.midpoint - 0.05
        rows = replace(rows, coefficients=coefficients, constants=constants)
    # The bound at the root is a little below zero and the truth is not: some splits close it.
    explorer = explorer_of(replace(case, problem=replace(case.problem, rows=rows)), Settings())
    _, value, *_ = explorer.analyse(*explorer.record(case.region))
    share = rng.integers(0, 9, (300, network.input_size)) / 8
    points = case.region.lower + share * (case.region.upper - case.region.lower)
    direct = 0.0 if rows.inputs is None else points @ rows.inputs.T
    values = np.array([rows.coefficients @ explorer.evaluate(x) for x in points]) + direct + rows.constants
    truth = values.max(axis=1).min()
    if np.isfinite(value) and truth > value:
        shift = -value - 0.8 * (truth - value)
        rows = replace(rows, constants=rows.constants + np.where(rows.coefficients.any(axis=1), shift, 0.0))
    return replace(case, problem=replace(case.problem, rows=rows))


def explorer_of(case: BoundCase, settings: Settings, **more: Any) -> Explorer:
    p = case.problem
    compiled = compile_network(p.network, p.slack)
    rows = len(p.rows)
    conjunction = Conjunction(
        p.rows, p.strict, None, np.arange(rows, dtype=np.uint32) + 7, np.ldexp(1.0, np.arange(rows))
    )
    return Explorer(p.network, p.slack, compiled, conjunction, settings, **more)


def read(data: bytes, width: int = 2) -> list[Entry]:
    entries, at = [], 0
    while at < len(data):
        kind, flags, first_layer, size, node = HEAD.unpack_from(data, at)
        at += HEAD.size
        assert at + size <= len(data)
        entries.append(unpack(RawEntry(kind, flags, first_layer, node, data[at : at + size]), width))
        at += size
    return entries


@dataclass(eq=False)
class State:
    """What a checker keeps of a node."""

    lower: Vector
    upper: Vector
    neuron_lower: list[Vector]
    neuron_upper: list[Vector]
    half_space: tuple[Vector, float] | None
    start: Lines | None = None

    def copy(self) -> State:
        low, high = [v.copy() for v in self.neuron_lower], [v.copy() for v in self.neuron_upper]
        return State(self.lower.copy(), self.upper.copy(), low, high, self.half_space)

    @property
    def crosses(self) -> bool:
        bounds = zip(self.neuron_lower, self.neuron_upper, strict=True)
        return any((low > high).any() for low, high in bounds) or bool((self.lower > self.upper).any())


class Replay:
    """A checker by the reference: plain float64, with the reference's own charges."""

    def __init__(self, case: BoundCase, entries: list[Entry], root: State) -> None:
        self.case, self.network, self.slack = case, case.network, case.slack
        self.firsts = np.cumsum([0, *(layer.size for layer in self.network.layers)])
        self.seen: Counter[Kind] = Counter()
        self.open: dict[int, State] = {}
        self._steps: dict[int, list[Entry]] = {}
        self._ends: dict[int, Entry] = {}
        for entry in entries:
            if entry.kind in (Kind.TIGHTEN, Kind.NEURON):
                self._steps.setdefault(entry.node, []).append(entry)
            else:
                assert entry.node not in self._ends, "a node ends once"
                self._ends[entry.node] = entry
        nodes = [(0, root)]
        reached = set()
        while nodes:
            node, state = nodes.pop()
            assert node not in reached, "a node has one parent"
            reached.add(node)
            nodes += self._follow(node, state)
        assert reached >= {*self._steps, *self._ends}, "entries are of nodes that a split leads to"

    def _follow(self, node: int, state: State) -> list[tuple[int, State]]:
        for entry in self._steps.get(node, []):
            self.seen[entry.kind] += 1
            if entry.kind is Kind.TIGHTEN:
                self._tighten(state, entry)
            else:
                self._bound_neuron(state, entry)
        end = self._ends.get(node)
        if end is None:
            self.open[node] = state
            return []
        self.seen[end.kind] += 1
        self._tighten(state, end)
        if end.kind is Kind.EMPTY:
            assert state.crosses or any(
                self._least(g[None, :], np.array([k]), state, [])[0] > 0 for g, k in self._half(state)
            )
            return []
        if end.kind is Kind.REFUTED:
            assert end.combination is not None
            g, k = self._combination(state, end.combination)
            assert state.crosses or self._least(g[None, :], np.array([k]), state, [])[0] > 0
            return []
        if end.combination is not None:
            state.half_space = self._combination(state, end.combination)
        first, second = state.copy(), state
        second.start = None
        if end.kind is Kind.SPLIT_INPUT:
            assert state.lower[end.index] < end.value < state.upper[end.index]
            first.upper[end.index] = second.lower[end.index] = end.value
        else:
            k, i = self._place(end.index)
            assert state.neuron_lower[k][i] - 1e-9 <= end.value <= state.neuron_upper[k][i] + 1e-9
            first.neuron_upper[k][i] = second.neuron_lower[k][i] = end.value
        return [(end.first, first), (end.first + 1, second)]

    def _place(self, neuron: int) -> tuple[int, int]:
        k = int(np.searchsorted(self.firsts, neuron, side="right")) - 1
        return k, neuron - int(self.firsts[k])

    def _half(self, state: State) -> list[tuple[Vector, float]]:
        rows = self.case.problem.rows
        own = [] if rows.inputs is None else np.flatnonzero(~rows.coefficients.any(axis=1)).tolist()
        found = [(rows.inputs[r], float(rows.constants[r])) for r in own]
        return found + ([] if state.half_space is None else [state.half_space])

    def _least(
        self, normals: np.ndarray, offsets: Vector, state: State, half: list[tuple[Vector, float]] | None = None
    ) -> Vector:
        """Least values over the box and the half-spaces, each mixed in with its best multiplier."""

        def corner(normals: np.ndarray) -> Vector:
            return np.where(normals > 0, normals * state.lower, normals * state.upper).sum(axis=1)

        best = offsets + corner(normals)
        normals, offsets = normals.copy(), offsets.copy()
        for g, k in self._half(state) if half is None else half:
            with np.errstate(divide="ignore", invalid="ignore"):
                betas = np.nan_to_num(np.maximum(-normals / g, 0.0), posinf=0.0)
            for beta in betas.T:
                mixed, constant = normals + beta[:, None] * g, offsets + beta * k
                value = constant + corner(mixed)
                better = value > best
                best = np.where(better, value, best)
                betas[better, 0] = beta[better]
            chosen = np.where((betas[:, 0] > 0)[:, None], betas[:, :1], 0.0)
            kept = offsets + chosen[:, 0] * k + corner(normals + chosen * g) >= best
            chosen = np.where(kept[:, None], chosen, 0.0)
            normals, offsets = normals + chosen * g, offsets + chosen[:, 0] * k
        return best

    def _slopes(self, state: State, upto: int, *given: Lines | None) -> list[Slopes]:
        """Slopes of the first layers' lines: the usual ones, and what lists of lines say otherwise."""
        layers = self.network.layers[:upto]
        bounds = zip(layers, state.neuron_lower[:upto], state.neuron_upper[:upto], strict=True)
        slopes = []
        for layer, low, high in bounds:
            usual = np.where(high > -low * (1 + 2**-20), layer.positive_slope, layer.negative_slope)
            if layer.curves:
                with np.errstate(all="ignore"):
                    chord = np.nan_to_num((layer.activate(high) - layer.activate(low)) / (high - low))
                usual = np.where(layer.is_curved, chord, usual)
            slopes.append(Slopes(usual.copy(), usual.copy()))
        for lines in given:
            if lines is None:
                continue
            for neuron, share in zip(*lines.shares, strict=True):
                k, i = self._place(int(neuron))
                if k >= upto:
                    continue
                left, right = (
                    s[i] for s in (self.network.layers[k].negative_slope, self.network.layers[k].positive_slope)
                )
                slopes[k].lower[i] = slopes[k].upper[i] = left + (right - left) * float(share) / 128
            for neuron, slope in zip(*lines.slopes, strict=True):
                k, i = self._place(int(neuron))
                if k < upto:
                    slopes[k].lower[i] = slopes[k].upper[i] = slope
            for neuron, low, high in zip(*lines.pairs, strict=True):
                k, i = self._place(int(neuron))
                assert self.network.layers[k].is_curved[i]
                if k < upto:
                    slopes[k].lower[i], slopes[k].upper[i] = low, high
            assert not len(lines.fractions.index)
        return slopes

    def _lines(self, state: State, upto: int, *given: Lines | None) -> tuple[Any, ...]:
        slopes = self._slopes(state, upto, *given)
        layers = self.network.layers[:upto]
        return tuple(map(enclose, layers, state.neuron_lower[:upto], state.neuron_upper[:upto], slopes))

    def _bounds_of(self, state: State, k: int, chosen: np.ndarray, lines: tuple[Any, ...]) -> tuple[Vector, Vector]:
        unit = np.eye(self.network.layers[k].size)[chosen]
        rows = Rows(np.vstack([unit, -unit]), None, np.zeros(2 * len(chosen)))
        walked = backward(self.network, self.slack, lines, rows, start=k)
        values = self._least(walked.normals, walked.offsets, state)
        return values[: len(chosen)], -values[len(chosen) :]

    def _tighten(self, state: State, entry: Entry) -> None:
        if entry.start is not None:
            state.start = entry.start
        if entry.first_layer == NO_LAYER or state.crosses:
            return
        has_curves = not self.network.is_piecewise_linear
        assert (entry.start is not None) == has_curves
        until = min(entry.until, len(self.network.layers))
        for k in range(entry.first_layer, until):
            layer, low, high = self.network.layers[k], state.neuron_lower[k], state.neuron_upper[k]
            if k:
                below = activation_interval(
                    self.network.layers[k - 1], state.neuron_lower[k - 1], state.neuron_upper[k - 1]
                )
                a, b = affine_interval(layer.affine, *below)
                loose = unstable(layer, low, high)
                low[loose], high[loose] = np.maximum(low, a)[loose], np.minimum(high, b)[loose]
            chosen = np.flatnonzero(unstable(layer, low, high))
            a, b = self._bounds_of(state, k, chosen, self._lines(state, k, state.start))
            low[chosen], high[chosen] = np.maximum(low[chosen], a), np.minimum(high[chosen], b)
            if state.crosses:
                return

    def _bound_neuron(self, state: State, entry: Entry) -> None:
        if state.crosses:
            return
        k, i = self._place(entry.index)
        (low,), (high,) = self._bounds_of(state, k, np.array([i]), self._lines(state, k, state.start, entry.lines))
        if entry.side >= 0:
            state.neuron_lower[k][i] = max(state.neuron_lower[k][i], low)
        if entry.side <= 0:
            state.neuron_upper[k][i] = min(state.neuron_upper[k][i], high)

    def _combination(self, state: State, given: Combination) -> tuple[Vector, float]:
        p = self.case.problem
        weights = np.zeros(len(p.rows))
        weights[given.weights.index.astype(int) - 7] = given.weights.value
        weights /= np.ldexp(1.0, np.arange(len(p.rows)))  # of the rows again, not of the inequalities
        if state.crosses:
            return np.zeros(self.network.input_size), 0.0
        multipliers = [np.zeros(layer.size) for layer in self.network.layers]
        ends = [np.zeros(layer.size) for layer in self.network.layers]
        for neuron, mu in zip(*given.conditions, strict=True):
            k, i = self._place(int(neuron))
            multipliers[k][i], ends[k][i] = mu, (state.neuron_upper if mu > 0 else state.neuron_lower)[k][i]
        lines = self._lines(state, len(multipliers), state.start, given.lines)
        row = combine(p.rows, weights, self.network, self.slack)
        walked = backward(self.network, self.slack, lines, row, splits=Splits(tuple(multipliers), tuple(ends)))
        normal, offset = walked.normals[0], float(walked.offsets[0])
        if given.inherited:
            assert state.half_space is not None
            normal = normal + given.inherited * state.half_space[0]
            offset += given.inherited * state.half_space[1]
        return normal, offset


def root_state(case: BoundCase) -> State:
    region = case.region
    assert region.neurons is not None
    half = region.half_spaces
    state = State(
        region.lower.copy(),
        region.upper.copy(),
        [v.copy() for v in region.neurons.lower],
        [v.copy() for v in region.neurons.upper],
        (half.normals[0], float(half.offsets[0])) if len(half) else None,
    )
    for k, layer in enumerate(case.network.layers):
        if region.sides is not None:
            hinge, side = ~layer.is_curved, region.sides[k]
            state.neuron_lower[k] = np.where(
                hinge & (side > 0), np.maximum(state.neuron_lower[k], 0.0), state.neuron_lower[k]
            )
            state.neuron_upper[k] = np.where(
                hinge & (side < 0), np.minimum(state.neuron_upper[k], 0.0), state.neuron_upper[k]
            )
    return state


def explored(explorer: Explorer, record: Vector, sides: np.ndarray, budget: int = 40) -> Any:
    cancel = np.zeros(1, np.int32)
    return explorer.explore(record[None, :], sides[None, :], budget=budget, deadline=np.inf, cancel=cancel)


def assert_is_as(state: State, explorer: Explorer, record: Vector, sides: np.ndarray, tolerance: float = 1e-6) -> None:
    """The replay knows of a node what the kernel's record says, or better."""
    if state.crosses:
        return
    region = explorer.region(record, sides)
    assert (state.lower == region.lower).all()
    assert (state.upper == region.upper).all()
    assert region.neurons is not None
    for k in range(len(region.neurons.lower)):
        assert (state.neuron_lower[k] >= region.neurons.lower[k] - tolerance).all()
        assert (state.neuron_upper[k] <= region.neurons.upper[k] + tolerance).all()
    if len(region.half_spaces):
        assert state.half_space is not None
        assert np.allclose(state.half_space[0], region.half_spaces.normals[0], atol=tolerance)
        assert np.isclose(state.half_space[1], region.half_spaces.offsets[0], atol=tolerance)


CONDITIONS = {"box": {}, "more": {"half_space": True, "direct": True}, "sides": {"sides": True}}


@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("palette", PALETTES)
def test_searches_are_replayed(palette: str, mode: str, conditions: str) -> None:
    seen: Counter[Kind] = Counter()
    for seed in range(10 if conditions == "box" else 4):
        settings = MODES[mode]
        if conditions == "sides" and not settings.split_activations:
            continue
        case = case_of(palette, seed, **CONDITIONS[conditions])
        explorer = explorer_of(case, settings, log=True, variant=variants()[seed % len(variants())])
        at = explorer.layout["node"]
        explorer.nodes_from(100)
        record, sides = explorer.record(case.region)
        records, record_sides, leaves, leaf_sides, _, _ = explored(explorer, record, sides)
        replay = Replay(case, read(explorer.take_log()), root_state(case))
        left = {int(r[at]): (r, s) for r, s in zip((*records, *leaves), (*record_sides, *leaf_sides), strict=True)}
        assert set(replay.open) == set(left)
        assert min([100, *(node for node in left if node)]) == 100
        for node, state in replay.open.items():
            assert_is_as(state, explorer, *left[node])
        assert explorer.take_log() == b""
        seen += replay.seen
    if conditions == "box":
        assert seen[Kind.REFUTED] >= 8
        assert seen[Kind.SPLIT_INPUT] + seen[Kind.SPLIT_NEURON] >= 8


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("palette", PALETTES)
def test_a_log_changes_nothing(palette: str, mode: str) -> None:
    for seed in range(4):
        case = case_of(palette, seed)
        found = []
        for log in (False, True):
            explorer = explorer_of(case, MODES[mode], log=log)
            *parts, candidate, counts = explored(explorer, *explorer.record(case.region))
            for records in (parts[0], parts[2]):
                records[:, explorer.layout["node"]] = 0
            found.append((*parts, np.zeros(1) if candidate is None else candidate, counts))
            assert bool(explorer.take_log()) == log
        for a, b in zip(found[0][:-1], found[1][:-1], strict=True):
            assert np.array_equal(a, b)
        assert found[0][-1] == found[1][-1]


@pytest.mark.parametrize("palette", PALETTES)
def test_sharpened_bounds_are_replayed(palette: str) -> None:
    neurons = 0
    for seed in range(8):
        case = case_of(palette, seed, [4, 12, 10, 9, 2], half_space=seed % 2 == 1)
        explorer = explorer_of(case, PROVING, log=True)
        record, sides = explorer.record(case.region)
        end = explorer.sharpen(record, sides, most=12, steps=4)
        replay = Replay(case, read(explorer.take_log()), root_state(case))
        assert (end in (End.BOUND, End.INHERITED, End.EMPTY)) == (not replay.open)
        for state in replay.open.values():
            assert_is_as(state, explorer, record, sides)
        neurons += replay.seen[Kind.NEURON]
    assert neurons >= 8


def test_a_half_space_and_a_neuron_can_exclude_each_other() -> None:
    """Bounds that hold for counterexamples only, of which there are none: a neuron bounded by the row's lines tells."""
    told = 0
    for seed in range(60):
        case = case_of("hinges" if seed % 2 else "sigmoid", seed, [2, 6, 6, 1])
        explorer = explorer_of(case, replace(MODES["activations"], report_tight=False, ascent_steps=2), log=True)
        explored(explorer, *explorer.record(case.region), budget=40)
        told += Replay(case, read(explorer.take_log()), root_state(case)).seen[Kind.NEURON]
    assert told >= 3


def test_claims_are_the_callers() -> None:
    for seed in range(20):
        case = case_of("hinges", seed)
        rows = case.problem.rows
        case = replace(case, problem=replace(case.problem, rows=replace(rows, constants=rows.constants + 100.0)))
        for claim in (True, False):
            explorer = explorer_of(case, PROVING, log=True, index_bytes=4)
            record, sides = explorer.record(case.region)
            end, *_ = explorer.analyse(record, sides, claim=claim)
            (entry,) = read(explorer.take_log(), 4)
            assert end is End.BOUND
            assert entry.kind is (Kind.REFUTED if claim else Kind.TIGHTEN)
            assert entry.node == record[explorer.layout["node"]] == 0


def test_slopes_that_are_no_shares_are_named() -> None:
    """A record may come with slopes from elsewhere; the log has them to the last bit."""
    named = 0
    for seed in range(8):
        case = case_of("hinges", seed)
        explorer = explorer_of(case, replace(MODES["warm"], ascent_steps=0), log=True)
        record, sides = explorer.record(case.region)
        neurons = sum(layer.size for layer in case.network.layers)
        at = explorer.layout
        least, greatest = (
            np.concatenate([f(layer.negative_slope, layer.positive_slope) for layer in case.network.layers])
            for f in (np.minimum, np.maximum)
        )
        proposed = least + (greatest - least) * np.pi / 10
        record[at["slope"] : at["slope"] + 2 * neurons] = np.tile(proposed, 2)
        record[at["weight"]], record[at["has_slope"]] = 1.0, 1.0
        explored(explorer, record, sides, budget=1)
        for entry in read(explorer.take_log()):
            if entry.combination is not None:
                index, value = entry.combination.lines.slopes
                assert (proposed[index.astype(int)] == value).all()
                named += len(index)
    assert named >= 10


@pytest.mark.parametrize("palette", PALETTES)
def test_a_bound_within_the_margin_closes_nothing(palette: str) -> None:
    for seed in range(10):
        case = case_of(palette, seed)
        settings = Settings(ascent_steps=0)
        explorer = explorer_of(case, settings)
        for shift in (1e-16, 1e-3):
            rows = case.problem.rows
            for _ in range(3):  # until the bound is what it is to be, but for rounding
                near = replace(case, problem=replace(case.problem, rows=rows))
                explorer = explorer_of(near, settings)
                _, value, _, _, _, weights = explorer.analyse(*explorer.record(case.region))
                rows = replace(rows, constants=rows.constants + (shift - value) * (weights > 0))
            near = replace(case, problem=replace(case.problem, rows=rows))
            for margin in (0.0, 1e3):
                explorer = explorer_of(near, replace(settings, margin=margin))
                end, value, *_ = explorer.analyse(*explorer.record(case.region))
                strict = bool(near.problem.strict[weights > 0].any())
                closes = value > (1e-5 if margin else 0.0) or (not margin and strict and value >= 0)
                assert (end is End.BOUND) == closes


def one_neuron() -> BoundCase:
    """``relu(x) - 3`` on ``[1, 2]``."""
    one = Affine(np.ones((1, 1)), np.zeros(1))
    layer = Layer(one, (RELU,), np.zeros(1, dtype=np.int32))
    network = Network((layer,), one, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    low, high = np.array([1.0]), np.array([2.0])
    rows = Rows(np.ones((1, 1)), None, np.array([-3.0]))
    return BoundCase(Problem(network, slack(network, low, high), rows, np.array([False])), Region.box(low, high))


@pytest.mark.parametrize(("gap", "margin"), [(0.1, 0.0), (0.1, 1e6), (1e-12, 0.0), (1e-12, 1e6)])
def test_contradictions_within_the_margin_close_nothing(gap: float, margin: float) -> None:
    settings = Settings(margin=margin, report_tight=False)
    case = one_neuron()
    bounds = NeuronBounds((np.array([-1.0]),), (np.array([1.0 - gap]),))  # but it is 1 at least
    explorer = explorer_of(case, settings, log=True)
    record, sides = explorer.record(replace(case.region, neurons=bounds))
    end, *_ = explorer.analyse(record, sides)
    closes = gap > 1e-6 or not margin
    assert (end is End.EMPTY) == closes
    kept = explorer.neurons(record)
    assert kept.lower[0] <= kept.upper[0]
    (entry,) = read(explorer.take_log())
    assert (entry.kind, entry.first_layer) == (Kind.EMPTY if closes else Kind.TIGHTEN, 0)

    outside = HalfSpaces(np.ones((1, 1)), np.array([gap - 1.0]))  # x <= 1 - gap
    record, sides = explorer.record(replace(case.region, half_spaces=outside))
    end, *_ = explorer.analyse(record, sides)
    assert (end is End.INHERITED) == closes
    (entry,) = read(explorer.take_log())
    assert (entry.kind is Kind.EMPTY and entry.first_layer == NO_LAYER) == closes
