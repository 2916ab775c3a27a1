"""A tiny network, queries and verdicts, and a stand-in for the search."""

import threading
from dataclasses import dataclass, field
from fractions import Fraction

from slir_milp.network import Network
from slir_milp.query import Query
from slir_milp.search.verdict import (
    OpenRegion,
    Options,
    ProgressCallback,
    Reason,
    Statistics,
    Status,
    Verdict,
    Witness,
)

# The sum of two ReLUs, each of one input.
TINY = """\
// the sum of two rectified inputs
2,2,1,2,
2,2,1,
0,
-1.0,-1.0,
1.0,1.0,
0.0,0.0,0.0,
1.0,1.0,1.0,
1.0,0.0,
0.0,1.0,
0.0,
0.0,
1.0,1.0,
0.0,
"""
DECLARATIONS = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)\n"
BOX = "(assert (and (>= X_0 -1) (<= X_0 1) (>= X_1 -1) (<= X_1 1)))\n"

SAT = Verdict(
    Status.SAT,
    Reason.WITNESS,
    witness=Witness((Fraction(1, 2), Fraction(-1)), (0.5,), ((Fraction(1, 2), Fraction(1, 2)),), True, True),
    statistics=Statistics(regions=3, falsifier_points=20, seconds=0.01),
)
UNSAT = Verdict(
    Status.UNSAT,
    Reason.PROVED,
    closed_fraction=1.0,
    statistics=Statistics(regions=7, closed_by={"bound": 4}, seconds=0.02),
)
TIMEOUT = Verdict(
    Status.TIMEOUT,
    Reason.TIME_LIMIT,
    detail="it was close",
    near_miss=Witness((Fraction(1, 3), Fraction(0)), (0.25,), ((Fraction(1, 3), Fraction(1, 3)),), True, False),
    closed_fraction=0.99999,
    worst_bound=float("-inf"),
    output_bounds=((0.123456789, 2.0),),
    open_regions=(OpenRegion((0.0, 0.0), (1.0, 0.5), -0.25),),
    statistics=Statistics(regions=9, linear_programs=2),
)


@dataclass
class FakeSearch:
    """Stands in for the search: answers what a test tells it to, and keeps what it was asked."""

    answers: list[Verdict | Exception]
    asked: list[Options] = field(default_factory=list)

    def __call__(
        self,
        network: Network,
        query: Query,
        options: Options,
        *,
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> Verdict:
        self.asked.append(options)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer
