"""Proofs to test the checker with: files of tiny problems, entries made by hand, and proofs that searches wrote.

A :class:`Case` has a valid proof of ``unsat`` and a *twin*: the same network, sizes and shape of formula, but
thresholds moved just so far that one input meets the query exactly.  Whatever is made of the proof, the checker must
not accept it as a proof about the twin.
"""

import gzip
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from exact_points import forward

from slir_milp.certificate import check as checker
from slir_milp.certificate import plain
from slir_milp.certificate.check.query import read_query
from slir_milp.certificate.file import MAGIC, Header, open_proof
from slir_milp.certificate.format import (
    NO_LAYER,
    Combination,
    Entry,
    Kind,
    Lines,
    Numbers,
    Ratios,
    RawEntry,
    index_bytes,
    pack,
    pack_end,
)
from slir_milp.errors import SlirWarning
from slir_milp.network import Network, load_network
from slir_milp.problems.catalogue import list_problems
from slir_milp.query import And, Atom, Formula, Or, Query, load_query
from slir_milp.query.write import write_query
from slir_milp.search import Engine, Options, Splitting, Status, verify

# --- files by hand ---------------------------------------------------------------------------------------------------


def nnet(*layers: tuple[Sequence[Sequence[float]], Sequence[float]]) -> str:
    """Text of a .nnet file of ReLU layers and an affine one, each a matrix and a vector; nothing is normalised."""
    sizes = [len(layers[0][0][0]), *(len(offset) for _, offset in layers)]
    head = [f"{len(layers)},{sizes[0]},{sizes[-1]},{max(sizes)},", ",".join(map(str, sizes)) + ",", "0,"]
    head += [",".join(["-9"] * sizes[0]), ",".join(["9"] * sizes[0])]
    head += [",".join(["0"] * (sizes[0] + 1)), ",".join(["1"] * (sizes[0] + 1))]
    for weight, offset in layers:
        head += [",".join(map(repr, map(float, row))) + "," for row in weight]
        head += [f"{float(value)!r}," for value in offset]
    return "\n".join(["// made by hand", *head]) + "\n"


def vnnlib(inputs: int, outputs: int, *assertions: str) -> str:
    """Text of a query."""
    names = [*(f"X_{i}" for i in range(inputs)), *(f"Y_{j}" for j in range(outputs))]
    return "\n".join([*(f"(declare-const {name} Real)" for name in names), *(f"(assert {a})" for a in assertions)])


@dataclass(frozen=True)
class Problem:
    """The files of a problem."""

    network: Path
    query: Path

    def header(self, **fields: Any) -> Header:
        """Header of a proof about it."""
        return replace(_header(self), **fields)

    def report(
        self, entries: Sequence[Entry], *, exact: bool = False, plainly: bool = False, **fields: Any
    ) -> checker.Report:
        """What the checker, or the plain one, makes of a proof with these entries."""
        header, path = self.header(**fields), self.query.with_suffix(".proof")
        content = [MAGIC, header.to_line(), *(pack(entry, header.index) for entry in entries)]
        if header.claim == "unsat":
            content.append(pack_end(len(entries)))
        path.write_bytes(stored_as(b"".join(content)))
        files = checker.Files(path, self.network, self.query)
        return plain.check(files) if plainly else checker.check(files, exact=exact)


@cache
def _header(problem: Problem) -> Header:
    network, question = load_network(problem.network), read_query(problem.query)
    sizes = tuple(layer.size for layer in network.layers)
    return Header(
        claim="unsat",
        network=network.sha256,
        query=question.sha256,
        activations="",
        inputs=network.input_size,
        outputs=network.output_size,
        layers=sizes,
        index=index_bytes(sum(sizes), len(question.atoms), network.input_size),
        writer="a test",
    )


def problem(folder: Path, network: str, query: str) -> Problem:
    """Write a problem's files; each gets a name of its own."""
    paths = []
    for text, end in ((network, "nnet"), (query, "vnnlib")):
        paths.append(folder / f"{sha256(text.encode()).hexdigest()[:12]}.{end}")
    for path, text in zip(paths, (network, query), strict=True):
        path.write_text(text)
    return Problem(*paths)


# --- entries by hand -------------------------------------------------------------------------------------------------


