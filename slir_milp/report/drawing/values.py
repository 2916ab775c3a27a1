"""Fields of a picture's JSON, each checked as it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from slir_milp.errors import OptionError


@dataclass(frozen=True)
class Values:
    """An object of a JSON file.

    Attributes
    ----------
    content
        Its fields.
    source
        How messages speak of the file.
    """

    content: dict[str, Any]
    source: str

    def error(self, name: str, wanted: str) -> OptionError:
        """A complaint about a field."""
        return OptionError(f"{self.source} is no picture: '{name}' must be {wanted}.")

    def text(self, name: str) -> str:
        """A text."""
        value = self.content.get(name)
        if not isinstance(value, str):
            raise self.error(name, "a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.content.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.error(name, "a list of texts")
        return tuple(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.content.get(name)
        if not isinstance(value, bool):
            raise self.error(name, "true or false")
        return value

    def whole(self, name: str) -> int:
        """A whole number from 0 up."""
        value = self.content.get(name)
        if type(value) is not int or value < 0:
            raise self.error(name, "a whole number from 0 up")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        return self._finite(name, self.content.get(name))

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """So many finite numbers."""
        value = self.content.get(name)
        if not isinstance(value, list) or len(value) != count:
            raise self.error(name, f"a list of {count} numbers")
        return tuple(self._finite(name, one) for one in value)

    def part(self, name: str) -> Values:
        """An object."""
        value = self.content.get(name)
        if not isinstance(value, dict):
            raise self.error(name, "an object")
        return Values(value, self.source)

    def rows(self, name: str, width: int) -> list[list[int]]:
        """A list of lists of so many whole numbers."""
        value = self.content.get(name)
        if not isinstance(value, list) or not all(
            isinstance(row, list) and len(row) == width and all(type(one) is int for one in row) for row in value
        ):
            raise self.error(name, f"a list of lists of {width} whole numbers")
        return value

    def _finite(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.error(name, "a finite number")
        return float(value)
