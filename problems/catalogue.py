"""The problems that come with the program: what each is about, where its files are, what the verdicts must be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from slir_milp.errors import OptionError


@dataclass(frozen=True)
class QueryInfo:
    """One query and its verdict.

    Attributes
    ----------
    name
        Its name within the problem.
    path
        The VNN-LIB file; its header tells how the verdict was checked.
    verdict
        ``"sat"`` or ``"unsat"``.
    meaning
        The query in words.
    timeout
        Seconds it is given in ``instances.csv``.
    """

    name: str
    path: Path
    verdict: str
    meaning: str
    timeout: int


@dataclass(frozen=True)
class ProblemInfo:
    """One network and the queries about it.

    Attributes
    ----------
    name, about
        Its name, and one sentence on the network.
    network
        The ONNX file.
    twins
        The same network in other formats.
    queries
        At least one.
    """

    name: str
    about: str
    network: Path
    twins: tuple[Path, ...]
    queries: tuple[QueryInfo, ...]


def problems_folder() -> Path:
    """Folder of the installed problems; it has the layout of a benchmark, with ``instances.csv`` and ``truth.csv``."""
    return Path(str(files(__package__)))


@cache
def list_problems() -> tuple[ProblemInfo, ...]:
    """Every problem, in the order of ``catalogue.toml``."""
    import tomllib

    folder = problems_folder()
    entries = tomllib.loads((folder / "catalogue.toml").read_text(encoding="utf-8"))["problem"]
    return tuple(
        ProblemInfo(
            name=entry["name"],
            about=entry["about"],
            network=folder / entry["network"],
            twins=tuple(folder / twin for twin in entry["twins"]),
            queries=tuple(
                QueryInfo(query["name"], folder / query["path"], query["verdict"], query["meaning"], query["timeout"])
                for query in entry["query"]
            ),
        )
        for entry in entries
    )


def problem(name: str) -> ProblemInfo:
    """Find a problem by its name.

    Raises
    ------
    OptionError
        There is no problem of that name.
    """
    for info in list_problems():
        if info.name == name:
            return info
    known = ", ".join(info.name for info in list_problems())
    raise OptionError(f"there is no problem called '{name}'; choose among {known}.")
