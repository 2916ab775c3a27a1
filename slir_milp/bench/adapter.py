r"""Other verifiers' command lines, each declared in a TOML file.

    name = "some"
    version = ["some", "--version"]      # a command that prints it, or the version itself
    command = ["some", "{network}", "{query}", "--timeout", "{timeout}", "--out", "{result}"]
    result = "vnncomp"                   # what {result} then holds: the verdict's word, then the witness

    [patterns]                           # or, in place of result: regular expressions for lines of its output
    sat = '^result: sat'
    witness = 'x(\d+) = (\S+)'           # number and value of an input

The places are those of :data:`PLACES`.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeGuard

from slir_milp.bench.process import Ended
from slir_milp.bench.replay import replayed
from slir_milp.bench.task import Answer
from slir_milp.bench.tool import Job, last_words
from slir_milp.errors import OptionError, SlirError
from slir_milp.query.numbers import parse_number

PLACES = ("network", "query", "result", "timeout", "whole_timeout", "memory_mb", "jobs", "folder", "python")
"""What a command may have in braces."""

VERDICTS = ("sat", "unsat", "unknown", "timeout")
WORDS = {
    "sat": "sat",
    "violated": "sat",
    "falsified": "sat",
    "unsat": "unsat",
    "holds": "unsat",
    "verified": "unsat",
    "unknown": "unknown",
    "timeout": "timeout",
    "timed-out": "timeout",
    "timed_out": "timeout",
}
"""Words for verdicts that result files begin with."""

_FOLDER = Path(__file__).with_name("tools")
_PLACE = re.compile(r"\{(\w+)\}")
_KEYS = {"name", "version", "command", "result", "witness", "patterns", "environment"}
_LONGEST_OUTPUT = 1_000_000
_VERSION_SECONDS = 60.0
_ENTRY = re.compile(r"\(\s*X_(\d+)\s+([^\s()]+)\s*\)")


@dataclass(frozen=True)
class Adapter:
    """A declared verifier; see the module for what a declaration has.

    Attributes
    ----------
    name, version
        By which it is known.
    template
        Its command.
    from_file
        Whether the verdict is the first word of the result file, else that of the pattern that matches its output.
    patterns
        Regular expressions by verdict.
    witness
        For the inputs of a witness, two groups: number and value.
    environment
        Variables that it needs.
    """

    name: str
    version: str
    template: tuple[str, ...]
    from_file: bool
    patterns: Mapping[str, str] = field(default_factory=dict)
    witness: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, job: Job) -> list[str]:
        """Its command for a job; files that are packed are unpacked into the job's folder."""
        if job.timeout is None and any("timeout}" in part for part in self.template):
            raise SlirError(f"{self.name} must be told a time: the instance has none, and --timeout is not given.")
        if job.memory is None and any("{memory_mb}" in part for part in self.template):
            raise SlirError(f"{self.name} must be told a limit of memory: give --memory-limit.")
        program = _program(self.template[0], self.name)
        places = {
            "network": str(_unpacked(job.network, job.folder)),
            "query": str(_unpacked(job.query, job.folder)),
            "result": str(job.result),
            "timeout": "" if job.timeout is None else f"{job.timeout:g}",
            "whole_timeout": "" if job.timeout is None else str(max(1, round(job.timeout))),
            "memory_mb": "" if job.memory is None else str(job.memory // 1_000_000),
            "jobs": str(job.jobs),
            "folder": str(job.folder),
            "python": str(Path(program).with_name("python")),
        }
        return [program, *(filled(part, places) for part in self.template[1:])]

    def read(self, job: Job, ended: Ended, stdout: Path, stderr: Path) -> Answer:
        """What it said; a witness that it gives is replayed."""
        said = _text(stdout)
        output = f"{said}\n--- stderr ---\n{_text(stderr)}"
        result = _text(job.result)
        text = result if self.from_file else said
        verdict = self._verdict(text)
        if verdict is None:
            if self.from_file and not result:
                raise SlirError(last_words(stderr, ended.code) if _text(stderr) else last_words(stdout, ended.code))
            raise SlirError(f"nothing in what it said is a verdict: {' '.join(text.split())[:200]}")
        output = f"{output}\n--- result ---\n{result}" if result else output
        answer = Answer(verdict, f"it said {verdict}", output=output.encode(), suffix=".txt")
        if verdict != "sat":
            return answer
        point = self._point(text) or self._point(said)
        if point is None:
            return replace(answer, reason="it said sat, and gave no witness")
        holds, text, reason = replayed(job.network, job.query, point)
        return replace(answer, witness=holds, point=text, reason=f"it said sat; {reason}")

    def _verdict(self, text: str) -> str | None:
        if self.from_file:
            words = re.split(r"[\s,;:]+", text.strip().lower(), maxsplit=1)
            return WORDS.get(words[0])
        for verdict in VERDICTS:
            pattern = self.patterns.get(verdict)
            if pattern and re.search(pattern, text, re.MULTILINE):
                return verdict
        return None

    def _point(self, text: str) -> tuple[Fraction, ...] | None:
        pattern = re.compile(self.witness) if self.witness else _ENTRY
        found = {}
        for match in pattern.finditer(text):
            number = parse_number(match[2])
            if number is None:
                return None
            found[int(match[1])] = number
        return tuple(found[i] for i in range(len(found))) if found and max(found) == len(found) - 1 else None


def load_adapter(name: str) -> Adapter:
    """A verifier by its name, or by the file that declares it.

    Raises
    ------
    OptionError
        There is no such declaration, or it is at fault.
    """
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.toml")))
        raise OptionError(f"there is no tool {name}; known are {known}, and whatever a file NAME.toml declares.")
    try:
        with open(path, "rb") as file:
            declared = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read as TOML: {error}.") from error
    return _adapter(path, declared)


def _adapter(path: Path, declared: dict[str, Any]) -> Adapter:
    def fail(what: str) -> OptionError:
        return OptionError(f"{path}: {what}.")

    unknown = sorted(set(declared) - _KEYS)
    if unknown:
        raise fail(f"'{unknown[0]}' means nothing here; known are {', '.join(sorted(_KEYS))}")
    name, command = declared.get("name"), declared.get("command")
    if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name) or name.startswith("slir-milp"):
        raise fail("name must be a word of letters, digits and -._+, and not slir-milp")
    if not _is_command(command):
        raise fail("command must be a list of strings, the program first")
    version = declared.get("version", "unknown")
    if not isinstance(version, str) and not _is_command(version):
        raise fail("version must be a string, or a list of strings that is a command")
    result, patterns = declared.get("result"), declared.get("patterns", {})
    environment, witness = declared.get("environment", {}), declared.get("witness", "")
    if result not in (None, "vnncomp"):
        raise fail("result can be 'vnncomp' only; for other forms, give patterns")
    if (result is None) == (not patterns):
        raise fail("it must have either result or patterns, so that a verdict can be read")
    for table, what in ((patterns, "patterns"), (environment, "environment")):
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
            raise fail(f"{what} must be a table of strings")
    witness = patterns.pop("witness", witness) if isinstance(witness, str) else None
    if not isinstance(witness, str) or (witness and re.compile(witness).groups < 2):
        raise fail("witness must be a regular expression with two groups, number and value of an input")
    if not set(patterns) <= set(VERDICTS):
        raise fail(f"patterns can be for {', '.join(VERDICTS)} and witness")
    for part in [*command, *(version if isinstance(version, list) else [])]:
        for place in _PLACE.findall(part):
            if place not in PLACES:
                raise fail(f"{{{place}}} is no place; known are {', '.join(PLACES)}")
    try:
        for pattern in patterns.values():
            re.compile(pattern)
    except re.error as error:
        raise fail(f"a pattern is no regular expression: {error}") from error
    said = version if isinstance(version, str) else _version(version, _program(command[0], name), name)
    return Adapter(name, said, tuple(command), result is not None, patterns, witness, environment)


