"""What the checker makes of spoilt proofs: thousands of corruptions, by bytes and by entries, of proofs of all kinds.

    python benchmarks/mutations.py [--count N] [--seed N] [--keep FOLDER]

Every spoilt proof is checked twice: as a proof of its own problem, where it must be rejected with a sentence or still
be a proof, and as one of a *twin*, a problem with thresholds moved so far that an input meets the query, where nothing
may be accepted.  Every eighth is checked in rational arithmetic besides.  A false acceptance, an exception or a check
that does not end is a fault of the checker; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from proof_cases import embedded_cases, files_read_once, made_cases
from proof_judge import REJECTED, SAME, UNEVEN, VALID, Judge, WrongError
from proof_mutations import CONTENT, ENTRIES, mutants

WRONG = "WRONG"
_COLUMNS = (REJECTED, VALID, SAME, UNEVEN, WRONG)
_LIMIT, _EXACTLY, _SHORT = 60.0, 8, 0.1


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="spoilt proofs in all (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder for the proofs that the checker is wrong about")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    found, slowest, ratios = Counter[tuple[str, str]](), dict[str, float](), list[float]()
    with tempfile.TemporaryDirectory() as name, files_read_once():
        folder = Path(name)
        cases = list(chain(made_cases(folder), embedded_cases(folder)))
        judges = [Judge(case, folder, _LIMIT) for case in cases]
        usual = np.array([max(judge.outcome(judge.case.stored).seconds for _ in range(2)) for judge in judges])
        # Half of them in equal shares, half where checks are quick.
        shares = np.ceil(options.count / 2 * (1 / len(cases) + 1 / usual / (1 / usual).sum())).astype(int)
        for judge, each in zip(judges, shares.tolist(), strict=True):
            case = judge.case
            seconds = judge.outcome(case.stored, exact=True).seconds
            longest = 0.0
            for i, (kind, stored) in enumerate(islice(mutants(case, rng), each)):
                try:
                    outcome = judge.outcome(stored, exact=i % _EXACTLY == 0)
                except WrongError as error:
                    found[kind, WRONG] += 1
                    print(f"{case.name}: {kind}: {error}", file=sys.stderr, flush=True)
                    if options.keep:
                        options.keep.mkdir(parents=True, exist_ok=True)
                        (options.keep / f"{case.problem.query.stem}_{i}.proof").write_bytes(stored)
                    continue
                found[kind, outcome.verdict] += 1
                longest = max(longest, outcome.seconds)
                slowest[kind] = max(slowest.get(kind, 0.0), outcome.seconds)
            ratios.append(longest / max(seconds, _SHORT))
            print(
                f"{case.name}: {each} done; unspoilt {seconds:.2f} s, slowest {longest:.2f} s",
                file=sys.stderr,
                flush=True,
            )
    print("".join([f"{'damage':34}", *(f"{title:>15}" for title in _COLUMNS), f"{'slowest, s':>12}"]))
    for kind in (*CONTENT, *ENTRIES):
        counts = "".join(f"{found[kind, title]:15,}" for title in _COLUMNS)
        print(f"{kind:34}{counts}{slowest.get(kind, 0.0):12.2f}")
    totals = [sum(count for (_, verdict), count in found.items() if verdict == title) for title in _COLUMNS]
    print("".join([f"{'all':34}", *(f"{total:15,}" for total in totals), f"{max(slowest.values()):12.2f}"]))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{sum(totals):,} spoilt proofs of {len(cases)} proofs, seed {options.seed}; a check took at most "
          f"{max(ratios):.1f} times what the unspoilt proof takes; {memory:.0f} MB at most.")  # fmt: skip
    return 1 if totals[-1] else 0


if __name__ == "__main__":
    sys.exit(main())
