"""How fast regions are bounded, by the compiled kernel and by other means, in one run on one core.

    python benchmarks/kernel.py [NETWORK QUERY]

Without arguments it takes a problem that comes with the program.  Two tables: whole regions (the kernel in every
variant that the processor has, and the NumPy reference), and the innermost product, a block of rows times the weights
of a layer (the kernel's own C, Cython in pure Python mode, NumPy).  Needs a C compiler and Cython.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp import load_network, load_query
from slir_milp.bounding import kernel
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.reference import Problem, analyse
from slir_milp.bounding.region import Region
from slir_milp.problems.catalogue import problem
from slir_milp.query import grouped_clauses
from slir_milp.search.target import conjunction_of, root_of

SOURCES = Path(kernel.__file__).parent
FLAGS = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]  # as setup.py has them
TARGETS = {"base": ["-DVECTOR_BYTES=16"], "avx2": ["-DVECTOR_BYTES=32", "-mavx2", "-mfma"]}
ROWS, INNER, COLUMNS = 60, 50, 56
REGIONS = 4000

CYTHON = """
# cython: boundscheck=False, wraparound=False, initializedcheck=False
import cython

def product(a: cython.double[:, ::1], b: cython.double[:, ::1], c: cython.double[:, ::1]):
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    factor: cython.double
    with cython.nogil:
        for i in range(a.shape[0]):
            for j in range(b.shape[1]):
                c[i, j] = 0.0
            for k in range(a.shape[1]):
                factor = a[i, k]
                if factor != 0.0:
                    for j in range(b.shape[1]):
                        c[i, j] += factor * b[k, j]
"""

C = """
#include "includes.h"
#include "linear_algebra.h"
void product(int rows, int inner, int columns, const double *a, const double *b, double *c) {
    multiply(rows, inner, columns, a, inner, b, columns, c, columns);
}
"""


def seconds(action: Callable[[], object], at_least: float = 0.2) -> float:
    """Time of one call: the least of five averages."""
    calls = 1
    while (once := _time(action, calls)) < at_least / 5:
        calls *= max(2, int(at_least / 5 / max(once, 1e-9)) // 2)
    return min(_time(action, calls) for _ in range(5)) / calls


def _time(action: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        action()
    return time.perf_counter() - start


def regions(network_path: Path, query_path: Path) -> dict[str, float]:
    """Seconds for a region, by each means."""
    network, query = load_network(network_path), load_query(query_path)
    box, group = next(grouped_clauses(query))
    root = root_of(network, box.lower, box.upper)
    charge = slack(network, root.region.lower, root.region.upper)
    compiled = kernel.compile_network(network, charge)
    conjunction = conjunction_of(next(iter(group)), root, charge)
    problem_at_hand = Problem(network, charge, conjunction.rows, conjunction.strict)
    found: dict[str, float] = {}
    for variant in kernel.variants():
        explorer = kernel.Explorer(network, charge, compiled, conjunction, kernel.Settings(), variant)
        each, done = min(_explored(explorer, root.region, REGIONS) for _ in range(3))
        found[f"kernel, {variant}: explored depth first ({done} regions)"] = each
    explorer = kernel.Explorer(network, charge, compiled, conjunction, kernel.Settings())
    open_ones = _open_regions(explorer, root.region)
    laid_out = [explorer.record(region) for region in open_ones]

    def by_kernel() -> None:
        for record, sides in laid_out:
            explorer.analyse(record.copy(), sides)

    def by_reference() -> None:
        for region in open_ones:
            analyse(problem_at_hand, region)

    count = len(open_ones)
    found[f"kernel, {explorer.variant}: {count} of them, called from Python"] = seconds(by_kernel) / count
    found["NumPy reference: the same"] = seconds(by_reference) / count
    return found


def _explored(explorer: kernel.Explorer, region: Region, wanted: int) -> tuple[float, int]:
    """Seconds for each region of a depth-first search, and how many there were."""
    record, side = explorer.record(region)
    records, sides, done, start = record[None, :], side[None, :], 0, time.perf_counter()
    while done < wanted and len(records):
        records, sides, _, _, _, counts = explorer.explore(
            records, sides, budget=wanted - done, deadline=np.inf, cancel=np.zeros(1, dtype=np.int32)
        )
        done += counts["regions"]
    return (time.perf_counter() - start) / done, done


def _open_regions(explorer: kernel.Explorer, region: Region) -> list[Region]:
    """What is open after a few splits, with the bounds that it inherits."""
    record, side = explorer.record(region)
    records, sides, *_ = explorer.explore(
        record[None, :], side[None, :], budget=24, deadline=np.inf, cancel=np.zeros(1, dtype=np.int32)
    )
    return [explorer.region(record, side) for record, side in zip(records, sides, strict=True)]


def products(folder: Path) -> dict[str, float]:
    """Seconds for one product of a block of rows with a layer's weights, by each means."""
    random = np.random.default_rng(0)
    a, b, c = random.normal(size=(ROWS, INNER)), random.normal(size=(INNER, COLUMNS)), np.zeros((ROWS, COLUMNS))
    found: dict[str, float] = {}
    for variant in kernel.variants():
        name = f"kernel's C, {variant}"
        found[name] = seconds(_c_product(folder, TARGETS[variant], a, b, c))
        _check(c, a @ b, name)
    for name, flags in {
        "Cython, pure Python mode": [],
        "Cython, pure Python mode, -march=native": ["-march=native"],
    }.items():
        product = _cython_product(folder, flags)
        found[name] = seconds(partial(product, a, b, c))
        _check(c, a @ b, name)
    found["NumPy (its BLAS)"] = seconds(lambda: np.matmul(a, b, out=c))
    return found


