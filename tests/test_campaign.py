"""Campaigns: limits for whole process trees, kills at any moment, other tools, two campaigns on one folder."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from slir_milp.bench.adapter import load_adapter
from slir_milp.bench.process import Ended, Limited
from slir_milp.bench.tool import Job
from slir_milp.cli import main
from slir_milp.errors import SlirError
from slir_milp.report.campaign import read_campaign
from slir_milp.report.results import read_results

ADAPTERS = Path(__file__).parent.parent / "slir_milp/bench/tools"
NETWORKS = ("answers", "sleeps", "grows", "crashes", "mumbles", "leaves")

FAKE = """\
import os, subprocess, sys, time
network, result, log = sys.argv[1:4]
name = os.path.basename(network).split("-")[0].split(".")[0]
with open(log, "a") as file:
    file.write(f"{os.path.basename(network)}\\n")
if name == "sleeps":
    subprocess.Popen(["setsid", "sleep", "1234"])
    time.sleep(1234)
if name == "grows":
    held = []
    while True:
        held.append(bytearray(5_000_000))
        time.sleep(0.001)
if name == "leaves":
    subprocess.Popen(["sleep", "1234"])
if name == "crashes":
    sys.exit("it is broken")
time.sleep(0.05)
with open(result, "w") as file:
    file.write("perhaps" if name == "mumbles" else "unsat\\n")
