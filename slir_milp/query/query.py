"""A query: the question whether some input and the network's outputs for it meet a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from slir_milp.display import card
from slir_milp.errors import QueryError
from slir_milp.query.formula import Atom, Formula, Interval, numbering, surely_holds, worst_violation
from slir_milp.query.numbers import to_fraction

if TYPE_CHECKING:
    from slir_milp.query.box import Box
    from slir_milp.query.build import Where


@dataclass(frozen=True, repr=False)
class Query:
    """A set of inputs and a condition on the outputs, as one formula.

    Attributes
    ----------
    inputs, outputs
        Number of input variables ``X_i`` and of output variables ``Y_j``.
    formula
        What a counterexample must meet, over the variables 0 to ``inputs + outputs`` - 1, inputs first.
    sha256
        Digest of the file the query was read from, as stored; ``""`` if there is none.
    source
        Path of that file; ``""`` if there is none.
    language
        Version of VNN-LIB that the file is written in.
    """

    inputs: int
    outputs: int
    formula: Formula
    sha256: str = field(default="", compare=False)
    source: str = field(default="", compare=False)
    language: str = field(default="1.0", compare=False)

    @property
    def mentions_outputs(self) -> bool:
        """Whether any inequality has an output."""
        todo: list[Formula] = [self.formula]
        while todo:
            part = todo.pop()
            if not isinstance(part, Atom):
                todo += part.parts
            elif part.terms and part.terms[-1][0] >= self.inputs:
                return True
        return False

    def check_fits(self, input_size: int, output_size: int) -> None:
        """Refuse a network of other sizes.

        Parameters
        ----------
        input_size, output_size
            Those of the network.

        Raises
        ------
        QueryError
            The network has another number of inputs or outputs than the query declares.
        """
        if (self.inputs, self.outputs) != (input_size, output_size):
            raise QueryError(
                f"the query declares {self.inputs} inputs and {self.outputs} outputs, but the network has "
                f"{input_size} and {output_size}; check that the two belong together."
            )

    def holds(self, x: Sequence[Fraction | float], y: Sequence[tuple[Fraction | float, Fraction | float]]) -> bool:
        """Whether the formula certainly holds, as written, at an exact input for all outputs within intervals.

        Parameters
        ----------
        x
            One exact number per input; a float stands for its exact value.
        y
            Lower and upper end of every output.

        Returns
        -------
        bool
            ``True`` only if it holds for every choice of outputs within the intervals, ``<`` strictly.

        Raises
        ------
        QueryError
            ``x`` or ``y`` has the wrong length or a number that is not finite.
        """
        return surely_holds(self.formula, self._values(x, y))

    def violation(
        self, x: Sequence[Fraction | float], y: Sequence[tuple[Fraction | float, Fraction | float]]
    ) -> Fraction | float:
        """How far the formula is from holding: at most zero exactly if it holds with ``<`` taken as ``<=``.

        Parameters
        ----------
        x, y
            As for :meth:`holds`.

        Returns
        -------
        Fraction or float
            In the unit of the inequality that decides; exact, and a float only if it is infinite (a formula that is
            true or false by itself).

        Raises
        ------
        QueryError
            As for :meth:`holds`.
        """
        return worst_violation(self.formula, self._values(x, y))

    @staticmethod
    def box(
        lower: Sequence[Fraction | float],
        upper: Sequence[Fraction | float],
        outputs: int,
        where: Where | None = None,
    ) -> Query:
        """A query about a box of inputs.

        Parameters
        ----------
        lower, upper
            Ends of every input's interval, exact numbers: a float stands for its exact value.
        outputs
            Number of outputs.
        where
            Takes the input and the output variables, ``x`` and ``y``, and returns the condition that a counterexample
            meets, or several that it meets all at once: ``lambda x, y: [y[0] <= y[1], y[0] <= y[2]]``.  Conditions are
            joined by ``|`` and ``&``.  Without it, any point of the box meets the query.

        Returns
        -------
        Query
            What is asked: whether a point of the box meets the condition.

        Raises
        ------
        QueryError
            The ends do not fit each other, or ``where`` does not return conditions.
        """
        from slir_milp.query.build import box_query

        return box_query(lower, upper, outputs, where)

    def input_boxes(self) -> tuple[Box, ...]:
        """The query's set of inputs as boxes whose union it is; conditions that mention an output are left out.

        Returns
        -------
        tuple of Box
            At least one.

        Raises
        ------
        QueryError
            The set is empty, or it is no union of boxes, for an inequality mentions several inputs.
        """
        from slir_milp.query.inputs import input_boxes

        return input_boxes(self)

    def __repr__(self) -> str:
        atoms, alternatives = numbering(self.formula)
        return (
            f"<Query: {self.inputs} inputs, {self.outputs} outputs, {len(atoms)} inequalities, "
            f"{len(alternatives)} alternatives>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        atoms, alternatives = numbering(self.formula)
        facts = [
            ("inputs", f"{self.inputs:,}"),
            ("outputs", f"{self.outputs:,}"),
            ("inequalities", f"{len(atoms):,}"),
            ("alternatives", f"{len(alternatives):,}" if alternatives else ""),
            ("file", self.source),
        ]
        return card("Query", facts)

    def variable_name(self, variable: int) -> str:
        """Name of a variable as the text has it."""
        return f"X_{variable}" if variable < self.inputs else f"Y_{variable - self.inputs}"

    def _values(
        self, x: Sequence[Fraction | float], y: Sequence[tuple[Fraction | float, Fraction | float]]
    ) -> list[Interval]:
        if (len(x), len(y)) != (self.inputs, self.outputs):
            raise QueryError(
                f"a point has {len(x)} inputs and {len(y)} outputs, but the query declares "
                f"{self.inputs} and {self.outputs}."
            )
        try:
            exact = [to_fraction(value) for value in x]
            ends = [(to_fraction(lower), to_fraction(upper)) for lower, upper in y]
        except (ValueError, OverflowError):
            raise QueryError("a point has a number that is not finite.") from None
        return [(value, value) for value in exact] + ends
