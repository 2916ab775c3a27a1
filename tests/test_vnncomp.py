"""The scripts of VNN-COMP, run as its runner runs them, and their results judged as its scoring judges them.

The judge below follows the rules of 2026 and shares no code with the program: a witness is read from the result file,
its inputs must lie in the query's box (strictly, or up to 1e-4, which counts less), its outputs are not believed but
computed by ONNX Runtime in the network's own element type, and these must meet the query without any tolerance.
"""

import gzip
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "vnncomp"
PROBLEMS = ROOT / "problems"
NETWORK, REACHED, EXCEEDED = (
    PROBLEMS / "onnx" / "boundary.onnx",
    PROBLEMS / "vnnlib" / "boundary_reached.vnnlib",
    PROBLEMS / "vnnlib" / "boundary_exceeded.vnnlib",
)
INPUT_TOLERANCE = 1e-4


def tokens(text):
    return re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text))


def parsed(words):
    found = []
    while words:
        word = words.pop(0)
        if word == ")":
            return found
        found.append(parsed(words) if word == "(" else word)
    return found


def value(term, assignment):
    if isinstance(term, str):
        return assignment[term] if term in assignment else float(term)
    operator, *terms = term
    numbers = [value(part, assignment) for part in terms]
    if operator == "-":
        return -numbers[0] if len(numbers) == 1 else numbers[0] - sum(numbers[1:])
    return float(np.sum(numbers) if operator == "+" else np.prod(numbers))


def leaves(term):
    return [term] if isinstance(term, str) else [leaf for part in term for leaf in leaves(part)]


def holds(condition, assignment, tolerance):
    """Whether a condition holds, where those about inputs alone may miss by the tolerance."""
    operator, *parts = condition
    if operator in ("and", "or"):
        return (all if operator == "and" else any)(holds(part, assignment, tolerance) for part in parts)
    of_inputs = not any(word[0] in "YV" for word in leaves(condition))
    slack = tolerance if of_inputs else 0.0
    low, high = (value(part, assignment) for part in (parts if operator[0] == "<" else parts[::-1]))
    return low <= high + slack if operator[1:] == "=" else low < high + slack


def judged(result, network, query, tolerance=0.0):
    """Whether a result file of a query of version 1.0 holds a witness."""
    lines = result.read_text().splitlines()
    assert lines[0] == "sat"
    content = " ".join(lines[1:]).strip()
    assert content.startswith("(") and content.endswith(")")
    numbers = {name: float(text) for name, text in re.findall(r"\(\s*([XY]_\d+) (\S+?)\s*\)", content)}
    session = onnxruntime.InferenceSession(network.read_bytes(), providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}[source.type]
    count = sum(name.startswith("X_") for name in numbers)
    x = np.array([numbers[f"X_{i}"] for i in range(count)], dtype=dtype)
    shape = [extent if isinstance(extent, int) and extent > 0 else 1 for extent in source.shape]
    y = session.run(None, {source.name: x.reshape(shape)})[0].ravel()
    assert sum(name.startswith("Y_") for name in numbers) == y.size
    assignment = {f"X_{i}": float(v) for i, v in enumerate(x)} | {f"Y_{i}": float(v) for i, v in enumerate(y)}
    conditions = [form[1] for form in parsed(tokens(query.read_text())) if form[0] == "assert"]
    return all(holds(condition, assignment, tolerance) for condition in conditions)


