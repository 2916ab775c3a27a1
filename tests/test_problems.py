"""The problems that come with the program: complete, consistent, and decided as expected.

Everything is looked up in the installed package, so that this file also tests a wheel.
"""

import csv
import importlib
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from slir_milp import Options, load_network, load_query
from slir_milp.errors import OptionError
from slir_milp.network import Runtime, exact_outputs
from slir_milp.problems.catalogue import ProblemInfo, QueryInfo, list_problems, problem, problems_folder
from slir_milp.problems.make.check_truth import meets
from slir_milp.problems.make.conditions import read_clauses
from slir_milp.problems.make.recipe import Recipe
from slir_milp.query import Query
from slir_milp.search import verify

FOLDER = problems_folder()
RECIPES: tuple[Recipe, ...] = importlib.import_module("slir_milp.problems.make.__main__").RECIPES
TIMEOUT = 20.0  # seconds; every problem is decided in less than two
KILOBYTE = 1000

PAIRS = [
    pytest.param(info, network, query, id=f"{network.name}-{query.name}")
    for info in list_problems()
    for network in (info.network, *info.twins)
    for query in info.queries
]


def relative(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


@cache
def truth() -> dict[tuple[str, str], dict[str, str]]:
    with open(FOLDER / "truth.csv", encoding="utf-8", newline="") as file:
        return {(row["onnx"], row["vnnlib"]): row for row in csv.DictReader(file)}


def header(query: QueryInfo) -> str:
    """The comment at the top of a query's file, as one line."""
    lines = query.path.read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("; ") for line in lines[: lines.index("")])


def expected_rows() -> list[tuple[str, str, str]]:
    return [
        (relative(network), relative(query.path), str(query.timeout))
        for info in list_problems()
        for network in (info.network, *info.twins)
        for query in info.queries
    ]


def replays(query: Query, network: Path, x: tuple[Fraction, ...]) -> bool:
    """Whether an input meets a query exactly, and by the network's own runtime."""
    exact = exact_outputs(load_network(network), x)
    rounded = Runtime(network).outputs(np.array([float(v) for v in x]))
    return query.holds(x, exact) and query.holds(x, [(float(y), float(y)) for y in rounded])


def test_the_catalogue_names_every_file_once() -> None:
    named = [path for info in list_problems() for path in (info.network, *info.twins)]
    named += [query.path for info in list_problems() for query in info.queries]
    there = [path for part in ("onnx", "nnet", "vnnlib") for path in (FOLDER / part).iterdir()]
    assert sorted(named) == sorted(there)


def test_there_is_something_of_everything() -> None:
    names = [info.name for info in list_problems()]
    assert len(names) == len(set(names)) >= 7
    verdicts = [query.verdict for info in list_problems() for query in info.queries]
    assert set(verdicts) == {"sat", "unsat"}
    assert min(verdicts.count("sat"), verdicts.count("unsat")) >= 10
    assert any(twin.suffix == ".nnet" for info in list_problems() for twin in info.twins)
    for info in list_problems():
        assert info.queries
        assert len({query.name for query in info.queries}) == len(info.queries)


def test_the_problems_are_small() -> None:
    assert all(path.stat().st_size < 100 * KILOBYTE for path in FOLDER.glob("*net*/*"))
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1500 * KILOBYTE


