"""Networks rewritten by a proof: nothing that it says can make the checker's network lose a value of the true one."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from slir_milp import load_network, load_query, verify
from slir_milp.activations import IDENTITY, RELU, Curve
from slir_milp.activations.catalogue import activation
from slir_milp.bounding.balance import prepared
from slir_milp.bounding.rewriting import provably_prepared
from slir_milp.certificate.check import Files, check
from slir_milp.certificate.check.curves import CurveLines, CurveRanges
from slir_milp.certificate.check.rewrite import Rewriter, box_of
from slir_milp.certificate.format import HEAD, Kind, RawEntry
from slir_milp.certificate.rewriting import BIAS, RECORD, Records, pack_rewriting, unpack_rewriting
from slir_milp.certificate.write import count_entries
from slir_milp.errors import ProofError
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.query import And, Atom, Formula, Or, Query

SQUARE = activation("square")
assert isinstance(SQUARE, Curve)
FUNCTIONS = (RELU, IDENTITY, SQUARE)
INPUTS = 3
Point = list[Fraction]


def affine(rng: np.random.Generator, rows: int, columns: int, inexact: bool) -> Affine:
    """Any map; sometimes known to within radii only."""
    weight = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.7)
    found = Affine(weight, rng.normal(size=rows))
    if inexact:
        radius = 0.01 * rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.5)
        found = replace(found, weight_radius=radius, bias_radius=0.01 * rng.random(rows))
    return found


def network_of(rng: np.random.Generator, *, inexact: bool) -> Network:
    """Hinges; squares and others; carriers of some of those and sums of them; squares of sums; outputs."""

    def layer(map_: Affine, kinds: list[int]) -> Layer:
        return Layer(map_, FUNCTIONS, np.array(kinds, dtype=np.int32))

    first = layer(affine(rng, 3, INPUTS, inexact), [0, 1, 0])
    second = layer(affine(rng, 5, 3, inexact), [2, 2, 2, 2, 1])
    third = affine(rng, 6, 5, inexact)
    for i in range(4):
        for part in (third.weight, third.bias, third.weight_radius, third.bias_radius):
            if part is not None:
                part[i] = 0.0
        third.weight[i, rng.integers(0, 5)] = 1.0
    carriers = layer(third, [1, 1, 1, 1, 2, 0])
    fourth = layer(affine(rng, 4, 6, inexact), [2, 2, 1, 0])
    specs = (TensorSpec("x", (INPUTS,)),), (TensorSpec("y", (2,)),)
    return Network((first, second, carriers, fourth), affine(rng, 2, 4, inexact), *specs)


def formula_of(lower: np.ndarray, upper: np.ndarray) -> Formula:
    """The box as a condition."""
    atoms = []
    for i, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        atoms.append(Atom(((i, Fraction(-1)),), Fraction(low)))
        atoms.append(Atom(((i, Fraction(1)),), -Fraction(high)))
    return And(tuple(atoms))


def values(map_: Affine, z: Point, rng: np.random.Generator) -> Point:
    """What some true map gives whose numbers lie within the radii, mostly at their ends."""
    found = []
    for i, row in enumerate(np.asarray(map_.weight).tolist()):
        total = Fraction(float(map_.bias[i]))
        if map_.bias_radius is not None:
            total += Fraction(float(map_.bias_radius[i])) * int(rng.integers(-1, 2))
        for j, (weight, x) in enumerate(zip(row, z, strict=True)):
            radius = 0.0 if map_.weight_radius is None else float(np.asarray(map_.weight_radius)[i, j])
            total += (Fraction(weight) + Fraction(radius) * int(rng.integers(-1, 2))) * x
        found.append(total)
    return found


def activated(layer: Layer, x: Point) -> Point:
    return [
        v * v if kind == 2 else max(v, Fraction(0)) if kind == 0 else v
        for kind, v in zip(layer.function_index.tolist(), x, strict=True)
    ]


def rest(map_: Affine, i: int, z: Point) -> tuple[Fraction, Fraction]:
    """A row's value by the stored numbers, and how far the radii allow it to be from that."""
    value, reach = Fraction(float(map_.bias[i])), Fraction(0)
    if map_.bias_radius is not None:
        reach += Fraction(float(map_.bias_radius[i]))
    for j, x in enumerate(z):
        value += Fraction(float(map_.weight[i, j])) * x
        if map_.weight_radius is not None:
            reach += Fraction(float(map_.weight_radius[i, j])) * abs(x)
    return value, reach


