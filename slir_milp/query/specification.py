"""What a VNN-LIB 2.x file says: networks with their tensors, and one condition on the elements of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from math import prod
from typing import TypeAlias

from slir_milp.errors import Position
from slir_milp.query.elements import canonical
from slir_milp.query.formula import Formula

Factors: TypeAlias = tuple[int, ...]
"""Variables whose product a monomial is."""


class Role(StrEnum):
    """What a declared tensor is to its network."""

    INPUT = "input"
    HIDDEN = "hidden"
    OUTPUT = "output"


class Relation(StrEnum):
    """How a network is declared to be related to another."""

    EQUAL = "equal-to"
    ISOMORPHIC = "isomorphic-to"


@dataclass(frozen=True)
class Declared:
    """A declared tensor.

    Attributes
    ----------
    role, name
        What it is, and what the conditions call it.
    written_element
        Element type as the file has it.
    shape
        Its extents; ``()`` for a scalar.
    onnx_name
        For a hidden tensor, its name in the model.
    initialized
        Whether the input is to have the value that the model gives it by default.
    position
        Where it is declared; no part of its meaning.
    """

    role: Role
    name: str
    written_element: str
    shape: tuple[int, ...]
    onnx_name: str = ""
    initialized: bool = False
    position: Position | None = field(default=None, compare=False, repr=False)

    @property
    def element(self) -> str:
        """Element type; ``Real`` and ``real`` are one."""
        return canonical(self.written_element)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def kind(self) -> tuple[str, tuple[int, ...]]:
        """Element type and shape."""
        return self.element, self.shape


@dataclass(frozen=True)
class NetworkDeclaration:
    """A declared network.

    Attributes
    ----------
    name
        What the command line calls it.
    inputs, hidden, outputs
        Its tensors, in the file's order.
    relation, other
        How it is related to an earlier one, and to which; ``None`` and ``""`` if it is not.
    position
        Where it is declared; no part of its meaning.
    """

    name: str
    inputs: tuple[Declared, ...]
    hidden: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    relation: Relation | None = None
    other: str = ""
    position: Position | None = field(default=None, compare=False, repr=False)

    @property
    def tensors(self) -> tuple[Declared, ...]:
        """All tensors, in the file's order."""
        return (*self.inputs, *self.hidden, *self.outputs)

    @property
    def needs_model(self) -> bool:
        """Whether a model file belongs to it: an equal network has that of the other."""
        return self.relation is not Relation.EQUAL

    @property
    def base(self) -> str:
        """Name of the network whose model this one has: its own, or the one it is equal to."""
        return self.name if self.needs_model else self.other


@dataclass(frozen=True)
class Specification:
    """A query over any number of networks.

    Attributes
    ----------
    version
        Of the language.
    networks
        The declarations, in the file's order.
    formula
        The condition.  Its variables are the elements of all declared tensors, numbered in the file's order, each
        tensor in row-major order; after them come the monomials.
    monomials
        The variables whose product each is.
    sha256, source
        Digest of the file as stored, and its path; ``""`` if there is none.
    """

    version: tuple[int, int]
    networks: tuple[NetworkDeclaration, ...]
    formula: Formula
    monomials: tuple[Factors, ...] = ()
    sha256: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def tensors(self) -> Iterator[tuple[NetworkDeclaration, Declared, int]]:
        """Every tensor with its network and the number of its first element."""
        start = 0
        for network in self.networks:
            for tensor in network.tensors:
                yield network, tensor, start
                start += tensor.size

    @property
    def variables(self) -> int:
        """Number of elements of all tensors together."""
        return sum(tensor.size for network in self.networks for tensor in network.tensors)

    def variable_name(self, variable: int) -> str:
        """What the file calls a variable, such as ``X[0,1]``."""
        for _, tensor, start in self.tensors():
            if start <= variable < start + tensor.size:
                return element_name(tensor, variable - start)
        return " * ".join(map(self.variable_name, self.monomials[variable - self.variables]))

    def with_monomials(self, values: list[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
        """Intervals of all variables, followed by those of the monomials that they imply; exact for points."""
        result = list(values)
        for factors in self.monomials:
            low = high = Fraction(1)
            for factor in factors:
                ends = [a * b for a in (low, high) for b in values[factor]]
                low, high = min(ends), max(ends)
            result.append((low, high))
        return result


def element_name(tensor: Declared, offset: int) -> str:
    """What the file calls an element of a tensor, given by its place in row-major order."""
    indices: list[str] = []
    for extent in reversed(tensor.shape):
        offset, index = divmod(offset, extent)
        indices.append(str(index))
    return f"{tensor.name}[{','.join(reversed(indices))}]" if indices else tensor.name