def numbers(values: dict[int, float]) -> Numbers:
    """A number for each of some neurons or atoms."""
    return Numbers(np.array(list(values), dtype=np.uint16), np.array(list(values.values()), dtype=np.float64))


def fractions(values: dict[int, Fraction]) -> Ratios:
    """The same, exactly."""
    parts = np.array([v.numerator for v in values.values()]), np.array([v.denominator for v in values.values()])
    return Ratios(np.array(list(values), dtype=np.uint16), parts[0].astype(np.int64), parts[1].astype(np.uint64))


def slopes(values: dict[int, float]) -> Lines:
    """Lines of some slopes."""
    return Lines(slopes=numbers(values))


def combination(
    weights: dict[int, float],
    *,
    inherited: float = 0.0,
    lines: dict[int, float] | None = None,
    conditions: dict[int, float] | None = None,
) -> Combination:
    """A combination of atoms, conditions and the inherited half-space."""
    return Combination(
        weights=numbers(weights), inherited=inherited, lines=slopes(lines or {}), conditions=numbers(conditions or {})
    )


def refuted(node: int, weights: dict[int, float], *, layer: int = 0, **parts: Any) -> Entry:
    """A leaf that is refuted after all its neurons have been bounded."""
    return Entry(Kind.REFUTED, node, first_layer=layer, combination=combination(weights, **parts))


def empty(node: int, layer: int = 0) -> Entry:
    """A leaf that is said to be empty."""
    return Entry(Kind.EMPTY, node, first_layer=layer)


def split(node: int, index: int, value: float, first: int, *, neuron: bool = False, **parts: Any) -> Entry:
    """A node split in two, after its neurons have been bounded."""
    kind = Kind.SPLIT_NEURON if neuron else Kind.SPLIT_INPUT
    return Entry(kind, node, first_layer=0, index=index, value=value, first=first, **parts)


def cases(node: int, alternative: int, first: int) -> Entry:
    """A node whose counterexamples meet one of the parts of an alternative."""
    return Entry(Kind.CASES, node, first_layer=NO_LAYER, index=alternative, first=first)


# --- proofs of searches ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A valid proof, and a problem near by of which its claim is false."""

    name: str
    problem: Problem
    twin: Problem
    header: Header
    entries: tuple[RawEntry, ...]
    stored: bytes

    @property
    def width(self) -> int:
        """Bytes of an index."""
        return self.header.index


_EMBEDDED = (
    ("avoidance", "head_on", Engine.BOUND, Splitting.INPUT),
    ("pendulum", "torque_range", Engine.BOUND, Splitting.INPUT),
    ("pendulum", "torque_range", Engine.AUTO, Splitting.AUTO),
    ("pendulum_loop", "stays", Engine.LP, Splitting.AUTO),
    ("oscillator", "position_bound", Engine.BOUND, Splitting.ACTIVATION),
    ("oscillator", "mean_jump", Engine.LP, Splitting.AUTO),
    ("strokes", "horizontal", Engine.BOUND, Splitting.INPUT),
    ("boundary", "exceeded", Engine.AUTO, Splitting.AUTO),
    ("boundary_2d", "exceeded", Engine.BOUND, Splitting.ACTIVATION),
    ("cruise", "too_close", Engine.BOUND, Splitting.ACTIVATION),
    ("cruise", "free_road", Engine.LP, Splitting.AUTO),
    ("junction", "alike", Engine.LP, Splitting.AUTO),
)
"""Input splits, neuron splits, cases, rows on inputs alone, ties that only exact numbers settle, linear programs."""


def embedded_cases(folder: Path, *names: str) -> Iterator[Case]:
    """Proofs about problems that come with the program: all, or those of some names."""
    for i, (name, query, engine, splitting) in enumerate(_EMBEDDED):
        if names and name not in names:
            continue
        (found,) = (info for info in list_problems() if info.name == name)
        (path,) = (info.path for info in found.queries if info.name == query)
        label = f"{name} {query}, {engine.name.lower()}, {splitting.name.lower()}"
        yield searched(folder, f"e{i}", label, found.network, path, engine, splitting)