def encloses(new: Network, old: Network, x: Point, rng: np.random.Generator, records: Records) -> bool:
    """Whether the new network allows what the old one gives: all but squares exchanged and what repeats them."""
    first = np.cumsum([0, *(map_.rows for map_ in old.affines)])
    k = int(np.searchsorted(first, records["row"][0], side="right")) - 1
    members = set((records["row"] - first[k]).tolist())
    z, z_new = x, x
    for j, (before, after) in enumerate(zip(old.affines, new.affines, strict=True)):
        pre = values(before, z, rng)
        chosen = []
        for i, wanted in enumerate(pre):
            value, reach = rest(after, i, z_new)
            is_square = j == k and i in members
            if not is_square and abs(value - wanted) > reach:
                # It may only be a carrier, which then repeats a square exactly.
                row = np.asarray(after.weight)[i]
                repeats = np.array_equal(np.sort(row), np.eye(len(row))[-1]) and not reach and not after.bias[i]
                if not (repeats and k < j < len(old.layers) and old.layers[j].function_index[i] == 1):
                    return False
                chosen.append(value)
            else:
                chosen.append(value if is_square else wanted)
        if j < len(old.layers):
            z, z_new = activated(old.layers[j], pre), activated(old.layers[j], chosen)
    return True


def records_of(rows: list[tuple[int, int, float]]) -> Records:
    return np.array(rows, dtype=RECORD)


def any_records(rng: np.random.Generator, network: Network, k: int) -> Records:
    """Squares of layer ``k`` exchanged for anything, and anything done to their users."""
    first = np.cumsum([0, *(map_.rows for map_ in network.affines)]).tolist()
    squares = np.flatnonzero(network.layers[k].function_index == 2)
    members = squares[rng.random(len(squares)) < 0.8] if rng.random() < 0.8 else squares
    members = members if len(members) else squares
    found = []
    for i in members.tolist():
        found.append((first[k] + i, BIAS, rng.normal()))
        found += [(first[k] + i, q, rng.normal()) for q in range(network.affines[k].columns) if rng.random() < 0.7]
    carried = set(members.tolist())
    for j in range(k + 1, len(network.affines)):
        map_, onward = network.affines[j], set()
        for i in range(map_.rows):
            changes = [(first[j] + i, q, rng.normal()) for q in sorted(carried) if rng.random() < 0.2]
            changes += [(first[j] + i, BIAS, rng.normal())] if rng.random() < 0.2 else []
            found += changes
            row = np.asarray(map_.weight)[i]
            if j < len(network.layers) and not changes and np.array_equal(np.sort(row), np.eye(len(row))[-1]):
                onward |= {i} if row.argmax() in carried else set()
        carried = onward
    return records_of(found)


def point_in(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray) -> Point:
    corner = lower + (upper - lower) * rng.integers(0, 2, len(lower))
    return [Fraction(v) for v in (corner if rng.random() < 0.5 else rng.uniform(lower, upper)).tolist()]


