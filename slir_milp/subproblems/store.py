"""The folder of recorded programs.

    DIR/index.csv            one line a program: where it comes from, its size, and what is known of its optimum
    DIR/programs/NAME.mps    the program
    DIR/regions/NAME.npz     the region and the query's rows, from which the program was made
    DIR/networks/SHA.npz     the network, as it was written for the query's box

A program's line is written last, so a recording that is killed leaves no line without its files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.errors import SlirError
from slir_milp.lp.curves import Cuts
from slir_milp.lp.observer import Subproblem
from slir_milp.lp.program import Relaxation, relax
from slir_milp.network.cache import can_be_packed, pack, unpack
from slir_milp.network.normal_form import Network
from slir_milp.report.lines import Appender, read_lines
from slir_milp.solvers import LinearProgram
from slir_milp.solvers.mps import read_mps, write_mps

INDEX = "index.csv"


@dataclass(frozen=True)
class Entry:
    """One line of the index; the fields are its columns.

    Attributes
    ----------
    name
        Of the program's files.
    kind
        ``lp`` or ``milp``.
    network, query
        Paths of the files that were verified.
    networks
        Name of the network's own file in the folder.
    rows, columns, entries, integers
        Size of the program: stored entries, and columns that must be integers.
    unstable, splits, halvings
        Neurons that are not linear in the region, neurons that were put on a side, and how often the query's box was
        halved (the logarithm of the quotient of volumes).
    status, objective
        What the recording solver answered: a name of :class:`slir_milp.solvers.Status`, and the value of its point.
    reference
        ``optimum`` or ``infeasible`` if rational arithmetic has said so, else ``open``.
    lower, upper
        What is certain of the optimum: two neighbouring float64 numbers, or twice the same, where it is known; else
        bounds, ``None`` on a side where there is none.
    certified
        The bound that the recording solver's duals give after backward evaluation, in the unit of the program's
        objective: at most the query's largest row everywhere in the region.  ``None`` if there is none.
    proven
        Whether such a bound proves that the region holds no counterexample.
    scale
        One unit of the program's objective, in the unit of the query's rows.
    note
        Why the reference is open, if it is.
    """

    name: str
    kind: str
    network: str
    query: str
    networks: str
    rows: int
    columns: int
    entries: int
    integers: int
    unstable: int
    splits: int
    halvings: int
    status: str
    objective: float | None
    reference: str
    lower: float | None
    upper: float | None
    certified: float | None
    proven: bool
    scale: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class Origin:
    """What a recorded program was made from; see :class:`slir_milp.lp.observer.Subproblem`."""

    network: Network
    rows: Rows
    region: Region
    neurons: NeuronBounds
    relaxation: Relaxation


class Store:
    """A folder of recorded programs, open for adding.

    Parameters
    ----------
    folder
        The folder; made if it is absent.  What is there is kept, and numbers go on from there.

    Raises
    ------
    SlirError
        It cannot be made or is something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._networks: dict[Network, str] = {}
        try:
            for part in ("programs", "regions", "networks"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            self._count = len(read_index(folder)) if (folder / INDEX).exists() else 0
            self._file = Appender(Entry, folder / INDEX)
        except OSError as error:
            raise SlirError(f"{folder} cannot hold recorded programs: {error.strerror or error}.") from error

    def close(self) -> None:
        """Close the index."""
        self._file.close()

    def next_name(self, kind: str) -> str:
        """Name of the program that is added next."""
        return f"{self._count + 1:05d}-{kind}"

    def add(self, entry: Entry, subproblem: Subproblem, comments: tuple[str, ...]) -> None:
        """Write a program's files and its line.

        Raises
        ------
        SlirError
            They cannot be written.
        """
        try:
            write_mps(
                subproblem.program, self.folder / "programs" / f"{entry.name}.mps", name=entry.name, comments=comments
            )
            with open(self.folder / "regions" / f"{entry.name}.npz", "wb") as file:
                np.savez_compressed(file, **_region_arrays(subproblem))
        except OSError as error:
            raise SlirError(f"a program cannot be recorded in {self.folder}: {error.strerror or error}.") from error
        self._file.append(entry)
        self._count += 1

    def add_network(self, network: Network) -> str:
        """Write a network, once; its name.

        Raises
        ------
        SlirError
            It has an activation that is known by samples alone.
        """
        if network not in self._networks:
            if not can_be_packed(network):
                raise SlirError(
                    "the network has an activation that is known by samples alone, which cannot be recorded."
                )
            arrays = pack(network)
            name = hashlib.sha256(arrays["digest"].tobytes()).hexdigest()[:16]
            with open(self.folder / "networks" / f"{name}.npz", "wb") as file:
                np.savez_compressed(file, **arrays)
            self._networks[network] = name
        return self._networks[network]


def read_index(folder: Path) -> tuple[Entry, ...]:
    """Lines of the index of a folder.

    Raises
    ------
    SlirError
        There is no such folder, or it has another index.
    """
    path = folder / INDEX
    if not path.exists():
        raise SlirError(f"{folder} has no {INDEX}; 'slir-milp subproblems' records programs into a folder.")
    try:
        return read_lines(Entry, path)
    except OSError as error:
        raise SlirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SlirError(f"{path} is no index of recorded programs of this version.") from error


def read_program(folder: Path, entry: Entry) -> LinearProgram:
    """The recorded program of a line.

    Raises
    ------
    SlirError
        Its file cannot be read.
    """
    return read_mps(folder / "programs" / f"{entry.name}.mps")


class Origins:
    """Where recorded programs come from; each network is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._networks: dict[str, Network | None] = {}

    def of(self, entry: Entry) -> Origin | None:
        """What a program was made from; ``None`` if that cannot be read, or makes another program here."""
        try:
            network = self._network(entry.networks)
            if network is None:
                return None
            with np.load(self._folder / "regions" / f"{entry.name}.npz", allow_pickle=False) as arrays:
                return _origin(network, arrays, entry)
        except (OSError, ValueError, KeyError, EOFError):
            return None

    def _network(self, name: str) -> Network | None:
        if name not in self._networks:
            with np.load(self._folder / "networks" / f"{name}.npz", allow_pickle=False) as arrays:
                self._networks[name] = unpack(arrays)
        return self._networks[name]


def _region_arrays(subproblem: Subproblem) -> dict[str, Any]:
    region, rows, cuts = subproblem.region, subproblem.rows, subproblem.relaxation.cuts
    sides = np.zeros(0, dtype=np.int8) if region.sides is None else np.concatenate([*region.sides, np.zeros(0)])
    return {
        "lower": region.lower,
        "upper": region.upper,
        "normals": region.half_spaces.normals,
        "offsets": region.half_spaces.offsets,
        "sides": sides.astype(np.int8),
        "neuron_lower": np.concatenate([*subproblem.neurons.lower, np.zeros(0)]),
        "neuron_upper": np.concatenate([*subproblem.neurons.upper, np.zeros(0)]),
        "coefficients": rows.coefficients,
        "inputs": np.zeros((0, 0)) if rows.inputs is None else rows.inputs,
        "constants": rows.constants,
        "cut_of": cuts.of,
        "cut_below": cuts.below,
        "cut_slope": cuts.slope,
    }


def _origin(network: Network, arrays: Any, entry: Entry) -> Origin | None:
    ends = np.cumsum([layer.size for layer in network.layers])[:-1]
    count = len(network.layers)
    neurons = NeuronBounds(
        *(tuple(np.split(arrays[name], ends))[:count] for name in ("neuron_lower", "neuron_upper")),
    )
    sides = tuple(np.split(arrays["sides"], ends))[:count] if arrays["sides"].size else None
    half_spaces = HalfSpaces(arrays["normals"], arrays["offsets"])
    region = Region(arrays["lower"], arrays["upper"], half_spaces, sides, neurons)
    rows = Rows(arrays["coefficients"], arrays["inputs"] if arrays["inputs"].size else None, arrays["constants"])
    relaxation = relax(network, rows, region, neurons, own_scales=entry.kind == "milp")
    if relaxation is None:
        return None
    cuts = Cuts(arrays["cut_of"].astype(np.intp), arrays["cut_below"], arrays["cut_slope"], np.zeros(0))
    if len(cuts):
        relaxation, _ = relaxation.with_lines(cuts.of, cuts.below, cuts.slope)
    if entry.kind == "lp" and (relaxation.program.rows, relaxation.program.columns) != (entry.rows, entry.columns):
        return None
    return Origin(network, rows, region, neurons, relaxation)
