"""The proof of a run as a file: opened before anything is done, ended by the verdict."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from os import PathLike
from pathlib import Path

from slir_milp._version import __version__
from slir_milp.certificate.file import Header
from slir_milp.certificate.format import index_bytes
from slir_milp.certificate.write import ProofWriter
from slir_milp.errors import OptionError, ProofError
from slir_milp.network.normal_form import Network
from slir_milp.query import Query
from slir_milp.query.formula import numbering
from slir_milp.search.journal import Journal
from slir_milp.search.verdict import Status, Verdict, Witness


class Proof:
    """A proof file in the making.

    Parameters
    ----------
    path
        Where it is to be.
    network, query
        What the run is about, both read from files.
    activations
        SHA-256 of the file that declares activations of one's own; ``""`` if there is none.

    Raises
    ------
    OptionError
        The network or the query has no file, or the proof would overwrite it; or the query is in VNN-LIB 2.
    ProofError
        The proof cannot be written.
    """

    def __init__(self, path: str | PathLike[str], network: Network, query: Query, activations: str) -> None:
        for name, source, digest in (
            ("network", network.source, network.sha256),
            ("query", query.source, query.sha256),
        ):
            if not digest:
                raise OptionError(f"a proof names its files by their SHA-256, but the {name} was not read from a file.")
            if source and Path(path).exists() and Path(source).exists() and Path(path).samefile(source):
                raise OptionError(f"the proof {path} would overwrite the {name}; name another file.")
        if query.language != "1.0":
            raise OptionError(
                f"a proof is about a query in VNN-LIB 1.0, which is what the checker reads, and not {query.language}; "
                "'slir-milp-vnnlib compose' writes the query so."
            )
        atoms, _ = numbering(query.formula)
        layers = tuple(layer.size for layer in network.layers)
        width = index_bytes(sum(layers), len(atoms), network.input_size)
        self._header = Header(
            claim="unsat",
            network=network.sha256,
            query=query.sha256,
            activations=activations,
            inputs=network.input_size,
            outputs=network.output_size,
            layers=layers,
            index=width,
            writer=f"slir_milp {__version__}",
        )
        self._writer = ProofWriter(path, self._header)
        self.journal = Journal(self._writer, width)

    def begin(self, entry: bytes) -> None:
        """Write an entry that stands before all of the search: squares of the network are exchanged."""
        self._writer.append(entry, 1)

    def conclude(self, verdict: Verdict) -> Verdict:
        """End the proof as the verdict demands; the verdict, telling of it."""
        try:
            if verdict.status is Status.UNSAT:
                self._writer.commit()
            elif verdict.status is Status.SAT and verdict.witness is not None:
                self._writer.discard()
                header = replace(self._header, claim="sat", witness=_numbers(verdict.witness))
                ProofWriter(self._writer.path, header).commit()
            else:
                self._writer.discard()
                return _telling(verdict, "There is no proof of it.")
        except ProofError as error:
            return _telling(verdict, f"There is no proof: {error}")
        return replace(verdict, proof=self._writer.path)

    def discard(self) -> None:
        """Leave no proof; nothing happens if it has been ended."""
        self._writer.discard()


def _telling(verdict: Verdict, sentence: str) -> Verdict:
    detail = verdict.detail.rstrip(".")
    return replace(verdict, detail=f"{detail}. {sentence}" if detail else sentence)


def _numbers(witness: Witness) -> tuple[str, ...]:
    try:
        return tuple(float(x).hex() if Fraction(float(x)) == x else str(x) for x in witness.x)
    except ValueError as error:  # Python does not write numbers of very many digits
        raise ProofError(f"the witness cannot be written: {error}.") from None