def _is_command(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(part, str) and part for part in value)


def filled(part: str, places: Mapping[str, str]) -> str:
    """Part of a command with its places filled; braces around anything else stay."""
    return _PLACE.sub(lambda match: places.get(match[1], match[0]), part)


def _program(name: str, tool: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SlirError(f"{tool}: there is no program {name} on the PATH; install it, or say where it is.")
    return os.path.abspath(found)


def _version(command: list[str], program: str, tool: str) -> str:
    python = str(Path(program).with_name("python"))
    filled_in = [filled(part, {"python": python}) for part in command]
    try:
        done = subprocess.run(
            filled_in, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OptionError(f"the version of {tool} cannot be asked for: {error}.") from error
    lines = f"{done.stdout}\n{done.stderr}".split("\n")
    return next((line.strip() for line in lines if line.strip()), "unknown") if done.returncode == 0 else "unknown"


def _unpacked(path: Path, folder: Path) -> Path:
    """The file itself, or what is packed in it."""
    if path.suffix != ".gz":
        return path
    target = folder / path.stem
    try:
        with gzip.open(path, "rb") as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file)
    except (OSError, EOFError) as error:
        raise SlirError(f"{path} cannot be unpacked: {error}.") from error
    return target


def _text(path: Path) -> str:
    """A file's text, its middle left out where it is very long."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        start = file.read(_LONGEST_OUTPUT // 2)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(len(start), size - _LONGEST_OUTPUT // 2))
        end = file.read()
    left_out = f"\n... {size - len(start) - len(end)} bytes ...\n" if size > len(start) + len(end) else ""
    return f"{start.decode('utf-8', 'replace')}{left_out}{end.decode('utf-8', 'replace')}"