@pytest.mark.parametrize("inexact", [False, True])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), k=st.sampled_from([1, 3]))
def test_whatever_is_exchanged_the_new_network_encloses_the_old(inexact: bool, seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    network = network_of(rng, inexact=inexact)
    lower = rng.normal(size=INPUTS)
    upper = lower + rng.random(INPUTS) * rng.choice([0.0, 0.01, 1.0])
    rewriter = Rewriter(network, formula_of(lower, upper))
    records = any_records(rng, network, k)
    rewriter.exchange(records)
    for _ in range(4):
        assert encloses(rewriter.network, network, point_in(rng, lower, upper), rng, records)


def test_the_comparison_can_fail() -> None:
    """Without the radii that the checker adds, the same networks enclose nothing."""
    failed = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        network = network_of(rng, inexact=False)
        lower = rng.normal(size=INPUTS)
        rewriter = Rewriter(network, formula_of(lower, lower + 1))
        records = any_records(rng, network, 1)
        rewriter.exchange(records)
        maps = [replace(map_, bias_radius=None) for map_ in rewriter.network.affines]
        layers = [replace(layer, affine=map_) for layer, map_ in zip(network.layers, maps[:-1], strict=True)]
        bare = replace(network, layers=tuple(layers), output=maps[-1])
        failed += not encloses(bare, network, point_in(rng, lower, lower + 1), rng, records)
    assert failed >= 9


@pytest.mark.parametrize("name", ["tanh", "gelu", "square", "sin"])
def test_rough_ranges_hold(name: str) -> None:
    """What layers before are bounded by: never inside of the tight bounds."""
    curve = activation(name)
    assert isinstance(curve, Curve)
    rough, tight = CurveRanges(curve), CurveLines(curve)
    for lower, upper in ((-1.0, 2.0), (0.5, 0.5), (-30.0, -0.1), (0.0, 1e-3)):
        (low, high), (least, most) = rough.image(lower, upper), tight.image(lower, upper)
        assert low is not None
        assert high is not None
        assert least is not None
        assert most is not None
        assert float(low) <= float(least) + 1e-12
        assert float(high) >= float(most) - 1e-12


# --- true rewritings -------------------------------------------------------------------------------------------------


def forms(rng: np.random.Generator) -> Network:
    """Two multiples of ``Σ (a_i·z)(b_i·z)``, badly scaled, carried once."""
    left, right = rng.normal(size=(3, 4)) * [1, 100, 1, 0.01], rng.normal(size=(3, 4))
    first = Affine(np.vstack([left + right, left - right]), rng.normal(size=6))
    layers = [Layer(first, (SQUARE,), np.zeros(6, dtype=np.int32))]
    layers.append(Layer(Affine(np.eye(6), np.zeros(6)), (IDENTITY,), np.zeros(6, dtype=np.int32)))
    output = Affine(np.array([[0.25], [-3.0]]) * np.repeat([1.0, -1.0], 3), rng.normal(size=2))
    return Network(tuple(layers), output, (TensorSpec("x", (4,)),), (TensorSpec("y", (2,)),))


def entries_of(data: bytes) -> RawEntry:
    kind, flags, first, _, node = HEAD.unpack_from(data)
    return RawEntry(kind, flags, first, node, data[HEAD.size :])


def rewriting(seed: int) -> tuple[Network, Formula, Network, Records]:
    """A network, a box as a formula, the network prepared for it, and what a proof says of that."""
    rng = np.random.default_rng(seed)
    network = forms(rng)
    lower = rng.normal(size=4)
    upper = lower + rng.random(4)
    query = Query(4, 2, formula_of(lower, upper), "")
    result, (entry,) = provably_prepared(network, query, lower, upper)
    wanted = prepared(network, lower, upper)
    for found, expected in zip(result.affines, wanted.affines, strict=True):
        assert np.array_equal(found.weight, expected.weight)
        assert np.array_equal(found.bias, expected.bias)
    return network, query.formula, result, unpack_rewriting(entries_of(entry))


@pytest.mark.parametrize("seed", range(4))
def test_a_true_rewriting_costs_next_to_nothing(seed: int) -> None:
    network, formula, result, records = rewriting(seed)
    assert result.output.bias_radius is not None
    assert 0 < result.output.bias_radius.max() < 1e-9
    rewriter = Rewriter(network, formula)
    rewriter.exchange(records)
    assert rewriter.network.output.bias_radius is not None
    assert np.array_equal(rewriter.network.output.bias_radius, result.output.bias_radius)


def radius_of(network: Network, formula: Formula, records: Records) -> np.ndarray:
    rewriter = Rewriter(network, formula)
    rewriter.exchange(records)
    radius = rewriter.network.output.bias_radius
    assert radius is not None
    return radius


@pytest.mark.parametrize("seed", range(4))
def test_every_change_is_counted(seed: int) -> None:
    """Each number of a rewriting that is moved by a little, or by more, or left out, moves the radii with it."""
    network, formula, result, records = rewriting(seed)
    assert result.output.bias_radius is not None
    least = result.output.bias_radius
    large = np.abs(records["value"]) > 1e-3 * np.abs(records["value"]).max()
    for i in np.flatnonzero(large).tolist():
        for factor in (1 + 2.0**-30, 1 - 2.0**-30, -1.0, 0.0):
            changed = records.copy()
            changed["value"][i] *= factor
            assert (radius_of(network, formula, changed) > 2 * least).any()
        assert (radius_of(network, formula, np.delete(records, i)) > 2 * least).any()


def test_one_ulp_is_what_it_is_worth() -> None:
    """An exact exchange needs no radius; a coefficient one ulp off needs exactly what that makes on the box."""
    layers = (Layer(Affine(np.array([[1.0]]), np.zeros(1)), (SQUARE,), np.zeros(1, dtype=np.int32)),)
    network = Network(layers, Affine(np.ones((1, 1)), np.zeros(1)), (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    formula = formula_of(np.array([-8.0]), np.array([8.0]))
    for ulps in (0, 1, 3):
        changed = 0.25 + ulps * 2.0**-54
        rewriter = Rewriter(network, formula)
        rewriter.exchange(records_of([(0, 0, 2.0), (0, BIAS, 0.0), (1, 0, changed)]))
        radius = rewriter.network.output.bias_radius
        assert (0.0 if radius is None else radius[0]) == ulps * 2.0**-54 * 4 * 64
        assert rewriter.network.output.is_exact == (ulps == 0)


def test_another_box_needs_other_radii() -> None:
    network, formula, result, records = rewriting(0)
    assert result.output.bias_radius is not None
    lower, upper = box_of(formula, 4)
    wide = formula_of(lower - 1e6, upper + 1e6)
    assert (radius_of(network, wide, records) > 1e6 * result.output.bias_radius).all()
    narrow = formula_of(lower, lower)
    assert (radius_of(network, narrow, records) <= result.output.bias_radius).all()


# --- what is refused -------------------------------------------------------------------------------------------------


def tiny() -> Network:
    """Squares of an input and of a sum, an identity; a carrier of the first and a sum of all; an output."""
    first = Affine(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), np.zeros(3))
    second = Affine(np.array([[1.0, 0.0, 0.0], [1.0, -1.0, 0.5]]), np.zeros(2))
    layers = (
        Layer(first, FUNCTIONS, np.array([2, 2, 1], dtype=np.int32)),
        Layer(second, FUNCTIONS, np.array([1, 2], dtype=np.int32)),
    )
    specs = (TensorSpec("x", (2,)),), (TensorSpec("y", (1,)),)
    return Network(layers, Affine(np.array([[1.0, 1.0]]), np.zeros(1)), *specs)


BOX = formula_of(-np.ones(2), np.ones(2))
GOOD = [(0, 0, 2.0), (3, 0, 0.25), (4, 0, 0.25)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(2, 0, 1.0)], "no squares"),
        ([(2, BIAS, 1.0)], "no squares"),
        ([(3, 0, 1.0)], "no squares"),
        ([(5, 0, 1.0)], "rows"),
        ([(6, 0, 1.0)], "rows"),
        ([(2**32 - 1, 0, 1.0)], "rows"),
        ([(4, 0, 1.0), (0, 0, 1.0)], "rows"),
        ([(0, 2, 1.0)], "columns"),
        ([(0, 0, 1.0), (4, 3, 1.0)], "columns"),
        ([(0, 0, 1.0), (4, 1, 1.0)], "something else"),
        ([(0, 0, 1.0), (4, 2, 1.0)], "something else"),
        ([(0, 0, 1.0), (5, 1, 1.0)], "something else"),
        ([(1, 0, 1.0), (5, 0, 1.0)], "something else"),
        ([(0, 0, 2.0), (3, 0, 0.25), (5, 0, 1.0)], "something else"),
        ([(0, 0, 1e308), (4, 0, 1e308)], "no bounds"),
    ],
)
def test_rules(rows: list[tuple[int, int, float]], message: str) -> None:
    """One for each; the last but one names a carrier, which so is none any more."""
    rewriter = Rewriter(network := tiny(), BOX)
    with pytest.raises(ProofError, match=message):
        rewriter.exchange(records_of(rows))
    assert rewriter.network is network


