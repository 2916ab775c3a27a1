"""A tiny network, queries and verdicts, and a stand-in for the search."""

import threading
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

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
        proof: Path | None = None,
        activations: str = "",
    ) -> Verdict:
        self.asked.append(options)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def hard_problem(folder: Path) -> tuple[Path, Path]:
    """A random network and a query that takes far longer than any test: is an output a bit above those seen?"""
    rng = np.random.default_rng(5)
    sizes = (16, 60, 60, 60, 1)
    weights = [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in pairwise(sizes)]
    biases = [rng.normal(size=m) / 4 for m in sizes[1:]]
    lines = ["// a random network", f"{len(weights)},{sizes[0]},1,60,", ",".join(map(str, sizes)) + ",", "0,"]
    lines += [",".join(["-1"] * sizes[0]), ",".join(["1"] * sizes[0])]
    lines += [",".join(["0"] * (sizes[0] + 1)), ",".join(["1"] * (sizes[0] + 1))]
    for weight, bias in zip(weights, biases, strict=True):
        lines += [",".join(map(repr, row)) for row in weight.astype(np.float32).astype(float).tolist()]
        lines += [repr(value) for value in bias.astype(np.float32).astype(float).tolist()]
    z = rng.uniform(-1, 1, size=(20_000, sizes[0]))
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        z = np.maximum(z @ weight.T + bias, 0)
    top = float((z @ weights[-1].T + biases[-1]).max())
    network, query = folder / "hard.nnet", folder / "hard.vnnlib"
    network.write_text("\n".join(lines) + "\n")
    variables = [*(f"X_{i}" for i in range(sizes[0])), "Y_0"]
    text = [f"(declare-const {name} Real)" for name in variables]
    text += [f"(assert (and (>= {name} -1) (<= {name} 1)))" for name in variables[:-1]]
    query.write_text("\n".join([*text, f"(assert (>= Y_0 {3 * abs(top):.6f}))"]))
    return network, query
