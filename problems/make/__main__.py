"""Make every network, query and table of the folder above again: ``python -m slir_milp.problems.make [NAME ...]``."""

from __future__ import annotations

import sys
from pathlib import Path

from . import avoidance, boundary, cruise, digits, junction, obstacle, oscillator, pendulum, strokes
from .recipe import Recipe

RECIPES: tuple[Recipe, ...] = (
    avoidance.RECIPE,
    pendulum.CONTROLLER,
    pendulum.LOOP,
    oscillator.RECIPE,
    strokes.RECIPE,
    boundary.ONE,
    boundary.TWO,
    obstacle.RECIPE,
    cruise.RECIPE,
    junction.RECIPE,
    *digits.RECIPES,
)
FOLDER = Path(__file__).resolve().parents[1]


def quoted(text: str) -> str:
    """Write a TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def catalogue() -> str:
    lines = ["# Written by problems/make; the files it names lie beside it."]
    for recipe in RECIPES:
        lines += ["", "[[problem]]", f"name = {quoted(recipe.name)}", f"about = {quoted(recipe.about)}"]
        lines.append(f"network = {quoted(f'onnx/{recipe.name}.onnx')}")
        lines.append(f"twins = [{', '.join(map(quoted, recipe.twins))}]")
        for query in recipe.queries:
            lines += [
                "",
                "[[problem.query]]",
                f"name = {quoted(query.name)}",
                f"path = {quoted(f'vnnlib/{recipe.name}_{query.name}.vnnlib')}",
                f"verdict = {quoted(query.verdict)}",
                f"meaning = {quoted(query.meaning)}",
                f"timeout = {query.timeout}",
            ]
    return "\n".join(lines) + "\n"


def instances() -> str:
    rows = [
        f"{network},vnnlib/{recipe.name}_{query.name}.vnnlib,{query.timeout}"
        for recipe in RECIPES
        for network in (f"onnx/{recipe.name}.onnx", *recipe.twins)
        for query in recipe.queries
    ]
    return "\n".join(rows) + "\n"


def main(names: list[str]) -> None:
    known = [recipe.name for recipe in RECIPES]
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"There is no problem called {unknown[0]}; choose among {', '.join(known)}.")
    for folder in ("onnx", "nnet", "vnnlib"):
        (FOLDER / folder).mkdir(exist_ok=True)
    for recipe in RECIPES:
        if names and recipe.name not in names:
            continue
        for path, content in recipe.build().items():
            (FOLDER / path).write_bytes(content)
        for query in recipe.queries:
            (FOLDER / f"vnnlib/{recipe.name}_{query.name}.vnnlib").write_text(
                recipe.query_text(query), encoding="utf-8"
            )
        print(f"{recipe.name}: {len(recipe.queries)} queries")
    (FOLDER / "catalogue.toml").write_text(catalogue(), encoding="utf-8")
    (FOLDER / "instances.csv").write_text(instances(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
