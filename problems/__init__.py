"""Small networks of our own making, with queries whose verdicts are known; see :mod:`slir_milp.problems.catalogue`."""
