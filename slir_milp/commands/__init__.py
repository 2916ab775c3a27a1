"""The subcommands of ``slir-milp``, one module each; :mod:`slir_milp.cli` reads the arguments."""