def made_cases(folder: Path, *names: str) -> Iterator[Case]:
    """Proofs about small networks made here: of ReLU, of curves, with rows on inputs alone and nested alternatives."""
    rng = np.random.default_rng(4)
    layers = [(rng.integers(-8, 9, (b, a)) / 4, rng.integers(-4, 5, b) / 4) for a, b in pairwise((2, 6, 5, 2))]
    relu = folder / "relu.nnet"
    relu.write_text(nnet(*((w.tolist(), b.tolist()) for w, b in layers)))
    box = "(and (<= X_0 1) (>= X_0 -1) (<= X_1 1) (>= X_1 -1))"
    row = "(<= (+ X_0 (* 2 X_1)) 1)"
    curved = folder / "curved.onnx"
    _write_curved(curved)
    for label, network, condition, engine, splitting, margin in (
        ("relu, one row", relu, (row, "(>= Y_0 {0})"), Engine.BOUND, Splitting.INPUT, 0.01),
        ("relu, neurons", relu, (row, "(>= Y_0 {0})"), Engine.BOUND, Splitting.ACTIVATION, 0.01),
        ("relu, nested", relu, (row, "(or (>= Y_0 {0}) (and (<= Y_1 {1}) (or (>= X_0 0) (< X_1 0))))"),
         Engine.AUTO, Splitting.AUTO, 0.01),
        ("relu, two rows", relu, ("(>= (+ Y_0 Y_1) {2})", "(>= (- Y_0 Y_1) {3})"), Engine.LP, Splitting.AUTO, 0.01),
        ("curves", curved, ("(or (>= Y_0 {0}) (<= Y_1 {1}))",), Engine.BOUND, Splitting.INPUT, 0.02),
        ("curves, neurons", curved, (row, "(>= Y_0 {0})"), Engine.BOUND, Splitting.ACTIVATION, 0.1),
        ("curves, programs", curved, ("(>= (+ Y_0 Y_1) {2})",), Engine.LP, Splitting.AUTO, 0.02),
    ):  # fmt: skip
        if names and label not in names:
            continue
        x = np.random.default_rng(0).uniform(-1, 1, (50_000, 2))
        y = load_network(network)(x)
        y = y[(x @ [1, 2] <= 1)] if condition[0] == row else y
        total, gap, size = y.sum(axis=1), y[:, 0] - y[:, 1], margin * (y.max() - y.min())
        least = total.max() + (-9 if "{3}" in condition[-1] else 1) * size
        limits = (y[:, 0].max() + size, y[:, 1].min() - size, least, gap[total >= min(least, total.max())].max() + size)
        rounded = [f"{value:.6f}" for value in limits]
        query = folder / f"{label.replace(', ', '_').replace(' ', '_')}.vnnlib"
        query.write_text(vnnlib(2, 2, box, *(part.format(*rounded) for part in condition)))
        yield searched(folder, query.stem, label, network, query, engine, splitting)


def _write_curved(path: Path) -> None:
    """Two inputs, four neurons of tanh, four of sigmoid, two outputs."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(11)
    sizes, nodes, stored, name = (2, 4, 4, 2), [], [], "x"
    for k, (a, b) in enumerate(pairwise(sizes)):
        for values, title in ((2 * rng.normal(size=(b, a)), f"w{k}"), (rng.normal(size=b) / 2, f"b{k}")):
            stored.append(numpy_helper.from_array(values.astype(np.float32), title))
        nodes.append(helper.make_node("Gemm", [name, f"w{k}", f"b{k}"], [f"z{k}"], transB=1))
        name = f"z{k}"
        if k < 2:
            nodes.append(helper.make_node(("Tanh", "Sigmoid")[k], [name], [f"a{k}"]))
            name = f"a{k}"
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, (1, 2)) for n in ("x", name)]
    graph = helper.make_graph(nodes, "curved", ends[:1], ends[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def searched(
    folder: Path, stem: str, label: str, network: Path, query: Path, engine: Engine, splitting: Splitting
) -> Case:
    """The proof that a search writes, and the twin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlirWarning)
        read = load_network(network), load_query(query)
    path = folder / f"{stem}.proof"
    options = Options(engine=engine, splitting=splitting, jobs=1, timeout=60)
    verdict = verify(*read, options, proof=path)
    if verdict.status is not Status.UNSAT:
        raise RuntimeError(f"{label}: {verdict.status}, {verdict.detail}")
    twin = folder / f"{stem}_twin.vnnlib"
    twin.write_text(write_query(met(*read)))
    with open_proof(path) as (header, entries):
        return Case(label, Problem(network, query), Problem(network, twin), header, tuple(entries), path.read_bytes())


