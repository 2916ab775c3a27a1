"""Packages, their folders and the compiled kernel; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

FOLDERS = {"slir_milp": "slir_milp", "slir_milp.solvers": "solvers", "slir_milp.problems": "problems"}
CURVES = Path("slir_milp/activations")
KERNEL = Path("slir_milp/bounding/kernel")
# The kernel's bounds rest on IEEE arithmetic: nothing here may reorder sums or assume away NaN and infinity.
COMPILE_ARGUMENTS = ["-O3", "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]


def packages() -> list[str]:
    """List every package under the name it is imported by."""
    return [
        name
        for parent, folder in FOLDERS.items()
        for name in (parent, *(f"{parent}.{child}" for child in find_packages(folder)))
    ]


def extensions() -> list[Extension]:
    """Describe the compiled modules: lines shifted to curves, and the kernel, each with the C files beside it."""
    folders = [folder for folder in (CURVES, KERNEL) if any(folder.glob("*.pyx"))]
    if not folders:
        return []
    from Cython.Build import cythonize

    headers = sorted(path.as_posix() for folder in folders for path in folder.glob("*.h"))
    modules = []
    for folder in folders:
        bindings = sorted(folder.glob("*.pyx"))
        made = {binding.with_suffix(".c") for binding in bindings}
        sources = sorted(path.as_posix() for path in folder.glob("*.c") if path not in made)
        modules += [
            Extension(
                ".".join((*folder.parts, binding.stem)),
                sources=[binding.as_posix(), *sources],
                depends=headers,
                include_dirs=[CURVES.as_posix(), KERNEL.as_posix()],
                extra_compile_args=COMPILE_ARGUMENTS,
            )
            for binding in bindings
        ]
    return list(cythonize(modules, language_level=3))


setup(packages=packages(), package_dir=FOLDERS, ext_modules=extensions())
