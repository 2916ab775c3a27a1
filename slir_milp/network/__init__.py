"""Networks: reading files, lowering graphs to the normal form, running them exactly and in the original runtime."""

from slir_milp.network.affine import Affine
from slir_milp.network.exact import exact_outputs
from slir_milp.network.load import load_network
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.network.runtime import Runtime

__all__ = ["Affine", "Layer", "Network", "Runtime", "TensorSpec", "exact_outputs", "load_network"]
