"""The shape of the code: which way imports run, what a start loads, how long files are."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "slir_milp": ROOT / "slir_milp",
    "slir_milp.solvers": ROOT / "solvers",
    "slir_milp.problems": ROOT / "problems",
}

# Each may import those in the lines above its own, and nothing in its own line but itself.
LAYERS = (
    {"_version", "errors"},
    {"display"},
    {"activations"},
    {"network", "query"},
    {"compose"},
    {"certificate"},
    {"bounding"},
    {"solvers"},
    {"lp"},
    {"pyomo"},
    {"search"},
    {"report"},
    {"subproblems"},
    {"problems"},
    {"fetch"},
    {"cluster"},
    {"bench"},
    {"commands"},
    {"cli"},
    {"vnnlib_cli"},
    {"__main__"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
LONGEST = 500
LONGEST_MEDIAN = 250
HEAVY = ("onnx", "onnxruntime", "scipy", "networkx", "highspy", "rich", "distributed")


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package under the name it is imported by, with its file."""
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in parts if part != "__init__"))), path


def part_of(module: str) -> str:
    """The part of the package a module belongs to; ``""`` for the package itself."""
    return [*module.split("."), ""][1]


def imported(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of everything of this package that a module imports, wherever it does."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), f"{path}:{node.lineno}: a star import"
            start = package[: len(package) + 1 - node.level] if node.level else []
            # `from slir_milp import lp` imports the module slir_milp.lp.
            names = [".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "slir_milp")


def test_imports_run_one_way() -> None:
    wrong = []
    for module, path in modules():
        own = part_of(module)
        if own == "":  # the package itself hands out names of many parts, none of them when it is imported
            continue
        for line, name in imported(module, path):
            other = part_of(name)
            if other != own and RANK[other] >= RANK[own]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {own} imports {other}")
    assert wrong == []


def test_every_part_has_its_layer() -> None:
    assert {part_of(module) for module, _ in modules()} - {""} <= set(RANK)


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT): path.read_text(encoding="utf-8").count("\n") for _, path in modules()}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}
    assert median(lengths.values()) < LONGEST_MEDIAN


@pytest.mark.parametrize(
    "module", ["slir_milp", "slir_milp.cli", "slir_milp.search.verdict", "slir_milp.commands.verify"]
)
def test_a_start_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_solvers_and_problems_are_parts_of_the_package_only(tmp_path: Path) -> None:
    program = """
import slir_milp.problems, slir_milp.solvers
try:
    import problems, solvers
except ImportError:
    print("right")
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert done.stdout == "right\n"


def test_the_package_offers_what_it_names() -> None:
    import slir_milp

    assert set(slir_milp.__all__) <= set(dir(slir_milp))
    for name in slir_milp.__all__:
        assert getattr(slir_milp, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        slir_milp.nonsense  # noqa: B018