# --- twins -----------------------------------------------------------------------------------------------------------


def met(network: Network, query: Query) -> Query:
    """The query with thresholds moved so far that one input just meets it, and no further.

    The input is one of many at random that comes near to meeting it.  In a network of hinges its outputs are known as
    rational numbers: non-strict inequalities become equalities.
    """
    rng = np.random.default_rng(1)
    lower, upper = box_of(query.formula, query.inputs)
    x, spread = rng.uniform(lower, upper, (1000, query.inputs)), upper - lower
    best = x[0]
    for scale in (None, *(0.4**k for k in range(1, 14))):
        x = x if scale is None else np.clip(best + rng.normal(size=(80, query.inputs)) * scale * spread, lower, upper)
        x = np.concatenate([[best], x])
        y = network(x)
        costs = [_violated(query.formula, [*a, *b], query.inputs)[0] for a, b in zip(x, y, strict=True)]
        best = x[int(np.argmin(costs))]
    floats = [*best.tolist(), *network(best).tolist()]
    cost, moved = _violated(query.formula, floats, query.inputs)
    if not 0 < cost < np.inf:
        raise RuntimeError("no point was found that does not meet the query but might")
    exact = network.is_piecewise_linear and all(affine.is_exact for affine in network.affines)
    point = [Fraction(value) for value in best.tolist()]
    values = [*point, *forward(network, point)[1]] if exact else [Fraction(value) for value in floats]
    return replace(query, formula=_moved(query.formula, values, moved, Fraction(0 if exact else 1, 10**9)))


def box_of(formula: Formula, inputs: int) -> tuple[Any, Any]:
    """Box that holds every input that meets a formula, in plain numbers."""
    lower, upper = np.full(inputs, -np.inf), np.full(inputs, np.inf)
    if isinstance(formula, Atom):
        if len(formula.terms) == 1 and formula.terms[0][0] < inputs:
            ((q, coefficient),) = formula.terms
            (upper if coefficient > 0 else lower)[q] = float(-formula.constant / coefficient)
        return lower, upper
    parts = [box_of(part, inputs) for part in formula.parts]
    if isinstance(formula, And):
        return np.max([low for low, _ in parts], axis=0), np.min([high for _, high in parts], axis=0)
    return np.min([low for low, _ in parts], axis=0), np.max([high for _, high in parts], axis=0)


def _violated(formula: Formula, values: Sequence[float], inputs: int) -> tuple[float, frozenset[int]]:
    """How far a point is from meeting a formula, and the atoms (by identity) that stand in its way."""
    if isinstance(formula, Atom):
        value = sum(float(c) * values[v] for v, c in formula.terms) + float(formula.constant)
        if value < 0:
            return 0.0, frozenset()
        on_inputs = all(variable < inputs for variable, _ in formula.terms)
        return (np.inf if on_inputs and (value > 0 or formula.strict) else value), frozenset([id(formula)])
    parts = [_violated(part, values, inputs) for part in formula.parts]
    if isinstance(formula, Or):
        return min(parts, key=lambda part: part[0], default=(np.inf, frozenset()))
    return max((cost for cost, _ in parts), default=0.0), frozenset().union(*(atoms for _, atoms in parts))


def _moved(formula: Formula, values: Sequence[Fraction], moved: frozenset[int], margin: Fraction) -> Formula:
    if not isinstance(formula, Atom):
        return replace(formula, parts=tuple(_moved(part, values, moved, margin) for part in formula.parts))
    if id(formula) not in moved:
        return formula
    left = sum((c * values[v] for v, c in formula.terms), Fraction(0))
    room = margin + (Fraction(1, 10**12) if formula.strict else 0)
    return replace(formula, constant=-left - room * (1 + abs(left)))


# --- speed -----------------------------------------------------------------------------------------------------------


@contextmanager
def files_read_once() -> Iterator[None]:
    """Let both checkers read each network and query once, however often they are asked for."""
    names = ("read_network", "read_query")
    before = {name: getattr(checker, name) for name in names}
    remembering = {name: cache(function) for name, function in before.items()}
    try:
        for name, function in remembering.items():
            setattr(checker, name, function)
            setattr(plain, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(checker, name, function)
            setattr(plain, name, function)


def stored_as(content: bytes) -> bytes:
    """A proof's content as a file."""
    return gzip.compress(content, 1, mtime=0)
