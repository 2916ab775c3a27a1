"""Runs a folder of instances, compares the verdicts with published ones and keeps a CSV file of results."""

from slir_milp.bench.answer import Decide, InProcess, Isolated
from slir_milp.bench.instances import Instance, find_file, read_instances
from slir_milp.bench.results import Outcome, ResultsFile, Row
from slir_milp.bench.runner import Settings, run_bench
from slir_milp.bench.summary import Summary

__all__ = [
    "Decide",
    "InProcess",
    "Instance",
    "Isolated",
    "Outcome",
    "ResultsFile",
    "Row",
    "Settings",
    "Summary",
    "find_file",
    "read_instances",
    "run_bench",
]
