"""Queries over several models: composed to one network and one query, and witnesses carried back."""

from slir_milp.compose.assignment import Assignment, invert
from slir_milp.compose.originals import Originals
from slir_milp.compose.problem import Composition, apply, variables

__all__ = ["Assignment", "Composition", "Originals", "apply", "invert", "variables"]
