"""Packages, their folders and the compiled kernel; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

FOLDERS = {"slir_milp": "slir_milp", "slir_milp.solvers": "solvers", "slir_milp.problems": "problems"}
KERNEL = Path("slir_milp/bounds/kernel")
BINDING = "_binding"
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
    """Describe the compiled kernel: one Cython module and the C files beside it."""
    binding = KERNEL / f"{BINDING}.pyx"
    if not binding.exists():
        return []
    from Cython.Build import cythonize

    sources = sorted(path.as_posix() for path in KERNEL.glob("*.c") if path.stem != BINDING)
    headers = sorted(path.as_posix() for path in KERNEL.glob("*.h"))
    module = Extension(
        ".".join((*KERNEL.parts, BINDING)),
        sources=[binding.as_posix(), *sources],
        depends=headers,
        include_dirs=[KERNEL.as_posix()],
        extra_compile_args=COMPILE_ARGUMENTS,
    )
    return list(cythonize([module], language_level=3))


setup(packages=packages(), package_dir=FOLDERS, ext_modules=extensions())
