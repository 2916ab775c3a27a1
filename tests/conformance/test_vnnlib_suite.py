"""The public conformance suite of VNN-LIB 2, ``vnnlib-satisfactory``: its cases in this process, its judgement of them.

The suite itself starts a process for each case; ``.ci/conformance`` has it do so.
"""

import os
from pathlib import Path

import pytest

from slir_milp.commands.supports import CAPABILITIES
from slir_milp.vnnlib_cli import main

pytestmark = pytest.mark.filterwarnings("always::slir_milp.errors.SlirWarning")
vnntest = pytest.importorskip("vnntest", reason="the conformance suite vnnlib-satisfactory is not installed")

from vnntest.core import compliance, evaluator, runner  # noqa: E402
from vnntest.core.generator import generate_all_tests  # noqa: E402
from vnntest.core.paths import CASES_DIR  # noqa: E402
from vnntest.models.test_case import TestCase  # noqa: E402

CATEGORIES = sorted(path.name for path in CASES_DIR.iterdir() if path.is_dir() and path.name[0] not in "_.")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """All cases, generated."""
    folder = tmp_path_factory.mktemp("suite")
    before = Path.cwd()
    os.chdir(folder)
    try:
        manifest = generate_all_tests(suite="full")
    finally:
        os.chdir(before)
    artifacts = folder / ".vnnlib-satisfactory" / "tests"
    return [TestCase.from_manifest_entry(entry, artifacts / entry["category"]) for entry in manifest]


@pytest.fixture
def ask(capsys, monkeypatch, tmp_path):
    """Call ``slir-milp-vnnlib``, whose floating-point types are to be real numbers."""
    monkeypatch.setenv("SLIR_MILP_FLOATS", "real")
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_case_passes(category, cases, ask):
    chosen = [case for case in cases if case.category == category]
    assert chosen
    for case in chosen:
        networks = [f"--network={name}={path}" for name, path in case.onnx_paths.items()]
        code, out, err = ask("verify", case.vnnlib_path, *networks, "--timeout", "60", "--quiet")
        result = runner.SolverRunResult(case, runner.parse_verdict(out), code, out, err)
        assert evaluator.evaluate(result).outcome is evaluator.Outcome.PASS, f"{case.id}: {out}{err}"


def test_no_case_is_skipped(cases, ask):
    def words(name):
        return {line.split()[0] for line in ask("supports", f"--{name}")[1].splitlines()}

    _, skipped = evaluator.partition_by_support(
        cases,
        words("onnx-operators"),
        words("multiple-network-theories"),
        words("hidden-node-theories"),
        words("multiple-input-output-theories"),
        words("arithmetic-complexity-theories"),
    )
    assert [(case.test_case.id, case.missing_op) for case in skipped] == []
    assert len(cases) == 178, "the suite is pinned: other cases should be looked at"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("onnx-opset-versions", compliance.validate_opset_versions),
        ("vnnlib-versions", compliance.validate_vnnlib_versions),
        ("serialise-assignments", compliance.validate_serialise_assignments),
    ],
)
def test_compliance(name, check, ask):
    code, out, err = ask("supports", f"--{name}")
    assert (code, err) == (0, "")
    assert check(out) is None


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.name)
def test_every_capability_is_lines_and_nothing_else(capability, ask):
    code, out, err = ask("supports", f"--{capability.name}")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines and out == "\n".join(lines) + "\n"
    assert all(line and line == line.strip() and " " not in line for line in lines)
