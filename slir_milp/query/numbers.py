"""Numbers between text, exact rationals and float64, with every rounding in a known direction."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from slir_milp.errors import QueryError

LARGEST = Fraction(10**150)
"""No constant or coefficient of an inequality may be larger, nor a coefficient smaller than its inverse.

So every row can be scaled into the range of float64.
"""

_NUMBER = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d{1,9}))?", re.ASCII)
_LONGEST_TEXT = 4200
_LARGEST_EXPONENT = 1200
_ROUNDED_DIGITS = 60
_MOST_ZEROS = 20


def parse_number(text: str) -> Fraction | None:
    """Exact value of a decimal such as ``-0.5``, ``7`` or ``1.5E-3``; ``None`` if the text is no number.

    Raises
    ------
    QueryError
        The number is too long, or its exponent too large, to be computed with.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, part, exponent = match.groups()
    digits = whole + (part or "")
    if not digits:
        return None
    power = int(exponent or 0)
    if len(text) > _LONGEST_TEXT or abs(power) > _LARGEST_EXPONENT:
        raise QueryError(
            f"the number {shorten(text)} has more than {_LONGEST_TEXT} characters or an exponent beyond "
            f"{_LARGEST_EXPONENT}; write it with fewer."
        )
    power -= len(part or "")
    value = int(digits)
    number = Fraction(value * 10**power) if power >= 0 else Fraction(value, 10**-power)
    return -number if sign == "-" else number


def to_fraction(number: Fraction | float) -> Fraction:
    """Exact value of a fraction, an integer or a floating-point number (NumPy's included).

    Raises
    ------
    ValueError, OverflowError
        The number is not finite.
    """
    return Fraction(number) if isinstance(number, (Fraction, int)) else Fraction(float(number))


def shorten(text: str) -> str:
    """Text for a message: at most forty characters of it."""
    return text if len(text) <= 40 else f"{text[:37]}..."


def exact_decimal(number: Fraction) -> str | None:
    """Shortest decimal text that is exactly a number, without an exponent where that needs few zeros.

    ``None`` if the number has no finite decimal expansion; those of binary floating-point numbers always have one.
    """
    places = _decimal_places(number.denominator)
    if places is None:
        return None
    digits = _digits(abs(number.numerator) * 10**places // number.denominator)
    shown = digits.rstrip("0") or "0"
    if len(digits) - len(shown) <= _MOST_ZEROS:
        shown = digits
    exponent = len(digits) - len(shown) - places
    sign = "-" if number < 0 else ""
    if exponent > 0 or -exponent > len(shown) + _MOST_ZEROS:
        return f"{sign}{shown[0]}.{shown[1:] or '0'}e{exponent + len(shown) - 1}"
    shown = shown.rjust(1 - exponent, "0")
    point = len(shown) + exponent
    return f"{sign}{shown[:point]}.{shown[point:] or '0'}"


def rounded_decimal(number: Fraction) -> str:
    """Decimal text of a number: exact where it can be, else rounded to sixty significant digits."""
    exact = exact_decimal(number)
    if exact is not None:
        return exact
    size = (number.numerator.bit_length() - number.denominator.bit_length()) * 30103 // 100000
    unit = Fraction(10) ** (size - _ROUNDED_DIGITS)
    return exact_decimal(round(number / unit) * unit) or ""


def _digits(number: int) -> str:
    """Decimal digits of a non-negative integer of any length (Python's own conversion is limited)."""
    pieces: list[str] = []
    while number >= 10**4000:
        number, low = divmod(number, 10**4000)
        pieces.append(str(low).rjust(4000, "0"))
    return "".join([str(number), *reversed(pieces)])


def _decimal_places(denominator: int) -> int | None:
    """Fewest digits after the point that write a fraction in lowest terms exactly, if any number does."""
    twos = (denominator & -denominator).bit_length() - 1
    rest = denominator >> twos
    fives = 0
    while rest % 5 == 0:
        rest //= 5
        fives += 1
    return max(twos, fives) if rest == 1 else None


def round_down(number: Fraction) -> float:
    """Largest float64 that is at most a number; minus infinity below all of them."""
    numerator, denominator = number.numerator, number.denominator
    try:
        nearest = numerator / denominator
    except OverflowError:
        return math.nextafter(math.inf, 0) if numerator > 0 else -math.inf
    top, bottom = nearest.as_integer_ratio()
    return nearest if top * denominator <= numerator * bottom else math.nextafter(nearest, -math.inf)


def round_up(number: Fraction) -> float:
    """Smallest float64 that is at least a number; infinity above all of them."""
    return 0.0 - round_down(-number)