def test_layers_follow_each_other() -> None:
    rewriter = Rewriter(tiny(), BOX)
    rewriter.exchange(records_of(GOOD))
    with pytest.raises(ProofError, match="rows"):
        rewriter.exchange(records_of(GOOD))
    rewriter.exchange(records_of([(4, 0, 0.25), (4, 1, -1.0)]))


@pytest.mark.parametrize(
    "formula",
    [And(()), Or(()), Or((BOX, Atom((), Fraction(-1)))), Atom(((0, Fraction(1)),), Fraction(-1)), Or((BOX, And(())))],
)
def test_no_box_no_rewriting(formula: Formula) -> None:
    with pytest.raises(ProofError, match="no bounds"):
        Rewriter(tiny(), formula).exchange(records_of(GOOD))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_box_holds_all_that_meets_the_formula(data: st.DataObject) -> None:
    small = st.integers(-3, 3)
    atoms = st.builds(
        lambda terms, constant, strict: Atom(tuple(sorted(terms.items())), Fraction(constant, 2), strict),
        st.dictionaries(st.integers(0, 2), small.filter(bool).map(Fraction), max_size=2),
        small,
        st.booleans(),
    )
    formula = data.draw(
        st.recursive(atoms, lambda f: st.builds(And, st.tuples(f, f)) | st.builds(Or, st.tuples(f, f)), max_leaves=8)
    )
    lower, upper = box_of(formula, 2)
    for point in [(a / 2, b / 2, c) for a in range(-4, 5) for b in range(-4, 5) for c in (-3, 3)]:
        if holds(formula, point):
            assert all(low <= x <= high for low, x, high in zip(lower, point[:2], upper, strict=True))