def test_instances_and_truth_say_what_the_catalogue_says() -> None:
    with open(FOLDER / "instances.csv", encoding="utf-8", newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == expected_rows()
    rows = truth()
    assert [(row["onnx"], row["vnnlib"], row["timeout"]) for row in rows.values()] == expected_rows()
    for info in list_problems():
        for network in (info.network, *info.twins):
            for query in info.queries:
                row = rows[relative(network), relative(query.path)]
                assert row["verdict"] == query.verdict
                assert bool(row["witness"]) == (query.verdict == "sat")


@pytest.mark.parametrize("info", list_problems(), ids=lambda info: info.name)
def test_headers_tell_the_meaning_the_verdict_and_why(info: ProblemInfo) -> None:
    for query in info.queries:
        meaning, rest = header(query).split(" Expected: ")
        verdict, why = rest.split(". Why: ")
        assert " ".join(meaning.split()) == " ".join(query.meaning.split())
        assert verdict == query.verdict
        assert len(why) > 20


@pytest.mark.parametrize("info", list_problems(), ids=lambda info: info.name)
def test_every_query_fits_its_network(info: ProblemInfo) -> None:
    for path in (info.network, *info.twins):
        network = load_network(path)
        for query in info.queries:
            load_query(query.path).check_fits(network.input_size, network.output_size)


@pytest.mark.parametrize("info", list_problems(), ids=lambda info: info.name)
def test_twins_are_the_same_network(info: ProblemInfo) -> None:
    original, rng = load_network(info.network), np.random.default_rng(0)
    points = [[Fraction(float(v)) for v in rng.uniform(-1, 1, original.input_size)] for _ in range(3)]
    for twin in info.twins:
        for point in points:
            for (low, high), (other_low, other_high) in zip(
                exact_outputs(original, point), exact_outputs(load_network(twin), point), strict=True
            ):
                assert (float(low), float(high)) == pytest.approx((float(other_low), float(other_high)), abs=1e-6)


@pytest.mark.parametrize(("info", "network", "query"), [pair for pair in PAIRS if pair.values[2].verdict == "sat"])
def test_given_points_meet_their_queries(info: ProblemInfo, network: Path, query: QueryInfo) -> None:
    numbers = [float(v) for v in truth()[relative(network), relative(query.path)]["witness"].split()]
    assert all(float(np.float32(v)) == v for v in numbers)
    assert replays(load_query(query.path), network, tuple(map(Fraction, numbers)))
    # Again by the script's own reader of queries and its own exact evaluation of the graph.
    assert meets(info.network, read_clauses(query.path.read_text(encoding="utf-8")), np.array(numbers))


@pytest.mark.parametrize(("info", "network", "query"), PAIRS)
def test_the_search_finds_the_expected_verdict(info: ProblemInfo, network: Path, query: QueryInfo) -> None:
    asked = load_query(query.path)
    verdict = verify(load_network(network), asked, Options(timeout=TIMEOUT))
    assert verdict.status == query.verdict, f"{verdict.reason} {verdict.detail}"
    assert (verdict.witness is not None) == (query.verdict == "sat")
    if verdict.witness is not None:
        assert verdict.witness.holds_exactly
        assert verdict.witness.holds_in_runtime
        assert replays(asked, network, verdict.witness.x)
        point = np.array([float(v) for v in verdict.witness.x])
        assert meets(info.network, read_clauses(query.path.read_text(encoding="utf-8")), point)


def test_a_problem_is_found_by_its_name() -> None:
    assert all(problem(info.name) is info for info in list_problems())


def test_an_unknown_name_gets_a_sentence() -> None:
    with pytest.raises(OptionError, match=r"'nonsense'; choose among avoidance, .*\.$"):
        problem("nonsense")


def test_the_recipes_write_the_queries_and_tables_that_are_there() -> None:
    make = importlib.import_module("slir_milp.problems.make.__main__")
    assert make.catalogue() == (FOLDER / "catalogue.toml").read_text(encoding="utf-8")
    assert make.instances() == (FOLDER / "instances.csv").read_text(encoding="utf-8")
    for recipe in RECIPES:
        for query in recipe.queries:
            path = FOLDER / f"vnnlib/{recipe.name}_{query.name}.vnnlib"
            assert path.read_text(encoding="utf-8") == recipe.query_text(query)


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, id=recipe.name, marks=() if recipe.name.startswith("boundary") else pytest.mark.slow)
        for recipe in RECIPES
    ],
)
def test_the_scripts_make_the_networks_that_are_there(recipe: Recipe) -> None:
    # Training repeats bit by bit on one machine; another's linear algebra may round otherwise.
    if recipe.name.startswith("digits"):
        pytest.importorskip("sklearn", reason="the images of digits to train on come with scikit-learn")
    for path, content in recipe.build().items():
        if path.endswith(".onnx"):
            made, stored = onnx.load_from_string(content), onnx.load(FOLDER / path)
            new, old = weights(made), weights(stored)
            assert new.keys() == old.keys()
            assert all(np.allclose(new[name], old[name], rtol=1e-2, atol=1e-2) for name in old)
            for model in (made, stored):
                del model.graph.initializer[:]
            assert made == stored
        else:
            assert len(content) == pytest.approx((FOLDER / path).stat().st_size, rel=0.01)


def test_the_documentation_has_every_problem_and_the_right_numbers() -> None:
    page = Path(__file__).parent.parent / "docs" / "problems.md"
    text = page.read_text(encoding="utf-8")
    table = "".join(line for line in text.splitlines() if line.startswith("|"))
    assert all(f"`{info.name}`" in table for info in list_problems())
    numbers = {21: "Twenty-one"}  # the page has them in words
    queries = sum(len(info.queries) for info in list_problems())
    assert f"{numbers[len(list_problems())]} small networks with {queries} queries" in text
