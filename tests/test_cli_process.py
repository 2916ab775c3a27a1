"""The program as a process: signals, pipes, time, what it imports."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import hard_problem

from slir_milp.cli import main
from slir_milp.query import parse_witness

# A search that goes on until it is told to stop, as the real one does, or that never listens.
DRIVER = """
import sys, time
import slir_milp.search
from slir_milp.search.verdict import Progress, Reason, Status, Verdict

def patient(network, query, options, *, progress=None, cancel=None, **_):
    print("searching", file=sys.stderr, flush=True)
    until = time.monotonic() + (options.timeout or 30)
    while time.monotonic() < until and not cancel.is_set():
        progress(Progress(1.0, options.timeout, 0.25, 12, -0.5, 100, "branch and bound"))
        time.sleep(0.01)
    if cancel.is_set():
        return Verdict(Status.UNKNOWN, Reason.INTERRUPTED, closed_fraction=0.25)
    return Verdict(Status.TIMEOUT, Reason.TIME_LIMIT)

def deaf(network, query, options, *, progress=None, cancel=None, **_):
    print("searching", file=sys.stderr, flush=True)
    time.sleep(30)

slir_milp.search.verify = {"patient": patient, "deaf": deaf}[sys.argv.pop(1)]
from slir_milp.cli import main
raise SystemExit(main())
"""


def start(driver: Path, search: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, str(driver), search, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_search(process: "subprocess.Popen[str]") -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line == "searching\n", line


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    path = tmp_path / "driver.py"
    path.write_text(DRIVER)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_gives_the_partial_answer(
    number: signal.Signals, driver: Path, network: Path, query: Path, tmp_path: Path
) -> None:
    target = tmp_path / "result.json"
    with start(driver, "patient", "verify", network, query, "--json", target) as process:
        wait_for_search(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert out == "unknown\n"
    assert "interrupted" in err
    assert "25.00 %" in err
    assert "Traceback" not in err
    assert json.loads(target.read_text())["reason"]["code"] == "interrupted"


def test_a_second_signal_leaves_at_once(driver: Path, network: Path, query: Path) -> None:
    with start(driver, "deaf", "verify", network, query) as process:
        wait_for_search(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "once more" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert (out, err) == ("", "")


def test_a_search_that_overruns_is_left(driver: Path, network: Path, query: Path) -> None:
    started = time.monotonic()
    with start(driver, "deaf", "verify", network, query, "--timeout", "1") as process:
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 3
    assert out == "timeout\n"
    assert time.monotonic() - started < 10


def test_plain_progress_lines(driver: Path, network: Path, query: Path) -> None:
    with start(driver, "patient", "verify", network, query, "--timeout", "2.5") as process:
        out, err = process.communicate(timeout=20)
    assert out == "timeout\n"
    (line,) = [line for line in err.splitlines() if line.startswith("slir-milp: ")]
    assert "branch and bound, 25.0 % of the volume closed, 12 open, 100 regions done" in line
    assert "of 2.5 s" in line


def test_a_reader_that_goes_away_is_no_fault(network: Path, query: Path) -> None:
    receiver, sender = os.pipe()
    os.close(receiver)
    command = [sys.executable, "-m", "slir_milp", "info", str(network), str(query)]
    process = subprocess.run(command, stdout=sender, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    os.close(sender)
    assert process.returncode == 0
    assert process.stderr == ""


def test_a_reader_of_progress_that_goes_away_is_no_fault(network: Path, query: Path) -> None:
    receiver, sender = os.pipe()
    os.close(receiver)
    command = [sys.executable, "-m", "slir_milp", "verify", str(network), str(query)]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=sender, text=True, check=False, timeout=30)
    os.close(sender)
    assert process.returncode == 0
    assert process.stdout.splitlines()[0] in ("sat", "unsat")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_gets_a_sentence(network: Path) -> None:
    command = [sys.executable, "-m", "slir_milp", "info", str(network)]
    with open("/dev/full", "w") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert process.returncode == 2
    assert process.stderr.startswith("slir-milp: error: the answer cannot be written")
    assert len(process.stderr.splitlines()) == 1


def test_errors_of_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "slir_milp", "info", str(tmp_path / "absent.onnx")]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("slir-milp: error: ")


def test_the_console_script_is_installed() -> None:
    script = Path(sys.executable).with_name("slir-milp")
    if not script.exists():
        pytest.skip("the package is not installed beside this Python")
    process = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=30)
    assert process.stdout.startswith("slir-milp ")
    assert "pkg_resources" not in script.read_text()


def test_the_real_search_is_interrupted(tmp_path: Path) -> None:
    network, query = hard_problem(tmp_path)
    command = [sys.executable, "-m", "slir_milp", "verify", str(network), str(query), "--timeout", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "of 60.0 s: " in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == "unknown\n"
    assert "The run was interrupted." in err
    assert time.monotonic() - sent < 5


def test_the_real_search_keeps_its_time(tmp_path: Path) -> None:
    network, query = hard_problem(tmp_path)
    command = [sys.executable, "-m", "slir_milp", "verify", str(network), str(query), "--timeout", "1.5", "--quiet"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (3, "timeout\n", "")
    # The limit, what the program allows itself over it, and the start of a process on a busy machine.
    assert time.monotonic() - started < 1.5 + 1.0 + 3.0


def test_the_real_search_answers(network: Path, query: Path, tmp_path: Path) -> None:
    possible = tmp_path / "possible.vnnlib"
    possible.write_text(query.read_text().replace("(>= Y_0 3)", "(>= Y_0 1.5)"))
    for question, answer in ((query, "unsat"), (possible, "sat")):
        target = tmp_path / f"{answer}.json"
        command = [sys.executable, "-m", "slir_milp", "verify", str(network), str(question), "--json", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0
        assert done.stdout.splitlines()[0] == answer
        assert json.loads(target.read_text())["verdict"] == answer
        if answer == "sat":
            x, y = parse_witness(done.stdout.removeprefix("sat\n"))
            assert all(-1 <= value <= 1 for value in x)
            assert sum(max(value, 0) for value in x) == y[0] >= 1.5


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder here in which nobody can make a file")
@pytest.mark.parametrize("option", ["--json", "--proof"])
def test_a_folder_in_which_nothing_can_be_written_is_told_before_the_search(
    option: str, network: Path, query: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(network), str(query), option, "/proc/result"]) == 2
    told = capsys.readouterr()
    assert f"{option} /proc/result cannot be written" in told.err
    assert told.out == ""
