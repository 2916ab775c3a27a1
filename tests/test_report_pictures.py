"""Decision maps and trees of proofs: what they claim, their files, their pictures."""

import json
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_cases import HOSTILE

from slir_milp import Options, Status, load_network, load_query, parse_query, verify
from slir_milp.cli import main
from slir_milp.network import Network
from slir_milp.problems.catalogue import problem
from slir_milp.query import Query
from slir_milp.report.decision_map import Cell, DecisionMap, Plane, decision_map, plane_of
from slir_milp.report.drawing.decision_map import Axis, MapPicture
from slir_milp.report.drawing.files import read_picture
from slir_milp.report.drawing.proof_tree import TreePicture
from slir_milp.report.drawing.svg import element, number, printable, short, ticks
from slir_milp.report.proof_tree import proof_tree
from slir_milp.search import Splitting

AVOIDANCE = problem("avoidance")
LOWER = np.array([-0.5, -0.5, 0.2667, 0.24, 0.24])
UPPER = np.array([0.0, 0.5, 0.2722, 0.26, 0.26])


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network(AVOIDANCE.network)


@pytest.fixture(scope="module")
def drawn(network: Network) -> DecisionMap:
    return decision_map(network, Plane(0, 1, LOWER, UPPER), depth=5, effort=50)


def another_is_as_good(found: DecisionMap, cell: Cell) -> Query:
    """Whether another output can be preferred somewhere in a cell."""
    low, high = found.plane.box(cell)
    text = "".join(f"(declare-const X_{i} Real)" for i in range(len(low)))
    text += "".join(f"(declare-const Y_{k} Real)" for k in range(found.outputs))
    for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        # (decimals end, so that these are the very numbers)
        text += f"(assert (>= X_{i} {Decimal(a):f}))(assert (<= X_{i} {Decimal(b):f}))"
    sign = "<=" if found.least else ">="
    others = "".join(f"({sign} Y_{k} Y_{cell.best})" for k in range(found.outputs) if k != cell.best)
    return parse_query(f"{text}(assert (or {others}))")


def test_cells_cover_the_plane_once(drawn: DecisionMap) -> None:
    covered = np.zeros((32, 32), dtype=int)
    for cell in drawn.cells:
        side = 32 >> cell.depth
        covered[cell.row * side :, cell.column * side :][:side, :side] += 1
    assert (covered == 1).all()
    assert sum(area for area, _ in drawn.shares().values()) == 1.0
    assert drawn.complete
    assert 0.7 < drawn.proven_share < 1.0
    assert len(drawn.shares()) >= 4


def test_no_sample_contradicts_a_proven_cell(network: Network, drawn: DecisionMap) -> None:
    random = np.random.default_rng(1)
    for cell in drawn.cells:
        low, high = drawn.plane.box(cell)
        points = np.vstack([low, high, low + (high - low) * random.random((200, 5))])
        if cell.proven:
            assert (np.argmin(network(points), axis=1) == cell.best).all()


