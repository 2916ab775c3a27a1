"""One instance of VNN-COMP: the solver in a process group of its own, a result file whatever happens, no leftovers.

It needs nothing but Python's standard library, so that it can write ``error`` even where the solver is not installed.
"""

from __future__ import annotations

import ast
import contextlib
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_HERE = Path(__file__).resolve().parent
_RUNNING = Path(os.environ.get("SLIR_MILP_VNNCOMP_STATE", _HERE / ".running"))
"""Names the process group of the solver that runs, for whoever comes after an end by force."""

_PREPARING = 45.0
"""Seconds that reading the files may take before the run; the competition allows 60."""

_RESERVE = 1.5
"""Seconds of the time limit for the start of Python, and for writing the result."""

_VERDICTS = {"sat": "sat", "unsat": "unsat", "unknown": "unknown", "timeout": "timeout", "timed-out": "timeout"}

_VERSION_2 = re.compile(rb"(?:\s|;[^\r\n]*)*\(\s*(?:vnnlib-version|declare-network)\b")
_NETWORK = re.compile(r"\(\s*declare-network\s+([^\s()]+)\s*(\(\s*equal-to\b)?")

_VNNLIB = "import sys; from slir_milp.vnnlib_cli import main; sys.exit(main())"


class InstanceError(Exception):
    """The instance cannot be run; the text says why."""


@dataclass
class Instance:
    """The files of an instance.

    Attributes
    ----------
    networks
        Path of every network by name; the name is empty where the competition gives none.
    query
        Path of the query.
    """

    networks: list[tuple[str, Path]]
    query: Path
    is_version_2: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_version_2 = _VERSION_2.match(_start_of(self.query)) is not None

    def command(self, timeout: float, document: Path) -> list[str]:
        """Command line of the solver, which is to write what it knows of a run of version 1.0 to a document."""
        python = [sys.executable, "-m"]
        if not self.is_version_2:
            if len(self.networks) != 1:
                raise InstanceError("a query of version 1.0 is about one network")
            network = str(self.networks[0][1])
            options = ["--timeout", f"{timeout:g}", "--json", str(document)]
            return [*python, "slir_milp", "verify", network, str(self.query), *options]
        command = [sys.executable, "-c", _VNNLIB, "verify", str(self.query), "--timeout", str(max(int(timeout), 1))]
        command += ["--json", str(document)]
        for name, path in self._named():
            command += ["--network", f"{name}={path}"]
        return command

    def _named(self) -> list[tuple[str, Path]]:
        declared = [name for name, equal in _NETWORK.findall(_text_of(self.query)) if not equal]
        if not self.networks[0][0]:
            if len(declared) != 1:
                raise InstanceError(f"one network is given, but the query declares {len(declared)} that need one")
            return [(declared[0], self.networks[0][1])]
        return [(name, path) for name, path in self.networks if name in declared]


def read_instance(network_field: str, query: str) -> Instance:
    """The files that the competition names; a list of pairs in Python's syntax names several networks."""
    pairs: list[tuple[str, str]] = [("", network_field)]
    if network_field.lstrip().startswith("["):
        try:
            pairs = [(str(name), str(path)) for name, path in ast.literal_eval(network_field.strip())]
        except (SyntaxError, ValueError, TypeError):
            raise InstanceError(f"the networks are no list of names and paths: {network_field}") from None
        if not pairs:
            raise InstanceError("the list of networks is empty")
    return Instance([(name, _found(path)) for name, path in pairs], _found(query))


def _found(path: str) -> Path:
    """The file as it is named, or packed, or unpacked."""
    for candidate in (path, f"{path}.gz", path.removesuffix(".gz")):
        if Path(candidate).is_file():
            return Path(candidate)
    raise InstanceError(f"there is no file {path}, packed or not")


def _start_of(path: Path) -> bytes:
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return file.read(65536)


def _text_of(path: Path) -> str:
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return re.sub(r";[^\r\n]*", "", file.read().decode(errors="replace"))


class Solver:
    """A run of the solver in a process group of its own, which is gone when the block ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open till the end)
        environment = {**os.environ, "SLIR_MILP_FLOATS": "real"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._output, start_new_session=True, env=environment
        )
        _remember(self._process.pid)

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, *_: object) -> None:
        _end_group(self._process.pid)
        self._process.wait()
        self._output.close()
        _RUNNING.unlink(missing_ok=True)

    def wait(self, seconds: float) -> bool:
        """Whether it ended in time."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def output(self) -> str:
        """What it printed."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")


def _remember(group: int) -> None:
    with contextlib.suppress(OSError):  # then prepare has nothing to look for
        _RUNNING.write_text(f"{group} {_started(group)}\n")


def _started(process: int) -> str:
    """When a process started, in the kernel's own units: numbers of processes are used again."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "unknown"


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def end_leftovers() -> None:
    """End the solver of an earlier instance, if it still runs."""
    try:
        group, started = _RUNNING.read_text().split()
    except (OSError, ValueError):
        return
    if started != "unknown" and _started(int(group)) == started:
        _end_group(int(group))
    _RUNNING.unlink(missing_ok=True)


def prepare(network_field: str, query: str) -> None:
    """End leftovers, and read both files once, for the caches."""
    end_leftovers()
    instance = read_instance(network_field, query)
    deadline = time.monotonic() + _PREPARING
    for _, network in instance.networks:
        with Solver([sys.executable, "-m", "slir_milp", "info", str(network)]) as solver:
            solver.wait(deadline - time.monotonic())


def run(network_field: str, query: str, timeout: float, started: float) -> str:
    """Text of the result file."""
    end_leftovers()
    instance = read_instance(network_field, query)
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "run.json"
        with Solver(instance.command(max(timeout - _RESERVE, 0.5), document)) as solver:
            if not solver.wait(started + timeout - 0.25 - time.monotonic()):
                return "timeout\n"
            first, _, witness = solver.output.partition("\n")
        verdict = _VERDICTS.get(first.strip(), "error")
        if verdict == "sat" and not (witness.strip() and _holds_in_runtime(document)):
            print(
                "slir-milp: a witness in exact arithmetic alone, which the competition does not ask for",
                file=sys.stderr,
            )
            return "unknown\n"
    return f"sat\n{witness.strip()}\n" if verdict == "sat" else f"{verdict}\n"


def _holds_in_runtime(document: Path) -> bool:
    """Whether ONNX Runtime, by which the competition judges, agrees with a witness; without a document, it does."""
    if not document.exists():
        return True
    return bool(json.loads(document.read_text(encoding="utf-8"))["witness"]["holds_in_runtime"])


def write_result(path: Path, text: str) -> None:
    """Write all of a result or nothing."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")


def _terminated(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError


def main(arguments: Sequence[str]) -> None:
    """``prepare CATEGORY ONNX VNNLIB`` or ``run CATEGORY ONNX VNNLIB [RESULTS [TIMEOUT]]``."""
    started = time.monotonic()
    action, _, network, query, *more = arguments
    signal.signal(signal.SIGTERM, _terminated)
    if action == "prepare":
        prepare(network, query)
        return
    results = Path(more[0] if more else "out.txt")
    try:
        text = run(network, query, float(more[1]) if len(more) > 1 else 300.0, started)
    except (TimeoutError, KeyboardInterrupt):
        text = "timeout\n"
    except Exception as error:
        print(f"slir-milp: {error}", file=sys.stderr)
        text = "error\n"
    write_result(results, text)
    print(f"slir-milp: {text.splitlines()[0]} after {time.monotonic() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:  # wrong arguments, no room for a result: told, but never a failure of the script
        print(f"slir-milp: {error}", file=sys.stderr)
