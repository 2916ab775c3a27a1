"""How every network and query of this folder was made: ``python -m slir_milp.problems.make`` makes them all again."""
