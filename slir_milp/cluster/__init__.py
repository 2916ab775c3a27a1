"""Work on several machines, or several processes of one, through Dask."""

from slir_milp.cluster.connection import PATIENCE, Connection, connect
from slir_milp.cluster.verify import verify_on

__all__ = ["PATIENCE", "Connection", "connect", "verify_on"]