def test_the_search_confirms_proven_cells(network: Network, drawn: DecisionMap) -> None:
    proven = [cell for cell in drawn.cells if cell.proven]
    for cell in proven[:: max(1, len(proven) // 25)]:
        verdict = verify(network, another_is_as_good(drawn, cell), Options(jobs=1, timeout=20))
        assert verdict.status is Status.UNSAT


def test_the_search_refutes_cells_that_two_outputs_share(network: Network, drawn: DecisionMap) -> None:
    statuses = Counter()
    for cell in [cell for cell in drawn.cells if not cell.proven][::20]:
        statuses[verify(network, another_is_as_good(drawn, cell), Options(jobs=1, timeout=20)).status] += 1
    assert statuses[Status.SAT] > 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([True, False]))
def test_random_networks_keep_their_promise(tmp_path_factory: pytest.TempPathFactory, seed: int, least: bool) -> None:
    random = np.random.default_rng(seed)
    lines = ["2,3,3,4,", "3,4,3,", "0,", "-2,-2,-2,", "2,2,2,", "0,0,0,0,", "1,1,1,1,"]
    for rows, columns in ((4, 3), (3, 4)):
        lines += [",".join(f"{x:.3f}" for x in random.normal(size=columns)) + "," for _ in range(rows)]
        lines += [f"{x:.3f}," for x in random.normal(size=rows)]
    path = tmp_path_factory.mktemp("net") / "net.nnet"
    path.write_text("\n".join(lines) + "\n")
    network = load_network(path)
    found = decision_map(
        network, plane_of(3, (0, -1.0, 1.0), (2, -1.0, 1.0), [(1, -0.1, 0.1)]), least=least, depth=3, effort=30
    )
    best = np.argmin if least else np.argmax
    for cell in found.cells:
        low, high = found.plane.box(cell)
        if cell.proven:
            points = low + (high - low) * random.random((100, 3))
            assert (best(network(points), axis=1) == cell.best).all()
            assert verify(network, another_is_as_good(found, cell), Options(jobs=1)).status is Status.UNSAT


def test_a_cancelled_map_covers_the_plane(network: Network) -> None:
    cancel = threading.Event()
    cancel.set()
    found = decision_map(network, Plane(0, 1, LOWER, UPPER), cancel=cancel)
    assert not found.complete
    assert sum(area for area, _ in found.shares().values()) == 1.0
    assert found.proven_share == 0.0


def test_two_threads_find_the_same(network: Network, drawn: DecisionMap) -> None:
    again = decision_map(network, Plane(0, 1, LOWER, UPPER), depth=5, effort=50, jobs=2)
    assert again.cells == drawn.cells


MAP = ["map", str(AVOIDANCE.network), "--x", "X_0=-0.5:0", "--y", "X_1=-0.5:0.5", "--fix", "X_2=0.27", "--depth", "3"]
REST = ["--fix", "X_3=0.25", "--fix", "X_4=0.25"]


def test_map_writes_a_picture_and_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--label", f"X_0={HOSTILE}", "--label", f"Y_0={HOSTILE}", "--shown", "X_0=0:5000", "--title", HOSTILE]
    for ending in ("svg", "json"):
        assert main([*MAP, *REST, *more, "--out", str(tmp_path / f"map.{ending}")]) == 0
    assert "% of the plane proven" in capsys.readouterr().out
    svg = (tmp_path / "map.svg").read_text(encoding="utf-8")
    tree = ElementTree.fromstring(svg)
    assert tree.find("{*}title").text == HOSTILE  # type: ignore[union-attr]
    assert not list(tree.findall(".//{*}script"))
    assert "5000" in [node.text for node in tree.findall(".//{*}text")]
    again = read_picture(tmp_path / "map.json")
    assert again.svg() == svg.split("\n", 1)[1].rstrip("\n")


def test_a_picture_that_stands_alone_says_what_it_is_about(drawn: DecisionMap) -> None:
    def words(fixed: tuple[str, ...], *, complete: bool) -> list[str | None]:
        cells = tuple((cell.column, cell.row, cell.depth, cell.best, cell.proven) for cell in drawn.cells)
        axis = Axis("X_0", 0.0, 1.0, (0.0, 1.0))
        picture = MapPicture("map", axis, axis, fixed, True, (), cells, complete)
        return [node.text for node in ElementTree.fromstring(picture.svg()).findall(".//{*}text")]

    few = words(("X_2 0.5", "X_3 from 0 to 1"), complete=True)
    assert few[-3:] == ["other inputs", "X_2 0.5", "X_3 from 0 to 1"]
    many = words(tuple(f"X_{q} 0" for q in range(2, 784)), complete=False)
    shown = [word for word in many if word and word.startswith("X_") and word.endswith(" 0")]
    assert many[-2:] == [f"and {782 - len(shown)} more", "cut short: cells are coarser than asked"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*MAP, "--out", "a.svg"], "no value is given for X_3, X_4"),
        ([*MAP, *REST, "--out", "a.png"], "ends in .svg"),
        ([*MAP, *REST, "--fix", "X_0=1", "--out", "a.svg"], "X_0 is given twice"),
        ([*MAP, *REST, "--fix", "X_9=1", "--out", "a.svg"], "there is no input X_9"),
        ([*MAP, *REST, "--label", "Y_7=up", "--out", "a.svg"], "there is no Y_7"),
        ([*MAP, *REST, "--label", "up", "--out", "a.svg"], "names nothing"),
        ([*MAP, *REST, "--shown", "X_0=1:1", "--out", "a.svg"], "single value"),
        ([*MAP, "--fix", "X_3=1:0", "--fix", "X_4=0", "--out", "a.svg"], "reversed"),
        ([*MAP, "--fix", "X_3=nan", "--fix", "X_4=0", "--out", "a.svg"], "no range"),
        ([*MAP, *REST, "--out", "nowhere/a.svg"], "does not exist"),
        (["map", str(AVOIDANCE.network), "--x", "X_0=1:2", "--y", "X_0=1:2", "--out", "a.svg"], "given twice"),
    ],
)
def test_bad_maps_get_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_one_output_has_no_map(tmp_path: Path, network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del network
    path = tmp_path / "one.nnet"
    path.write_text("1,2,1,2,\n2,1,\n0,\n-1,-1,\n1,1,\n0,0,0,\n1,1,1,\n1,1,\n0,\n")
    assert main(["map", str(path), "--x", "X_0=0:1", "--y", "X_1=0:1", "--out", str(tmp_path / "a.svg")]) == 2
    assert "at least two outputs" in capsys.readouterr().err


@pytest.fixture(scope="module", params=[Splitting.INPUT, Splitting.ACTIVATION])
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proofs") / "run.proof"
    boundary = problem("boundary_2d")
    (query,) = (q for q in boundary.queries if q.name == "exceeded")
    options = Options(jobs=1, splitting=request.param, timeout=60)
    verdict = verify(load_network(boundary.network), load_query(query.path), options, proof=path)
    assert verdict.status is Status.UNSAT
    return path


def test_a_tree_has_the_nodes_of_its_proof(proof: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = proof_tree(proof, finest=10**9)
    assert main(["show-proof", str(proof), "--summary"]) == 0
    figures = capsys.readouterr().out
    leaves = [node for node in tree.nodes if node.kind in ("refuted", "empty", "implied")]
    assert len(leaves) == tree.leaves
    assert len(tree.nodes) == tree.total
    for kind in ("refuted", "empty"):
        count = sum(node.kind == kind for node in leaves)
        assert count == 0 or f"{count:,} {kind.upper()}" in figures
    assert f"depth    {tree.depth:,}" in figures or any(node.kind == "implied" for node in leaves)
    for node in tree.nodes[1:]:
        assert tree.nodes[node.parent].depth == node.depth - 1


def test_a_tree_cut_down_keeps_its_leaves(proof: Path) -> None:
    whole, cut = proof_tree(proof, finest=10**9), proof_tree(proof, finest=3)
    assert (cut.total, cut.leaves, cut.depth) == (whole.total, whole.leaves, whole.depth)
    assert len(cut.nodes) <= len(whole.nodes)
    parents = {node.parent for node in cut.nodes}
    assert sum(node.leaves for place, node in enumerate(cut.nodes) if place not in parents) == cut.leaves


def test_tree_writes_a_picture_and_its_data(proof: Path, tmp_path: Path) -> None:
    for ending in ("svg", "json"):
        assert main(["tree", str(proof), "--out", str(tmp_path / f"t.{ending}"), "--title", HOSTILE]) == 0
    svg = (tmp_path / "t.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(svg)
    bars = [node for node in root.findall(".//{*}rect") if node.find("{*}title") is not None]
    assert bars
    assert read_picture(tmp_path / "t.json").svg() == svg.split("\n", 1)[1].rstrip("\n")


@pytest.mark.slow
def test_a_tree_of_many_nodes_stays_small(benchmarks: Path, tmp_path: Path) -> None:
    folder = benchmarks / "acasxu"
    network = load_network(folder / "onnx/ACASXU_run2a_3_3_batch_2000.onnx")
    path = tmp_path / "run.proof"
    verify(network, load_query(folder / "vnnlib/prop_2.vnnlib"), Options(timeout=60), proof=path)
    tree = proof_tree(path)
    assert tree.total > 5000
    assert len(TreePicture.of(tree, "").svg()) < 800_000


def test_bad_trees_get_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.proof"
    path.write_bytes(b"nothing")
    for arguments, said in (
        ([str(path), "--out", str(tmp_path / "a.svg")], "none.proof"),
        ([str(path), "--out", str(tmp_path / "a.png")], ".svg"),
        ([str(tmp_path / "absent"), "--out", str(tmp_path / "a.svg")], "there is no file"),
    ):
        assert main(["tree", *arguments]) == 2
        assert said in capsys.readouterr().err


TREE: dict[str, Any] = {
    "picture": "proof tree", "format": 1, "title": "t", "total": 3, "layers": [2],
    "nodes": [[-1, 0, 0, 2, 1], [0, 3, -1, 1, 1], [0, 4, -1, 1, 1]], "values": [0.5, 0, 0],
}  # fmt: skip
MAP_DATA: dict[str, Any] = {
    "picture": "decision map", "format": 1, "title": "m", "fixed": [], "least": True, "complete": True, "names": ["a"],
    "x": {"label": "x", "lower": 0, "upper": 1, "shown": [0, 1]},
    "y": {"label": "y", "lower": 0, "upper": 1, "shown": [0, 1]},
    "cells": [[0, 0, 0, 0, 1]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "field", "value"),
    [
        (TREE, "nodes", []),
        (TREE, "nodes", [[0, 0, 0, 2, 1]]),
        (TREE, "nodes", [[-1, 9, 0, 2, 1], [0, 3, -1, 1, 1], [0, 4, -1, 1, 1]]),
        (TREE, "nodes", "x"),
        (TREE, "values", [1, 2]),
        (TREE, "layers", [0]),
        (TREE, "title", 7),
        (TREE, "total", -1),
        (MAP_DATA, "cells", [[0, 0, 0, 0]]),
        (MAP_DATA, "cells", [[1, 0, 0, 0, 1]]),
        (MAP_DATA, "cells", [[0, 0, 0, -1, 1]]),
        (MAP_DATA, "cells", [[True, 0, 0, 0, 1]]),
        (MAP_DATA, "x", {"label": "x", "lower": 0, "upper": 1, "shown": [1, 1]}),
        (MAP_DATA, "x", []),
        (MAP_DATA, "least", 1),
        (MAP_DATA, "names", [3]),
        (MAP_DATA, "y", {"label": "x", "lower": True, "upper": 1, "shown": [0, 1]}),
    ],
)
def test_spoilt_pictures_get_a_sentence(tmp_path: Path, content: dict[str, Any], field: str, value: object) -> None:
    from slir_milp.errors import OptionError

    path = tmp_path / "picture.json"
    path.write_text(json.dumps(content))
    assert read_picture(path).svg().startswith("<svg")
    path.write_text(json.dumps({**content, field: value}))
    with pytest.raises(OptionError, match="is no picture"):
        read_picture(path)


@settings(max_examples=50)
@given(st.text(max_size=20))
def test_every_text_can_be_written(text: str) -> None:
    written = ElementTree.tostring(element("text", text), encoding="unicode")
    assert ElementTree.fromstring(written).text in (printable(text), None)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_lie_within(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert len(found) <= 8
    assert all(low - 1e-6 * width - 1e-9 * abs(low) <= x <= low + width * (1 + 1e-6) + 1e-9 * abs(low) for x in found)


def test_numbers_are_short() -> None:
    assert [short(x) for x in (1.0, 0.5, 1.239, -0.001)] == ["1", "0.5", "1.24", "-0"]
    assert number(-0.25) == "−0.25"