def judged_2(result, networks, query, tolerance=0.0):
    """Whether a result file of a query of version 2.0 holds a witness; ``networks`` has a path for every network."""
    lines = result.read_text().splitlines()
    assert lines.pop(0) == "sat"
    forms = parsed(tokens(query.read_text()))
    assignment, inputs = {}, set()
    for name, *items in (form[1:] for form in forms if form[0] == "declare-network"):
        session = onnxruntime.InferenceSession(networks[name].read_bytes(), providers=["CPUExecutionProvider"])
        tensors, outputs = {}, []
        for role, variable, kind, extents in (item for item in items if item[0].startswith("declare-")):
            shape = [int(word) for word in extents.strip("[]").split(",")]
            assert lines.pop(0).replace(", ", ",") == f"{variable} {kind} {extents}"
            tensors[variable] = np.array([float(lines.pop(0)) for _ in range(int(np.prod(shape)))]).reshape(shape)
            outputs += [variable] if role == "declare-output" else []
        given = [variable for variable in tensors if variable not in outputs]
        feed = {
            source.name: tensors[variable].astype(np.float32).reshape([extent or 1 for extent in source.shape])
            for source, variable in zip(session.get_inputs(), given, strict=True)
        }
        results = dict(zip(outputs, session.run(None, feed), strict=True))
        inputs |= set(given)
        for variable, value in tensors.items():
            told = value.astype(np.float32) if variable in given else results[variable].reshape(value.shape)
            for place in np.ndindex(*value.shape):
                assignment[f"{variable}[{','.join(map(str, place))}]"] = float(told[place])
    assert lines == []
    return all(holds(form[1], assignment, tolerance) for form in forms if form[0] == "assert")


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """Run a script in a folder of its own, by this Python."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("SLIR_MILP_VNNCOMP_VENV", str(tmp_path / "venv"))
    monkeypatch.setenv("SLIR_MILP_VNNCOMP_STATE", str(tmp_path / "running"))
    monkeypatch.setenv("SLIR_MILP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments, version="v1"):
        done = subprocess.run(
            [SCRIPTS / f"{name}.sh", version, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        return done

    return run


def test_an_instance_is_prepared_and_decided(scripts, tmp_path):
    assert scripts("prepare_instance", "test", NETWORK, REACHED).returncode == 0
    assert any((tmp_path / "cache").iterdir()), "prepare leaves the network in the cache"
    assert scripts("run_instance", "test", NETWORK, REACHED, "out.txt", 60).returncode == 0
    assert judged(tmp_path / "out.txt", NETWORK, REACHED)
    assert scripts("run_instance", "test", NETWORK, EXCEEDED, "out.txt", 60).returncode == 0
    assert (tmp_path / "out.txt").read_text() == "unsat\n"
    assert not list(tmp_path.glob("*.part")) and not (tmp_path / "running").exists()


def test_the_judge_rejects(tmp_path):
    (tmp_path / "out.txt").write_text("sat\n((X_0 0.5)\n (Y_0 1.0))\n")
    assert not judged(tmp_path / "out.txt", NETWORK, REACHED, INPUT_TOLERANCE)
    query = tmp_path / "query.vnnlib"
    query.write_text("(assert (<= X_0 0)) (assert (>= X_0 0)) (assert (< Y_0 1))")
    (tmp_path / "out.txt").write_text("sat\n((X_0 -5e-05)\n (Y_0 0.0))\n")
    assert not judged(tmp_path / "out.txt", NETWORK, query)
    assert judged(tmp_path / "out.txt", NETWORK, query, INPUT_TOLERANCE)
    (tmp_path / "out.txt").write_text("sat\n((X_0 -5e-04)\n (Y_0 0.0))\n")
    assert not judged(tmp_path / "out.txt", NETWORK, query, INPUT_TOLERANCE)


def test_packed_files_are_found_by_either_name(scripts, tmp_path):
    for path in (NETWORK, REACHED):
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert scripts("run_instance", "test", NETWORK.name, REACHED.name + ".gz").returncode == 0
    assert judged(tmp_path / "out.txt", NETWORK, REACHED)


SINGLE = """; about one network
(vnnlib-version <2.0>)
(declare-network N (declare-input X float32 [1,1]) (declare-output Y float32 [1,1]))
(assert (and (>= X[0,0] 0.0) (<= X[0,0] 3.0)))
(assert (>= Y[0,0] LEAST))
"""
TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1,1]) (declare-output Y float32 [1,1]))
(declare-network g (RELATION f) (declare-input U float32 [1,1]) (declare-output V float32 [1,1]))
(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.5) (>= U[0,0] 0.0) (<= U[0,0] 1.5)))
(assert (>= (- Y[0,0] V[0,0]) 0.5))
(assert (>= (* X[0,0] U[0,0]) 0.25))
"""


def test_queries_of_version_2(scripts, tmp_path):
    single, two = tmp_path / "single.vnnlib", tmp_path / "two.vnnlib"
    single.write_text(SINGLE.replace("LEAST", "1.0"))
    assert scripts("prepare_instance", "test", NETWORK, single).returncode == 0
    assert scripts("run_instance", "test", NETWORK, single, "out.txt", 60).returncode == 0
    assert judged_2(tmp_path / "out.txt", {"N": NETWORK}, single)
    single.write_text(SINGLE.replace("LEAST", "1.5"))
    assert scripts("run_instance", "test", NETWORK, single, "out.txt", 60).returncode == 0
    assert (tmp_path / "out.txt").read_text() == "unsat\n"
    for relation in ("equal-to", "isomorphic-to"):
        two.write_text(TWO.replace("RELATION", relation))
        networks = f"[('f', '{NETWORK}'), ('g', '{NETWORK}')]"
        assert scripts("prepare_instance", "test", networks, two).returncode == 0
        done = scripts("run_instance", "test", networks, two, "out.txt", 60)
        assert done.returncode == 0, done.stderr
        assert judged_2(tmp_path / "out.txt", {"f": NETWORK, "g": NETWORK}, two)


