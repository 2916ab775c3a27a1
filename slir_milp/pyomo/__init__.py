"""Networks as Pyomo blocks, for optimisation models of one's own, and queries as Pyomo models.

>>> import pyomo.environ as pyo  # doctest: +SKIP
>>> from slir_milp import load_network  # doctest: +SKIP
>>> from slir_milp.pyomo import network_block  # doctest: +SKIP
>>> model = pyo.ConcreteModel()  # doctest: +SKIP
>>> model.net = network_block(load_network("network.onnx"), [0, 0], [1, 1])  # doctest: +SKIP
>>> model.best = pyo.Objective(expr=model.net.outputs[0], sense=pyo.maximize)  # doctest: +SKIP

Pyomo itself (``pip install slir-milp[pyomo]``) is imported when a block is made, so this package imports without it.
"""

from slir_milp.pyomo.block import network_block
from slir_milp.pyomo.formulation import Formulation
from slir_milp.pyomo.query_model import QueryModel, query_model

__all__ = ["Formulation", "QueryModel", "network_block", "query_model"]
