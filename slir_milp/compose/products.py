"""Products of the variables of a query, computed by nodes that are added to the composed model.

They are computed in float64 from the elements of inputs and outputs.  Powers of one variable are made by ``Pow``, which
the rest of the program knows as one function, and products of several by ``Mul``, which it knows as squares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slir_milp.compose.graph import Builder

Powers: TypeAlias = tuple[tuple[int, int], ...]
"""Pairs of a variable and its exponent, by ascending variable."""


def add_products(builder: Builder, tensors: Sequence[tuple[str, int]], monomials: Sequence[tuple[int, ...]]) -> str:
    """Add nodes that compute monomials.

    Parameters
    ----------
    builder
        The model.
    tensors
        Names and sizes of the tensors whose elements, one tensor after another, are the variables.
    monomials
        The variables whose product each is.

    Returns
    -------
    str
        Name of a float64 vector, one element a monomial.
    """
    from onnx import TensorProto

    powers = [tuple(sorted(Counter(factors).items())) for factors in monomials]
    pool = _Pool(builder, {})
    start = 0
    wanted = {variable for factors in monomials for variable in factors}
    vectors = []
    for name, size in tensors:
        here = [variable for variable in range(start, start + size) if variable in wanted]
        if here:
            flat = builder.apply("Cast", builder.flat(name), to=TensorProto.DOUBLE)
            vectors.append(builder.picked(flat, [variable - start for variable in here]))
            pool.extend([((variable, 1),) for variable in here])
        start += size
    pool.vector = builder.joined(vectors)
    _add_powers(pool, powers)
    _add_mixed(pool, powers)
    return builder.picked(pool.vector, [pool.places[monomial] for monomial in powers])


class _Pool:
    """A vector of what has been computed, and where in it each product is."""

    def __init__(self, builder: Builder, places: dict[Powers, int]) -> None:
        self.builder, self.places = builder, places
        self.vector = ""

    def extend(self, products: Sequence[Powers]) -> None:
        for product in products:
            self.places[product] = len(self.places)

    def add(self, vector: str, products: Sequence[Powers]) -> None:
        self.vector = self.builder.joined([self.vector, vector])
        self.extend(products)


def _add_powers(pool: _Pool, monomials: Sequence[Powers]) -> None:
    """Add every power of one variable that occurs, those with the same exponent by one node."""
    powers = sorted({power for monomial in monomials for power in monomial if power[1] > 1}, key=lambda p: (p[1], p[0]))
    for exponent in sorted({exponent for _, exponent in powers}):
        here = [power for power in powers if power[1] == exponent]
        bases = pool.builder.picked(pool.vector, [pool.places[(variable, 1),] for variable, _ in here])
        raised = pool.builder.apply("Pow", bases, pool.builder.store(np.array(exponent, dtype=np.float64)))
        pool.add(raised, [(power,) for power in here])


def _add_mixed(pool: _Pool, monomials: Sequence[Powers]) -> None:
    """Add the products of powers of several variables, shorter ones first."""
    prefixes = {monomial[:length] for monomial in monomials for length in range(2, len(monomial) + 1)}
    for length in sorted({len(prefix) for prefix in prefixes}):
        here = sorted(prefix for prefix in prefixes if len(prefix) == length)
        left = pool.builder.picked(pool.vector, [pool.places[prefix[:-1]] for prefix in here])
        right = pool.builder.picked(pool.vector, [pool.places[prefix[-1],] for prefix in here])
        pool.add(pool.builder.apply("Mul", left, right), here)


def product_values(values: NDArray[np.float64], monomials: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """The same products in NumPy, in float64."""
    return np.array([np.prod(values[list(factors)]) for factors in monomials], dtype=np.float64)