@pytest.mark.parametrize(
    ("network", "query"),
    [
        ("absent.onnx", REACHED),
        (NETWORK, "absent.vnnlib"),
        (REACHED, NETWORK),
        (NETWORK, "damaged.vnnlib"),
        (NETWORK, "damaged.vnnlib.gz"),
        (PROBLEMS / "onnx" / "pendulum.onnx", REACHED),
        ("[('f', ", REACHED),
        ("[]", REACHED),
        (f"[('f', '{NETWORK}'), ('g', '{NETWORK}')]", REACHED),
    ],
)
def test_what_cannot_be_run_is_an_error_and_no_failure(network, query, scripts, tmp_path):
    (tmp_path / "damaged.vnnlib").write_text("(declare-const X_0 Real) (assert (<= X_0")
    (tmp_path / "damaged.vnnlib.gz").write_bytes(b"\x1f\x8b nothing")
    (tmp_path / "out.txt").write_text("no_result_in_file\n")
    if query != REACHED:
        assert scripts("prepare_instance", "test", network, query).returncode == 0
    done = scripts("run_instance", "test", network, query, "out.txt", 20)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert (tmp_path / "out.txt").read_text() == "error\n"


def test_other_versions_and_a_missing_installation(scripts, tmp_path, monkeypatch):
    assert scripts("prepare_instance", "test", NETWORK, REACHED, version="v3").returncode == 1
    assert scripts("install_tool", version="v3").returncode == 1
    assert scripts("run_instance", "test", NETWORK, REACHED, "out.txt", 20, version="v3").returncode == 0
    assert (tmp_path / "out.txt").read_text() == "error\n"
    monkeypatch.setenv("SLIR_MILP_VNNCOMP_VENV", str(tmp_path / "nowhere"))
    assert scripts("run_instance", "test", NETWORK, REACHED, "other.txt", 20).returncode == 0
    assert (tmp_path / "other.txt").read_text() == "error\n"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A solver that does as it is told, in place of ours."""

    def install(code):
        package = tmp_path / "stand_in" / "slir_milp"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(code)
        python = tmp_path / "venv" / "bin" / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{package.parent}" exec "{sys.executable}" "$@"\n')
        # instance.py starts the solver by its own interpreter; the variable is inherited.

    return install


SLEEPER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pids.txt", "w").write(f"{__import__('os').getpid()} {child.pid}")
time.sleep(600)
"""


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(path):
    for _ in range(200):
        if path.exists() and path.read_text():
            return [int(word) for word in path.read_text().split()]
        time.sleep(0.05)
    raise AssertionError(f"{path} does not appear")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_the_time_limit_is_kept_and_nothing_is_left(scripts, stand_in, tmp_path):
    stand_in(SLEEPER)
    started = time.monotonic()
    assert scripts("run_instance", "test", NETWORK, REACHED, "out.txt", 2).returncode == 0
    assert time.monotonic() - started < 4.0
    assert (tmp_path / "out.txt").read_text() == "timeout\n"
    assert not any(map(alive, wait_for(tmp_path / "pids.txt")))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_from_outside(way, scripts, stand_in, tmp_path):
    stand_in(SLEEPER)
    run = subprocess.Popen([SCRIPTS / "run_instance.sh", "v1", "test", NETWORK, REACHED, "out.txt", "60"])
    processes = wait_for(tmp_path / "pids.txt")
    run.send_signal(way)
    code = run.wait(10)
    if way is signal.SIGTERM:
        assert code == 0
        assert (tmp_path / "out.txt").read_text() == "timeout\n"
    else:
        assert alive(processes[0]), "nobody was left to end it"
        scripts("prepare_instance", "test", "absent.onnx", REACHED)
    deadline = time.monotonic() + 10
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, processes))


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("print('timed-out')", "timeout\n"),
        ("print('unknown')", "unknown\n"),
        ("print('sat')", "unknown\n"),
        ("raise SystemExit(2)", "error\n"),
        ("print('what?')", "error\n"),
        ("import os; os.kill(os.getpid(), 9)", "error\n"),
        ("print('sat\\n((X_0 1.0)\\n (Y_0 1.0))')", "sat\n((X_0 1.0)\n (Y_0 1.0))\n"),
        (
            "import sys; open(sys.argv[-1], 'w').write('{\"witness\": {\"holds_in_runtime\": false}}');"
            "print('sat\\n((X_0 1.0)\\n (Y_0 1.0))')",
            "unknown\n",
        ),
    ],
    ids=["timed-out", "unknown", "no witness", "bad input", "nonsense", "killed", "witness", "exact alone"],
)
def test_what_the_solver_says_becomes_a_result(code, result, scripts, stand_in, tmp_path):
    stand_in(code)
    assert scripts("run_instance", "test", NETWORK, REACHED, "out.txt", 20).returncode == 0
    assert (tmp_path / "out.txt").read_text() == result


@pytest.mark.slow
def test_the_tool_is_installed(tmp_path, monkeypatch):
    """From a copy of the checkout, with what the machine has."""
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "*.so", "build", ".*_cache", "*.egg-info")
    )
    monkeypatch.setenv("SLIR_MILP_VNNCOMP_VENV", str(tmp_path / "venv"))
    for variable in ("VIRTUAL_ENV", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    done = subprocess.run([copy / "vnncomp" / "install_tool.sh", "v1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    subprocess.run(
        [copy / "vnncomp" / "run_instance.sh", "v1", "test", NETWORK, REACHED, tmp_path / "out.txt"], check=True
    )
    assert judged(tmp_path / "out.txt", NETWORK, REACHED)
