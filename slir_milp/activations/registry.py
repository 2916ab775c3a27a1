"""Activations of one's own: given by a formula, or by a function and what is known of it."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from slir_milp.activations.curve import Curve
from slir_milp.activations.declared import CriticalPointsOf, Facts, Range, declared_curve
from slir_milp.activations.formula import Formula
from slir_milp.activations.hinge import Hinge
from slir_milp.activations.offsets.samples import NOWHERE, Function
from slir_milp.errors import OptionError

if TYPE_CHECKING:
    from slir_milp.activations.declarations import Declaration

Operator = tuple[str, str]
"""Domain and type of an ONNX operator, or of a model's local function."""


@dataclass(frozen=True)
class Registry:
    """Activations beside the built-in ones; a value: adding to it makes another.

    Attributes
    ----------
    curves
        By name.
    operators
        The ONNX operators and local functions that stand for an activation, with the name of a curve, or a declaration
        that makes one from the node's attributes.
    """

    curves: Mapping[str, Curve] = field(default_factory=lambda: MappingProxyType({}))
    operators: Mapping[Operator, str | Declaration] = field(default_factory=lambda: MappingProxyType({}))

    def with_curve(self, curve: Curve, operator: str | None = None) -> Registry:
        """The registry with one more curve, which may replace one of the same name.

        Raises
        ------
        OptionError
            If the name is that of a built-in activation, or the operator cannot be one.
        """
        own_name(curve.name)
        operators = dict(self.operators)
        if operator is not None:
            operators[operator_key(operator)] = curve.name
        return Registry(MappingProxyType({**self.curves, curve.name: curve}), MappingProxyType(operators))

    def with_declarations(self, declarations: Iterable[Declaration]) -> Registry:
        """The registry with what a file declares; every declared function is made, and so checked."""
        result = self
        for declaration in declarations:
            result = result.with_curve(declaration.curve({}))
            if declaration.operator is not None:
                operators = {**result.operators, declaration.operator: declaration}
                result = Registry(result.curves, MappingProxyType(operators))
        return result

    def activation(self, name: str, **parameters: float) -> Curve | Hinge:
        """An activation by name, one's own or a built-in one.

        Raises
        ------
        OptionError
            If there is none of the name, or the parameters do not fit.
        """
        from slir_milp.activations.catalogue import CATALOGUE, HINGES, activation

        if name not in self.curves:
            near = difflib.get_close_matches(name, self.curves, 1, 0.6)
            if near and name not in CATALOGUE and name not in HINGES:
                raise OptionError(f"there is no activation '{name}'; did you mean {near[0]}?")
            return activation(name, **parameters)
        if parameters:
            raise OptionError(f"activation {name} takes no parameters.")
        return self.curves[name]

    def of_operator(self, domain: str, op_type: str, attributes: Mapping[str, float]) -> Curve | None:
        """Curve that a node with these numeric attributes applies, ``None`` if nothing was said of its operator.

        Raises
        ------
        OptionError
            If the attributes do not fit the declaration.
        """
        known = self.operators.get((domain, op_type))
        if known is None:
            return None
        if not isinstance(known, str):
            return known.curve(attributes)
        if attributes:
            raise OptionError(
                f"{domain}::{op_type} has attributes ({', '.join(attributes)}), but activation {known} takes no "
                "parameters; declare it in a file, with parameters."
            )
        return self.curves[known]


def operator_key(text: str) -> Operator:
    """Domain and type from ``domain::Type``.

    Raises
    ------
    OptionError
        If the text is nothing of the kind.
    """
    domain, separator, op_type = text.rpartition("::")
    if not separator or not op_type.isidentifier():
        raise OptionError(f"'{text}' is no operator; write domain::Type, as in my.domain::MyActivation.")
    return domain, op_type


def own_name(name: str) -> str:
    """The name, if an activation of one's own may have it.

    Raises
    ------
    OptionError
        If it is no word, or a built-in activation's.
    """
    from slir_milp.activations.catalogue import CATALOGUE, HINGES

    if not re.fullmatch(r"\w[\w.-]*(\(.*\))?", name):
        raise OptionError(f"'{name}' is no name for an activation; use letters, digits, '_', '-' and '.'.")
    if name in CATALOGUE or name in HINGES:
        raise OptionError(f"'{name}' is a built-in activation; choose another name.")
    return name


class _Process:
    """What was registered in this process."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.lock = threading.Lock()


_PROCESS = _Process()


def registered() -> Registry:
    """Everything registered in this process so far."""
    return _PROCESS.registry


def register_activation(
    name: str,
    function: Function | Formula | str,
    *,
    derivative: Function | Formula | str | None = None,
    lipschitz: float | None = None,
    slope_range: Range | None = None,
    curvature: Range | None = None,
    critical_points: CriticalPointsOf | None = None,
    inflections: Sequence[float] | None = None,
    breakpoints: Sequence[float] | None = None,
    values: Range | None = None,
    domain: Range = NOWHERE,
    interval: Range = (-16.0, 16.0),
    error: float = 0.0,
    samples: int = 1024,
    operator: str | None = None,
) -> Curve:
    """Make an activation of one's own known, by a formula or by a function and facts about it.

    A formula needs nothing else and is always the better choice: its lines are optimal to about 1e-12, and witnesses
    are replayed exactly.  A function needs facts; the tightest that can be made of them is used, in this order:
    breakpoints; a derivative by formula; a derivative and its inflections; critical points; curvature; slope range;
    Lipschitz constant.  The result is sound if what is declared is true of the real function that ``function``
    computes within ``error``.  Every declaration is checked, by dense samples, and by interval arithmetic where there
    is a formula; samples cannot prove it.

    Parameters
    ----------
    name
        Not that of a built-in activation.
    function
        A formula of ``x`` such as ``"x * tanh(exp(x))"``, or a function of an array (elementwise) or of a number.
    derivative
        Its derivative, likewise.
    lipschitz
        A bound on ``|f(y) − f(x)| / |y − x|``.
    slope_range
        Bounds on ``(f(y) − f(x))/(y − x)``, so on the derivative.
    curvature
        Bounds on the second derivative.
    critical_points
        Given a slope ``s``, all ``x`` of the interval with ``f′(x) = s``, where ``f′`` is continuous.
    inflections
        All numbers where the derivative turns from rising to falling or back; ``()`` if it never does.
    breakpoints
        All numbers where a piecewise linear function bends or jumps.
    values
        Bounds on all values; they also bound the tails.
    domain
        Where the function exists; nothing is claimed elsewhere.
    interval
        Where samples are taken; beyond, lines are as loose as the declared slopes and values are.
    error
        How far computed values (and derivatives) may be from the true ones, beside 4 units in the last place.
    samples
        How many.
    operator
        The ONNX operator or local function that stands for it, as ``domain::Type``.

    Returns
    -------
    Curve
        The activation; networks loaded later in this process may use it.

    Raises
    ------
    OptionError
        If a declaration is refuted, with the point where it fails; or too little is declared.
    """
    facts = Facts(
        derivative=derivative,
        lipschitz=lipschitz,
        slope_range=slope_range,
        curvature=curvature,
        critical_points=critical_points,
        inflections=inflections,
        breakpoints=breakpoints,
        values=values,
        domain=domain,
        interval=interval,
        error=error,
        samples=samples,
    )
    curve = declared_curve(own_name(name), function, facts)
    with _PROCESS.lock:
        _PROCESS.registry = _PROCESS.registry.with_curve(curve, operator)
    return curve
