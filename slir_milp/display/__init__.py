"""Building blocks of what results look like in a notebook; they know nothing of what they show."""

from slir_milp.display.card import card
from slir_milp.display.intervals import draw_intervals

__all__ = ["card", "draw_intervals"]
