"""``python -m slir_milp`` is ``slir-milp``."""

from slir_milp.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