def _check(c: NDArray[np.float64], expected: NDArray[np.float64], name: str) -> None:
    if not np.allclose(c, expected, rtol=1e-12):
        raise SystemExit(f"{name} computes something else")


def _c_product(folder: Path, flags: list[str], a: Any, b: Any, c: Any) -> Callable[[], object]:
    library = folder / f"product{len(list(folder.iterdir()))}.so"
    source = folder / "product.c"
    source.write_text(C)
    command = ["cc", *FLAGS, *flags, "-std=c11", "-Wno-psabi", "-w", f"-I{SOURCES}", "-shared", "-fPIC"]
    subprocess.run([*command, str(source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).product
    pointers = [ctypes.c_void_p(part.ctypes.data) for part in (a, b, c)]
    return lambda: function(ROWS, INNER, COLUMNS, *pointers)


def _cython_product(folder: Path, flags: list[str]) -> Any:
    name = f"product_in_cython_{len(flags)}"
    source = folder / f"{name}.py"
    source.write_text(CYTHON)
    subprocess.run([sys.executable, "-m", "cython", "-3", str(source)], check=True)
    include = sysconfig.get_paths()["include"]
    library = source.with_suffix(".so")
    command = ["cc", *FLAGS, *flags, "-w", f"-I{include}", f"-I{np.get_include()}", "-shared", "-fPIC"]
    subprocess.run([*command, str(source.with_suffix(".c")), "-o", str(library)], check=True)
    source.unlink()
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.product


def table(title: str, found: dict[str, float]) -> None:
    """Print what was measured, and how it compares with the first line."""
    print(title)
    first = min(found.values())
    for name, value in found.items():
        print(f"  {value * 1e6:10.1f} µs  {value / first:7.1f} ×  {name}")


def main() -> None:
    """Run both parts."""
    if len(sys.argv) not in (1, 3) or shutil.which("cc") is None:
        raise SystemExit(__doc__)
    info = problem("avoidance")
    cost_bound = next(query.path for query in info.queries if query.name == "cost_bound")
    network, query = (Path(sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) == 3 else (info.network, cost_bound)
    table(f"One region of {network.name}, {query.name}", regions(network, query))
    with tempfile.TemporaryDirectory() as folder:
        table(f"{ROWS} rows times {INNER} x {COLUMNS} weights", products(Path(folder)))


if __name__ == "__main__":
    main()
