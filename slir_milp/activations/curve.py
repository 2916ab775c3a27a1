"""An activation that is not a hinge: its name, how to compute it, and its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.table import Table, Vector
from slir_milp.errors import OptionError

if TYPE_CHECKING:
    from flint import arb

    from slir_milp.activations.formula import Formula


class Offsets(Protocol):
    """One way to know a function well enough to shift lines to it; see :mod:`slir_milp.activations.offsets`."""

    @property
    def name(self) -> str:
        """For people: "breakpoints", "critical points", "curvature", "slope range", "Lipschitz constant"."""
        ...

    def table(self) -> Table:
        """Everything proven of the function."""
        ...


@dataclass(frozen=True, eq=False)
class Curve:
    """A unary function and how its lines are found.

    Attributes
    ----------
    name
        What people call it; for a function found in a graph that has no name, its formula.
    formula
        The function as a formula of ``x``; ``None`` for one that is known by samples alone.
    offsets
        How its table is built.
    function, slope
        How to compute it and its derivative in float64 where there is no formula; without ``slope``, the derivative is
        a difference quotient.
    enclosure
        How to enclose its values over a ball where there is no formula.
    """

    name: str
    formula: Formula | None
    offsets: Offsets
    function: Callable[[Vector], Vector] | None = None
    slope: Callable[[Vector], Vector] | None = None
    enclosure: Callable[[arb], arb] | None = None

    @cached_property
    def table(self) -> Table:
        """Everything proven of the function; built when first asked for."""
        return self.offsets.table()

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value at ``x``, elementwise, in plain float64: not a bound."""
        if self.formula is not None:
            return self.formula(x)
        return self._function()(x)

    def derivative(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative at ``x``, elementwise, in plain float64, from one side where there are two."""
        if self.formula is not None:
            return self.formula.derivative(x)
        if self.slope is not None:
            return self.slope(x)
        step = 1e-6 * (1.0 + np.abs(x))
        function = self._function()
        return (function(x + step) - function(x - step)) / ((x + step) - (x - step))

    def ball(self, x: arb) -> arb:
        """Enclosure of the values over a ball, at the working precision of python-flint.

        Raises
        ------
        OptionError
            If there is neither a formula nor another enclosure.
        """
        if self.formula is None:
            if self.enclosure is not None:
                return self.enclosure(x)
            raise OptionError(f"{self.name} has no formula: it cannot be computed to any precision.")
        return self.formula.ball(x)

    def _function(self) -> Callable[[Vector], Vector]:
        if self.function is None:
            raise OptionError(f"{self.name} has neither a formula nor a function: it cannot be computed.")
        return self.function

    def _key(self) -> object:
        return (self.name, self.formula.text) if self.formula is not None else id(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())
