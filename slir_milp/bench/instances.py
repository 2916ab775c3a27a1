"""Benchmark sets and their instances, in the layout of the verification competition (VNN-COMP).

``instances.csv`` has no header and three columns: network, query, seconds allowed.  The files are named relative to
the folder.  ``truth.csv``, where there is one, has a header with at least the columns onnx, vnnlib and verdict.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slir_milp.errors import SlirError

_INSTANCES = "instances.csv"
_TRUTH = "truth.csv"
_FEWEST_FIELDS = 2


@dataclass(frozen=True)
class Instance:
    """One line of ``instances.csv``.

    Attributes
    ----------
    onnx, vnnlib
        The two files, as the line names them.
    timeout
        Seconds allowed; ``None`` where the line leaves it out.
    truth
        The published verdict, ``""`` if there is none.
    fault
        Why the line cannot be run, as a sentence; ``""`` for a good one.
    """

    onnx: str
    vnnlib: str
    timeout: float | None = None
    truth: str = ""
    fault: str = ""


@dataclass(frozen=True)
class BenchmarkSet:
    """A benchmark set.

    Attributes
    ----------
    name
        That of its folder.
    folder
        Where its files are.
    instances
        In the order of the file.
    """

    name: str
    folder: Path
    instances: tuple[Instance, ...]


def find_sets(folders: Sequence[Path]) -> tuple[BenchmarkSet, ...]:
    """The sets that folders are, or have in them, in the order of the folders and then of the names.

    Raises
    ------
    SlirError
        A folder is no set and has none in it, a list is at fault, or two sets have the same name.
    """
    found: dict[str, BenchmarkSet] = {}
    for folder in folders:
        if not folder.is_dir():
            raise SlirError(f"{folder} is no folder; bench takes a folder with an {_INSTANCES}, or a folder of those.")
        inner = sorted(path.parent for path in folder.glob(f"*/{_INSTANCES}"))
        for path in [folder] if (folder / _INSTANCES).exists() or not inner else inner:
            name = path.resolve().name
            if name in found and path.samefile(found[name].folder):
                continue
            if name in found:
                raise SlirError(f"two sets have the name {name}: {found[name].folder} and {path}; rename one.")
            found[name] = BenchmarkSet(name, path, read_instances(path))
    return tuple(found.values())


def read_instances(folder: Path) -> tuple[Instance, ...]:
    """Read the instances of a folder, in the order of the file, each once; faulty lines are kept, with their fault.

    Raises
    ------
    SlirError
        There is no readable ``instances.csv``, or ``truth.csv`` is there and is none.
    """
    if not folder.is_dir():
        raise SlirError(f"{folder} is no folder; bench takes a folder with an {_INSTANCES}.")
    truth = _read_truth(folder / _TRUTH)
    found: dict[tuple[str, str], Instance] = {}
    for number, fields in enumerate(_rows(folder / _INSTANCES), start=1):
        if any(field.strip() for field in fields):
            instance = _instance(number, fields, truth)
            known = found.setdefault((instance.onnx, instance.vnnlib), instance)
            if known.fault and not instance.fault:
                found[instance.onnx, instance.vnnlib] = instance
    return tuple(found.values())


def find_file(folder: Path, name: str) -> Path:
    """Path of a file that an instance names: as named, or with ``.gz`` added or taken away.

    Raises
    ------
    SlirError
        There is none of these.
    """
    other = name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"
    for candidate in (folder / name, folder / other):
        if candidate.is_file():
            return candidate
    raise SlirError(f"neither {name} nor {other} is in {folder}.")


def _instance(number: int, fields: list[str], truth: dict[tuple[str, str], str]) -> Instance:
    if len(fields) < _FEWEST_FIELDS:
        return Instance(fields[0], "", fault=f"line {number} of {_INSTANCES} names a network, but no query.")
    onnx, vnnlib, *rest = (field.strip() for field in fields)
    verdict = truth.get(_key(onnx, vnnlib), "")
    text = rest[0] if rest else ""
    try:
        timeout = float(text) if text else None
    except ValueError:
        timeout = math.nan
    if timeout is not None and not 0 < timeout < math.inf:
        fault = f"line {number} of {_INSTANCES}: '{text}' is no positive number of seconds."
        return Instance(onnx, vnnlib, None, verdict, fault)
    return Instance(onnx, vnnlib, timeout, verdict)


def _read_truth(path: Path) -> dict[tuple[str, str], str]:
    if not path.exists():
        return {}
    header, *lines = _rows(path) or [[]]
    try:
        onnx, vnnlib, verdict = (header.index(name) for name in ("onnx", "vnnlib", "verdict"))
    except ValueError:
        raise SlirError(f"{path} has no header with the columns onnx, vnnlib and verdict.") from None
    width = max(onnx, vnnlib, verdict)
    return {_key(line[onnx], line[vnnlib]): line[verdict].strip().lower() for line in lines if len(line) > width}


def _rows(path: Path) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise SlirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SlirError(f"{path} is no CSV file in UTF-8: {error}.") from error
    for number, row in enumerate(rows, start=1):
        if any("\n" in field.strip() or "\r" in field.strip() for field in row):
            raise SlirError(f"line {number} of {path} has a field with a line break in it: is a quote missing?")
    return rows


def _key(onnx: str, vnnlib: str) -> tuple[str, str]:
    """The pair of files, however the lists write them."""
    first, second = (name.strip().removeprefix("./").removesuffix(".gz") for name in (onnx, vnnlib))
    return first, second