"""


def alive(word: str) -> list[int]:
    """Processes of this user that have a word among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes().decode(errors="replace").split("\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """A tool that does as the network's name says, and logs every start."""
    script, log = tmp_path / "fake.py", tmp_path / "starts.txt"
    script.write_text(FAKE)
    log.touch()
    path = tmp_path / "fake.toml"
    command = [sys.executable, "-S", str(script), "{network}", "{result}", str(log)]
    path.write_text(f'name = "fake"\nversion = "1"\ncommand = {json.dumps(command)}\nresult = "vnncomp"\n')
    return path


def make_set(folder: Path, networks: list[str]) -> Path:
    folder.mkdir()
    (folder / "q.vnnlib").touch()
    for name in networks:
        (folder / f"{name}.onnx").touch()
    (folder / "instances.csv").write_text("".join(f"{name}.onnx,q.vnnlib,30\n" for name in networks))
    return folder


def bench(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "slir_milp", "bench", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


# --- one command ---------------------------------------------------------------------------------------------------


def limited(folder: Path, script: str, cancel: threading.Event | None = None, **limits: object) -> Ended:
    return Limited(["sh", "-c", script], folder, **limits).run(cancel or threading.Event())  # type: ignore[arg-type]


def test_a_command_and_its_children(tmp_path: Path) -> None:
    ended = limited(tmp_path, "sleep 4321 & setsid sleep 4321 & echo out; echo err >&2; exit 3")
    assert (ended.ended, ended.code) == ("itself", 3)
    assert (tmp_path / "stdout.txt").read_text() == "out\n"
    assert (tmp_path / "stderr.txt").read_text() == "err\n"
    assert ended.peak_bytes is not None
    assert ended.peak_bytes > 100_000
    if sys.platform == "linux":
        assert alive("4321") == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_nobody_outlives_the_time(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; (trap '' TERM; setsid sleep 4322) & sleep 4322; sleep 4322"
    ended = limited(tmp_path, stubborn, seconds=0.3)
    assert ended.ended == "time"
    assert ended.seconds < 3
    assert alive("4322") == []


def test_a_wish_to_stop(tmp_path: Path) -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    assert limited(tmp_path, "sleep 30", cancel).ended == "told"


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(SlirError, match=r"no-such-program cannot be run: No such file"):
        Limited(["/no-such-program"], tmp_path).run(threading.Event())


# --- campaigns -----------------------------------------------------------------------------------------------------


def test_whatever_a_tool_does(tool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, results = make_set(tmp_path / "set", list(NETWORKS)), tmp_path / "results"
    limits = ["--timeout", "1.5", "--memory-limit", "200", "--results", str(results), "--parallel", "3"]
    assert main(["bench", str(folder), *limits, "--tool", str(tool)]) == 1
    rows = {Path(row.onnx).stem: row for row in read_results(results / "results.csv")}
    assert {name: row.verdict for name, row in rows.items()} == {
        "answers": "unsat",
        "sleeps": "timeout",
        "grows": "unknown",
        "crashes": "error",
        "mumbles": "error",
        "leaves": "unsat",
    }
    assert "it is broken" in rows["crashes"].reason
    assert "perhaps" in rows["mumbles"].reason
    assert rows["grows"].reason.startswith("the memory limit was reached")
    assert 200 < (rows["grows"].peak_mb or 0) < 2000
    assert (results / rows["answers"].document).read_text().endswith("unsat\n")
    if sys.platform == "linux":
        assert alive("1234") == []
    assert "6 instances: 2 solved" in capsys.readouterr().out
    campaign = read_campaign(results)
    assert campaign is not None
    assert [(t.name, t.version) for t in campaign.tools] == [("fake", "1")]
    assert [(s.name, s.instances) for s in campaign.sets] == [("set", 6)]


def test_killed_at_any_moment(tool: Path, tmp_path: Path) -> None:
    names = [f"answers-{i}" for i in range(24)]
    folder, results = make_set(tmp_path / "set", names), tmp_path / "results"
    arguments = [folder, "--results", results, "--tool", tool, "--parallel", 2, "--timeout", 20]
    delays = random.Random(4)
    kills = 0
    for _ in range(3):
        process = bench(*arguments)
        while process.poll() is None and not (results / "campaign.json").exists():
            time.sleep(0.01)
        time.sleep(delays.uniform(0, 0.4))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate()
    rows = read_results(results / "results.csv")
    written = {row.onnx for row in rows}
    done = bench(*arguments)
    output, _ = done.communicate(timeout=60)
    assert done.returncode == 0, output
    assert kills > 0
    assert Counter(row.onnx for row in read_results(results / "results.csv")) == {f"{n}.onnx": 1 for n in names}
    starts = Counter((tmp_path / "starts.txt").read_text().split())
    assert set(starts) == {f"{name}.onnx" for name in names}
    # Each kill can cost the two instances that ran, and no more; what had a row was not run again.
    assert sum(starts.values()) <= len(names) + 2 * kills
    assert written <= set(starts)
    documents = [(results / row.document).is_file() for row in read_results(results / "results.csv")]
    assert all(documents)
    assert not list(results.glob("**/.*json*"))


def test_interrupted_by_a_signal(tool: Path, tmp_path: Path) -> None:
    folder, results = make_set(tmp_path / "set", ["answers", "sleeps"]), tmp_path / "results"
    process = bench(folder, "--results", results, "--tool", tool)
    log = tmp_path / "starts.txt"
    while process.poll() is None and "sleeps" not in log.read_text():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert [row.verdict for row in read_results(results / "results.csv")] == ["unsat"]
    assert b"interrupted" in output
    if sys.platform == "linux":
        assert alive("1234") == []


def test_two_campaigns_on_one_folder(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, results = make_set(tmp_path / "set", ["sleeps"]), tmp_path / "results"
    first = bench(folder, "--results", results, "--tool", tool)
    while first.poll() is None and "sleeps" not in (tmp_path / "starts.txt").read_text():
        time.sleep(0.05)
    monkeypatch.setattr("slir_milp.bench.folder._WAIT", 0.2)
    assert main(["bench", str(folder), "--results", str(results), "--tool", str(tool)]) == 2
    assert "another campaign writes" in capsys.readouterr().err
    monkeypatch.undo()
    first.kill()
    first.communicate()
    # Its guard ends what it has started, and lets go of the folder.
    (folder / "instances.csv").write_text("answers.onnx,q.vnnlib,30\n")
    (folder / "answers.onnx").touch()
    assert main(["bench", str(folder), "--results", str(results), "--tool", str(tool)]) == 0
    if sys.platform == "linux":
        assert alive("1234") == []


def test_what_does_not_go_together(tool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, results = make_set(tmp_path / "set", ["answers"]), tmp_path / "results"
    command = ["bench", str(folder), "--results", str(results), "--tool", str(tool), "--jobs", "1"]
    assert main([*command, "--timeout", "20"]) == 0
    for arguments, sentence in (
        (["--timeout", "10"], "give the same limits"),
        (["--timeout", "20", "--memory-limit", "100"], "give the same limits"),
    ):
        assert main([*command, *arguments]) == 2
        assert sentence in capsys.readouterr().err
    tool.write_text(tool.read_text().replace('version = "1"', 'version = "2"'))
    assert main([*command, "--timeout", "20"]) == 2
    assert "with the version '1', and now it is '2'" in capsys.readouterr().err
    tool.write_text(tool.read_text().replace('"fake"', '"another"'))
    assert main([*command, "--timeout", "20"]) == 0
    assert [row.tool for row in read_results(results / "results.csv")] == ["fake", "another"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").touch()
    for folder_of_results, sentence in ((elsewhere, "other files"), (tmp_path / "fake.py", "cannot be")):
        assert main(["bench", str(folder), "--results", str(folder_of_results), "--tool", str(tool)]) == 2
        assert sentence in capsys.readouterr().err
    for option in (["--parallel", "2"], ["--tool", "marabou"], ["--cluster", "local"]):
        assert main(["bench", str(folder), *option]) == 2
        assert "--results" in capsys.readouterr().err


def test_our_own_program(network: Path, query: Path, tmp_path: Path) -> None:
    folder = make_set(tmp_path / "set", [])
    text = query.read_text()
    (folder / "n.nnet").write_text(network.read_text())
    (folder / "no.vnnlib").write_text(text)
    (folder / "yes.vnnlib").write_text(text.replace("3", "1.5"))
    (folder / "bad.vnnlib").write_text(text + "(")
    names = ("no", "yes", "bad", "absent")
    (folder / "instances.csv").write_text("".join(f"n.nnet,{name}.vnnlib,60\n" for name in names))
    results = tmp_path / "results"
    assert main(["bench", str(folder), "--results", str(results), "--parallel", "2"]) == 1
    rows = {Path(row.vnnlib).stem: row for row in read_results(results / "results.csv")}
    assert [rows[name].verdict for name in names] == ["unsat", "sat", "error", "error"]
    assert rows["no"].closed_by == {"bound": 1}
    assert rows["yes"].witness == "both"
    assert json.loads((results / rows["yes"].document).read_text())["verdict"] == "sat"
    witness = results / "witnesses/set" / f"{Path(rows['yes'].document).stem}.txt"
    assert witness.read_text().startswith("((X_0 ")
    with open(results / "results.csv", newline="") as file:
        assert next(csv.reader(file))[:4] == ["set", "onnx", "vnnlib", "tool"]


# --- adapters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(ADAPTERS.glob("*.toml")), ids=lambda path: path.stem)
def test_declared_tools(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = path.read_text().split('command = ["')[1].split('"')[0]
    (tmp_path / program).write_text("#!/bin/sh\necho 1.2.3\n")
    (tmp_path / program).chmod(0o755)
    (tmp_path / "python").symlink_to(tmp_path / program)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    adapter = load_adapter(path.stem)
    assert adapter.name == path.stem
    assert adapter.version in ("1.2.3", "unknown")
    command = adapter.command(Job(Path("n.onnx"), Path("q.vnnlib"), tmp_path, 20.5, None, 2))
    assert command[0] == str(tmp_path / program)
    assert not any("{" in part for part in command)
    with pytest.raises(SlirError, match="must be told a time"):
        adapter.command(Job(Path("n.onnx"), Path("q.vnnlib"), tmp_path, None, None, 2))


def said(folder: Path, network: Path, query: Path, declaration: str, stdout: str, result: str) -> tuple[str, str, str]:
    path = folder / "some.toml"
    path.write_text('name = "some"\ncommand = ["true"]\n' + declaration)
    job = Job(network, query, folder, 10, None, 1)
    (folder / "out").write_text(stdout)
    job.result.write_text(result)
    answer = load_adapter(str(path)).read(job, Ended("itself", 0, 1.0, None), folder / "out", folder / "err")
    return answer.verdict, answer.witness, answer.reason


def test_what_tools_say(network: Path, query: Path, tmp_path: Path) -> None:
    query.write_text(query.read_text().replace("3", "1.5"))  # the sum of two numbers from -1 to 1 is 1.5

    def file(text: str) -> tuple[str, str, str]:
        return said(tmp_path, network, query, 'result = "vnncomp"\n', "", text)

    assert file("holds\n")[0] == "unsat"
    assert file("timeout")[:2] == ("timeout", "")
    assert file("unsat,0.1\n")[0] == "unsat"
    assert file("sat\n((X_0 1.0)\n(X_1 0.75)\n(Y_0 1.75))\n")[:2] == ("sat", "both")
    assert file("sat\n((X_0 1.00000001)\n(X_1 0.75)\n(Y_0 1.75))\n")[:2] == ("sat", "both")
    assert file("sat\n((X_0 1.0)\n(X_1 0.25)\n(Y_0 1.75))\n")[1:] == ("none", "it said sat; its witness does not hold")
    assert "outside" in file("sat\n((X_0 1.5)\n(X_1 0.25)\n(Y_0 1.75))\n")[2]
    assert "has 1 inputs" in file("sat\n((X_0 1.5))\n")[2]
    assert file("sat\n")[1:] == ("", "it said sat, and gave no witness")
    with pytest.raises(SlirError, match="nothing in what it said"):
        file("sad")
    patterns = "[patterns]\nunsat = '^verified'\nsat = '^broken'\nwitness = 'x(\\d+) = (\\S+)'\n"
    found = said(tmp_path, network, query, patterns, "thinking\nbroken\nx0 = 1\nx1 = 1.0e0\n", "")
    assert found[:2] == ("sat", "both")
    assert said(tmp_path, network, query, patterns, "a\nverified in 1 s\n", "")[0] == "unsat"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("command = 3", "name must be"),
        ("name = 'slir-milp'\ncommand = ['x']\nresult = 'vnncomp'", "name must be"),
        ("name = 'a'\ncommand = 'x y'\nresult = 'vnncomp'", "command must be a list"),
        ("name = 'a'\ncommand = ['x', '{nettwork}']\nresult = 'vnncomp'", "{nettwork} is no place"),
        ("name = 'a'\ncommand = ['x']", "either result or patterns"),
        ("name = 'a'\ncommand = ['x']\nresult = 'csv'", "'vnncomp' only"),
        ("name = 'a'\ncommand = ['x']\n[patterns]\nsat = '('", "no regular expression"),
        ("name = 'a'\ncommand = ['x']\nresult = 'vnncomp'\nwitness = '('", "regular expression"),
        ("name = 'a'\ncommand = ['x']\n[patterns]\nmaybe = 'x'", "patterns can be for"),
        ("name = 'a'\ncommand = ['x']\nresult = 'vnncomp'\ntimeout = 3", "'timeout' means nothing"),
        ("name = 'a'\nversion = 3\ncommand = ['x']\nresult = 'vnncomp'", "version must be"),
        ("name =", "cannot be read as TOML"),
    ],
)
def test_bad_declarations(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SlirError) as caught:
        load_adapter(str(path))
    assert sentence in str(caught.value)


def test_unknown_tools() -> None:
    with pytest.raises(SlirError, match="known are alpha-beta-crown, marabou"):
        load_adapter("nonsense")
