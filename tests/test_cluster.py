"""Queries and campaigns on a Dask cluster of this machine: same verdicts, whatever becomes of the workers."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from stand_in import hard_problem

from slir_milp import Options, Splitting, Status, load_network, load_query, verify
from slir_milp.cli import main
from slir_milp.cluster import Connection, connect, verify_on
from slir_milp.errors import SlirError
from slir_milp.network import Network
from slir_milp.query import Query
from slir_milp.report.results import read_results

pytest.importorskip("distributed")
# Dask's own clean-up, when workers die, is not always quiet.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def two() -> Iterator[Connection]:
    with connect("local:2") as connection:
        yield connection


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares so short that even a small problem takes many."""
    monkeypatch.setattr("slir_milp.cluster.verify._SLICE", 0.02)
    monkeypatch.setattr("slir_milp.cluster.verify._SHORT_SLICE", 0.01)


def wide_question(folder: Path, least: float, inputs: int = 6) -> tuple[Network, Query]:
    """A random network of some inputs, and whether its output can be so great."""
    rng = np.random.default_rng(1)
    sizes = (inputs, 5 * inputs + 10, 5 * inputs + 10, 1)
    lines = [
        "// random",
        f"3,{inputs},1,{sizes[1]},",
        ",".join(map(str, sizes)) + ",",
        "0,",
        "-1," * inputs,
        "1," * inputs,
    ]
    lines += ["0," * (inputs + 1), "1," * (inputs + 1)]
    for n, m in pairwise(sizes):
        lines += [",".join(map(repr, row)) for row in (rng.normal(size=(m, n)) / np.sqrt(n)).tolist()]
        lines += [repr(value) for value in (rng.normal(size=m) / 4).tolist()]
    (folder / "wide.nnet").write_text("\n".join(lines) + "\n")
    names = [*(f"X_{i}" for i in range(inputs)), "Y_0"]
    text = [f"(declare-const {name} Real)" for name in names]
    text += [f"(assert (and (>= {name} -1) (<= {name} 1)))" for name in names[:-1]]
    (folder / "wide.vnnlib").write_text("\n".join([*text, f"(assert (>= Y_0 {least}))"]))
    return load_network(folder / "wide.nnet"), load_query(folder / "wide.vnnlib")


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(("splitting", "least", "inputs"), [(Splitting.INPUT, 1.0, 6), (Splitting.ACTIVATION, 1.4, 4)])
def test_many_shares_close_what_one_search_closes(
    splitting: Splitting, least: float, inputs: int, two: Connection, tmp_path: Path
) -> None:
    network, query = wide_question(tmp_path, least, inputs)
    options = Options(jobs=1, splitting=splitting)
    alone = verify(network, query, options)
    together = verify_on(two, network, query, options)
    assert alone.status is Status.UNSAT
    assert together.status is Status.UNSAT
    assert together.statistics.regions > 100
    assert together.closed_fraction == 1.0
    # The tree of regions is the same, whoever explores which part.
    assert together.statistics.regions == alone.statistics.regions
    assert together.statistics.closed_by == alone.statistics.closed_by


@pytest.mark.usefixtures("slow")
def test_a_witness_is_replayed_here(two: Connection, tmp_path: Path) -> None:
    network, query = wide_question(tmp_path, 0.1)
    verdict = verify_on(two, network, query, Options(jobs=1))
    assert verdict.status is Status.SAT
    assert verdict.witness is not None
    assert query.holds(verdict.witness.x, verdict.witness.exact_outputs)


def test_limits_and_wishes(two: Connection, tmp_path: Path) -> None:
    network, query = map(str, hard_problem(tmp_path))
    read, asked = load_network(network), load_query(query)
    started = time.monotonic()
    verdict = verify_on(two, read, asked, Options(timeout=1.5))
    assert verdict.status is Status.TIMEOUT
    assert time.monotonic() - started < 10
    assert 0 <= verdict.closed_fraction < 1
    cancel = threading.Event()
    threading.Timer(1.0, cancel.set).start()
    assert verify_on(two, read, asked, cancel=cancel).status is Status.UNKNOWN


def test_a_killed_worker_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("slir_milp.cluster.verify._SLICE", 0.1)
    network, query = wide_question(tmp_path, 0.8)
    options = Options(jobs=1, splitting=Splitting.INPUT)
    expected = verify(network, query, options).statistics
    with connect("local:2") as two:
        pids = list(two.client.run(os.getpid).values())
        kills: list[int] = []

        def kill(_: object) -> None:
            if not kills:
                kills.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        verdict = verify_on(two, network, query, options, progress=kill)
    assert kills
    assert verdict.status is Status.UNSAT
    assert verdict.statistics.regions == expected.regions
    assert verdict.statistics.closed_by == expected.closed_by


def test_a_campaign_on_a_cluster(
    network: Path, query: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, results = tmp_path / "set", tmp_path / "results"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.nnet").write_text(network.read_text())
        (folder / f"{i}.vnnlib").write_text(query.read_text())
    (folder / "instances.csv").write_text("".join(f"{i}.nnet,{i}.vnnlib,60\n" for i in (0, 1, 2, 3)))
    command = ["bench", str(folder), "--results", str(results), "--cluster", "local:2"]
    assert main(command) == 1
    rows = read_results(results / "results.csv")
    assert sorted(row.verdict for row in rows) == ["error", "unsat", "unsat", "unsat"]
    assert all((results / row.document).is_file() for row in rows if row.document)
    before = (results / "results.csv").read_bytes()
    assert main(command) == 1
    assert (results / "results.csv").read_bytes() == before
    assert main([*command[:-2], "--parallel", "2"]) == 2
    assert "a cluster" in capsys.readouterr().err


def test_bad_addresses(network: Path, query: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for address in ("locally", "local:0", "local:x"):
        assert main(["verify", str(network), str(query), "--cluster", address]) == 2
        assert "is no cluster" in capsys.readouterr().err
    assert main(["verify", str(network), str(query), "--cluster", "local", "--proof", "p"]) == 2
    assert "writes no proof" in capsys.readouterr().err


def test_no_folder_is_begun_for_a_cluster_that_is_not_there(
    network: Path, query: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "instances.csv").write_text(f"{network},{query},5\n")
    results = tmp_path / "results"
    assert main(["bench", str(tmp_path), "--results", str(results), "--cluster", "locally"]) == 2
    assert "is no cluster" in capsys.readouterr().err
    assert not results.exists()


def test_nobody_answers() -> None:
    with pytest.raises(SlirError, match="no Dask scheduler answers"), connect("tcp://127.0.0.1:1", wait=0.3):
        pass


def test_a_worker_of_another_version_refuses(two: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slir_milp.cluster.verify.program", lambda: "another")
    network, query = wide_question(tmp_path, 3.0)
    with pytest.raises(SlirError, match="another version of slir_milp"):
        verify_on(two, network, query, Options(timeout=60))