def holds(formula: Formula, point: tuple[float, ...]) -> bool:
    if isinstance(formula, Atom):
        value = sum((float(c) * point[i] for i, c in formula.terms), float(formula.constant))  # (exact)
        return value < 0 or (value == 0 and not formula.strict)
    return (all if isinstance(formula, And) else any)(holds(part, point) for part in formula.parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw._replace(payload=raw.payload[:-1]), "sequence of records"),
        (lambda raw: raw._replace(payload=b""), "sequence of records"),
        (lambda raw: raw._replace(payload=raw.payload + raw.payload[:16]), "twice"),
        (lambda raw: raw._replace(payload=raw.payload[:-8] + np.float64(np.inf).tobytes()), "not finite"),
        (lambda raw: raw._replace(payload=raw.payload[:-8] + np.float64(np.nan).tobytes()), "not finite"),
        (lambda raw: raw._replace(node=1), "node 0"),
        (lambda raw: raw._replace(flags=1), "node 0"),
        (lambda raw: raw._replace(first_layer=0), "node 0"),
        (lambda raw: raw._replace(kind=Kind.EMPTY), "node 0"),
    ],
)
def test_bytes_that_are_no_rewriting(change: Callable[[RawEntry], RawEntry], message: str) -> None:
    data = pack_rewriting(records_of(GOOD))
    assert count_entries(data) == 1
    raw = entries_of(data)
    assert unpack_rewriting(raw).tolist() == GOOD
    with pytest.raises(ProofError, match=message):
        unpack_rewriting(change(raw))


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A proof about products of a large and a small number, added up: rewritten, it is short."""
    folder = tmp_path_factory.mktemp("product")
    nodes = [
        helper.make_node("Gather", ["X", "left"], ["a"], axis=1),
        helper.make_node("Gather", ["X", "right"], ["b"], axis=1),
        helper.make_node("Mul", ["a", "b"], ["p"]),
        helper.make_node("MatMul", ["p", "sum"], ["Y"]),
    ]
    constants = [
        helper.make_tensor("left", TensorProto.INT64, [2], [0, 1]),
        helper.make_tensor("right", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("sum", TensorProto.FLOAT, [2, 1], [1.0, -1.0]),
    ]
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("X", 4), ("Y", 1))]
    graph = helper.make_graph(nodes, "product", shapes[:1], shapes[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "product.onnx"))
    text = "(declare-const Y_0 Real)\n"
    for i, end in enumerate((1000, 1000, 0.001, 0.001)):
        text += f"(declare-const X_{i} Real)\n(assert (>= X_{i} -{end}))\n(assert (<= X_{i} {end}))\n"
    (folder / "product.vnnlib").write_text(text + "(assert (>= Y_0 2.5))\n", encoding="utf-8")
    files = Files(folder / "run.proof", folder / "product.onnx", folder / "product.vnnlib")
    verdict = verify(load_network(files.network), load_query(files.query), proof=files.proof)
    assert verdict.status == "unsat"
    return files


def parts_of(proof: Path) -> tuple[bytes, list[bytes]]:
    """What is before the entries, and these."""
    data = gzip.decompress(proof.read_bytes())
    at = data.index(b"\n", data.index(b"\n") + 1) + 1
    head, entries = data[:at], []
    while at < len(data):
        end = at + HEAD.size + HEAD.unpack_from(data, at)[3]
        entries.append(data[at:end])
        at = end
    return head, entries


def with_entries(files: Files, path: Path, entries: list[bytes]) -> Files:
    """The files with other entries, counted right."""
    head, (*_, end) = parts_of(Path(files.proof))
    end = end[: HEAD.size] + (len(entries)).to_bytes(8, "little")
    path.write_bytes(gzip.compress(head + b"".join(entries) + end))
    return replace(files, proof=path)


@pytest.mark.parametrize("exact", [False, True])
def test_a_proof_of_a_rewritten_network_is_accepted(product: Files, exact: bool) -> None:
    entries = parts_of(Path(product.proof))[1]
    assert [entry[0] for entry in entries].count(Kind.REWRITE) == 1
    assert entries[0][0] == Kind.REWRITE
    report = check(product, exact=exact)
    assert report.accepted
    assert report.leaves < 20


def test_wrong_rewritings_in_files(product: Files, tmp_path: Path) -> None:
    """Left out, moved or repeated, or changed by much, it proves nothing; an ulp costs only what it is worth."""
    rewriting, *others, _ = parts_of(Path(product.proof))[1]
    path = tmp_path / "wrong.proof"
    assert not check(with_entries(product, path, others)).accepted
    for entries in ([*others, rewriting], [rewriting, rewriting, *others]):
        with pytest.raises(ProofError):
            check(with_entries(product, path, entries))
    records, formula = unpack_rewriting(entries_of(rewriting)), load_query(product.query).formula
    network, wrong = load_network(product.network), 0
    for i in range(len(records)):
        for factor in (16.0, -16.0):
            changed = records.copy()
            changed["value"][i] *= factor
            if radius_of(network, formula, changed)[0] > 2.6:  # then the query's 2.5 is allowed, at zero for one
                assert not check(with_entries(product, path, [pack_rewriting(changed), *others])).accepted
                wrong += 1
    assert wrong >= 8
    nudged = records.copy()
    nudged["value"] = np.nextafter(nudged["value"], np.inf)
    assert check(with_entries(product, path, [pack_rewriting(nudged), *others])).accepted
