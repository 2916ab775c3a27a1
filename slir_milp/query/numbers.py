"""Numbers between text, exact rationals and float64, with every rounding in a known direction."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from slir_milp.errors import QueryError

LARGEST = Fraction(10**150)
"""No number of a query may be larger, nor a coefficient smaller than its inverse: so no row overflows float64."""

_NUMBER = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d{1,9}))?", re.ASCII)
_LONGEST_TEXT = 2000
_LARGEST_EXPONENT = 2000
_ROUNDED_DIGITS = 60


def parse_number(text: str) -> Fraction | None:
    """Exact value of a decimal such as ``-0.5``, ``7`` or ``1.5E-3``; ``None`` if the text is no number.

    Raises
    ------
    QueryError
        The number is too long, or its exponent or magnitude too large, to be computed with.
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
    if number > LARGEST:
        raise QueryError(f"the number {shorten(text)} is larger than 1e150, beyond what is computed with.")
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


def is_finite_decimal(number: Fraction) -> bool:
    """Whether a number has a finite decimal expansion."""
    return _decimal_places(number.denominator) is not None


def format_number(number: Fraction) -> str:
    """Decimal text of a number: exact where it has a finite expansion, else rounded to sixty digits.

    An exponent is used only where plain digits would need many zeros.
    """
    places = _decimal_places(number.denominator)
    if places is None:
        power = _ROUNDED_DIGITS - int(math.log10(abs(number.numerator)) - math.log10(number.denominator))
        number = Fraction(round(number * Fraction(10) ** power)) / Fraction(10) ** power
        places = _decimal_places(number.denominator) or 0
    digits = str(abs(number.numerator) * 10**places // number.denominator)
    exponent = -places
    stripped = digits.rstrip("0") or "0"
    if len(digits) - len(stripped) > 20:
        exponent += len(digits) - len(stripped)
        digits = stripped
    sign = "-" if number < 0 else ""
    if exponent > 0:
        return f"{sign}{digits}e{exponent}"
    if exponent == 0:
        return f"{sign}{digits}.0"
    if -exponent > len(digits) + 20:
        tail = f".{digits[1:]}" if len(digits) > 1 else ".0"
        return f"{sign}{digits[0]}{tail}e{exponent + len(digits) - 1}"
    digits = digits.rjust(1 - exponent, "0")
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"


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
    return -round_down(-number)
