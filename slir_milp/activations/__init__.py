"""The unary functions a neuron may apply."""

from slir_milp.activations.curve import Curve
from slir_milp.activations.hinge import ABS, IDENTITY, RELU, Hinge

__all__ = ["ABS", "IDENTITY", "RELU", "Curve", "Hinge"]
