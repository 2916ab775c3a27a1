"""Replay of candidate witnesses: nothing is called ``sat`` that has not passed here.

A candidate is moved to float32 numbers inside the input set (or, where an input's interval holds no such number, to a
float64 number or an exact fraction in it), run on ONNX Runtime, evaluated exactly, and compared with the formula as
written, strict comparisons strictly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import TypeAlias

import numpy as np

from slir_milp.errors import NetworkError, UndefinedValueError
from slir_milp.network import Runtime, exact_outputs
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Box, GridBox, Query
from slir_milp.search.verdict import Witness

RunsNetwork: TypeAlias = Callable[[Vector], Vector]
"""Gives the outputs, shape ``(outputs,)``, at a point of shape ``(inputs,)``."""


class Replayer:
    """Checks candidates against a query; keeps the first one that holds in one arithmetic only.

    Parameters
    ----------
    network, query
        The problem.
    runtime
        What computes the network's outputs at a point.  By default, the network's file, or the model that it was read
        from, on its own runtime; a network that was made of arrays is replayed by NumPy, in the type of its inputs.
    """

    def __init__(self, network: Network, query: Query, runtime: RunsNetwork | None = None) -> None:
        self._network, self._query = network, query
        self._runtime = runtime
        self._lock = threading.Lock()
        self._grids: tuple[Box, GridBox, GridBox] | None = None
        self.near_miss: Witness | None = None
        self.replayed = 0

    def try_point(self, x: Vector, box: Box) -> Witness | None:
        """Replay a point of (or near) a box; the witness if it holds in both arithmetics."""
        if not np.isfinite(x).all():
            return None
        with self._lock:
            exact = self._placed(x, box)
            self.replayed += 1
            enclosures = self._enclosures(exact)
            if enclosures is None:
                return None
            holds_exactly = self._query.holds(exact, enclosures)
            if not holds_exactly and self._violation(exact, enclosures) > 1e-4:
                return None
            outputs = self._run(np.array([float(value) for value in exact]))
            holds_in_runtime = bool(np.isfinite(outputs).all()) and self._query.holds(
                exact, [(Fraction(float(y)), Fraction(float(y))) for y in outputs]
            )
            witness = Witness(
                tuple(exact), tuple(float(y) for y in outputs), enclosures, holds_in_runtime, holds_exactly
            )
            if holds_exactly and holds_in_runtime:
                return witness
            if not holds_exactly and not holds_in_runtime:
                witness = self._unrounded(x, box) or witness
                holds_exactly = witness.holds_exactly
            if (holds_exactly and not self._has_exact()) or (holds_in_runtime and self.near_miss is None):
                self.near_miss = witness
            return None

    def _has_exact(self) -> bool:
        return self.near_miss is not None and self.near_miss.holds_exactly

    def _unrounded(self, x: Vector, box: Box) -> Witness | None:
        """The point itself, if it meets the query exactly: such a sliver of witnesses float32 cannot resolve."""
        if self._has_exact() or self._grids is None:
            return None
        fine = self._grids[2]
        exact = [Fraction(float(v)) for v in np.clip(x, fine.lower, fine.upper)]
        enclosures = self._enclosures(exact)
        if enclosures is None or not fine.exists.all() or not self._query.holds(exact, enclosures):
            return None
        outputs = self._run(np.array([float(value) for value in exact]))
        return Witness(tuple(exact), tuple(float(y) for y in outputs), enclosures, False, True)

    def _enclosures(self, x: list[Fraction]) -> tuple[tuple[Fraction, Fraction], ...] | None:
        """Outputs in real arithmetic; ``None`` where the network has no value, and so meets no query."""
        try:
            return tuple(exact_outputs(self._network, x))
        except UndefinedValueError:
            return None

    def _violation(self, x: list[Fraction], y: tuple[tuple[Fraction, Fraction], ...]) -> Fraction | float:
        return self._query.violation(x, y)

    def _run(self, x: Vector) -> Vector:
        if self._runtime is None:
            self._runtime = self._own_runtime()
        return np.asarray(self._runtime(x), dtype=np.float64)

    def _own_runtime(self) -> RunsNetwork:
        network = self._network
        if network.source:
            return Runtime(network.source, network.activations).outputs
        if network.model:
            return Runtime.in_memory(network.model, "the model", network.activations).outputs
        return network if self._double() else partial(run_in_float32, network)

    def _placed(self, x: Vector, box: Box) -> list[Fraction]:
        """The nearest point of the box with float32 coordinates, or the finest that each interval allows."""
        if self._grids is None or self._grids[0] is not box:
            dtype = np.float64 if self._double() else np.float32
            self._grids = (box, box.inside(dtype), box.inside(np.float64))
        _, coarse, fine = self._grids
        with np.errstate(over="ignore"):
            rounded = np.clip(x.astype(coarse.lower.dtype), coarse.lower, coarse.upper)
            finer = np.clip(x, fine.lower, fine.upper)
        placed: list[Fraction] = []
        for q in range(len(x)):
            if coarse.exists[q]:
                placed.append(Fraction(float(rounded[q])))
            elif fine.exists[q]:
                placed.append(Fraction(float(finer[q])))
            else:
                placed.append((box.lower_ends[q][0] + box.upper_ends[q][0]) / 2)
        return placed

    def _double(self) -> bool:
        return all(spec.dtype == "float64" for spec in self._network.inputs)


def run_in_float32(network: Network, x: Vector) -> Vector:
    """Outputs of a network that has no file, every operation rounded to float32."""
    if any(spec.dtype not in ("float32", "float64") for spec in network.inputs):
        raise NetworkError("only float32 and float64 networks can be replayed")
    z = x.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for k, affine in enumerate(network.affines):
            z = (affine.weight.astype(np.float32) @ z + affine.bias.astype(np.float32)).astype(np.float32)
            if k < len(network.layers):
                z = network.layers[k].activate(z.astype(np.float64)).astype(np.float32)
    return z.astype(np.float64)
