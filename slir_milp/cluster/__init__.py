"""Work on several machines, or several processes of one, through Dask."""

from slir_milp.cluster.connect import Connection, connect
from slir_milp.cluster.verify import verify_on

__all__ = ["Connection", "connect", "verify_on"]
