"""A network and a question about it, together."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from slir_milp.display import card
from slir_milp.errors import OptionError
from slir_milp.network import load_network
from slir_milp.network.normal_form import Network
from slir_milp.query import Query, load_query

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from onnx import ModelProto

    from slir_milp.network.sequential import LayerLike
    from slir_milp.search.ranges import Ranges, RangesCallback
    from slir_milp.search.verdict import Options, ProgressCallback, Verdict

NetworkLike: TypeAlias = "Network | str | os.PathLike[str] | ModelProto | Sequence[LayerLike]"
QueryLike: TypeAlias = "Query | str | os.PathLike[str]"


@dataclass(frozen=True, init=False, repr=False)
class Problem:
    """A network and a query about it: what there is to be decided.

    Parameters
    ----------
    network
        A network; the path of an ``.onnx`` or ``.nnet`` file; an ONNX model in memory; or layers as
        :meth:`slir_milp.Network.from_layers` takes them.
    query
        A query, from :meth:`slir_milp.Query.box` or :func:`slir_milp.parse_query`; or the path of a VNN-LIB file.

    Attributes
    ----------
    network, query
        Both, as objects.

    Raises
    ------
    NetworkError, QueryError
        A file is at fault, or the query does not fit the network.
    OptionError
        An argument is none of these.
    """

    network: Network
    query: Query

    def __init__(self, network: NetworkLike, query: QueryLike) -> None:
        if isinstance(query, (str, os.PathLike)):
            query = load_query(query)
        if not isinstance(query, Query):
            raise OptionError(f"a problem takes a query or the path of one, not a {type(query).__name__}")
        if isinstance(network, Sequence) and not isinstance(network, str):
            network = Network.from_layers(network)
        elif not isinstance(network, Network):
            network = load_network(network)
        query.check_fits(network.input_size, network.output_size)
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "query", query)

    def verify(
        self,
        options: Options | None = None,
        *,
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
        proof: str | os.PathLike[str] | None = None,
    ) -> Verdict:
        """Decide it; see :func:`slir_milp.verify`, which is the same.

        Parameters
        ----------
        options, progress, cancel, proof
            As there.

        Returns
        -------
        Verdict
            ``sat`` with a replayed witness, ``unsat`` by sound bounds, or ``unknown`` / ``timeout`` with the reason.

        Raises
        ------
        OptionError, ProofError
            As there.
        """
        from slir_milp.search.run import verify

        return verify(self.network, self.query, options, progress=progress, cancel=cancel, proof=proof)

    def falsify(self, *, timeout: float = 10.0, seed: int = 0, cancel: threading.Event | None = None) -> Verdict:
        """Look for a witness alone; see :func:`slir_milp.falsify`, which is the same.

        Parameters
        ----------
        timeout, seed, cancel
            As there.

        Returns
        -------
        Verdict
            ``sat`` with a replayed witness, or ``unknown``; never ``unsat``.

        Raises
        ------
        OptionError
            As there.
        """
        from slir_milp.search.falsification import falsify

        return falsify(self.network, self.query, timeout=timeout, seed=seed, cancel=cancel)

    def bounds(
        self,
        *,
        outputs: ArrayLike | None = None,
        constants: ArrayLike | None = None,
        tolerance: float = 1e-3,
        timeout: float | None = None,
        progress: RangesCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> Ranges:
        """Enclose the ranges of the outputs over the query's set of inputs; see :func:`slir_milp.bounds`.

        What the query says of the outputs is left out.

        Parameters
        ----------
        outputs, constants, tolerance, timeout, progress, cancel
            As there.

        Returns
        -------
        Ranges
            Outer ends that are proven, and inner ends that are attained.

        Raises
        ------
        QueryError
            The set of inputs is empty, or no union of boxes.
        OptionError
            As there.
        """
        from slir_milp.search.ranges import bounds

        return bounds(
            self.network,
            self.query.input_boxes(),
            outputs=outputs,
            constants=constants,
            tolerance=tolerance,
            timeout=timeout,
            progress=progress,
            cancel=cancel,
        )

    def __repr__(self) -> str:
        return f"<Problem: {self.network!r}, {self.query!r}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        facts = [
            ("network", repr(self.network)[1:-1].removeprefix("Network: ")),
            ("", self.network.source),
            ("query", repr(self.query)[1:-1].removeprefix("Query: ")),
            ("", self.query.source),
        ]
        return card("Problem", facts)
