"""Runs sets of instances, compares the verdicts with published ones and keeps the results."""

from slir_milp.bench.adapter import Adapter, load_adapter
from slir_milp.bench.folder import ResultsFolder, ResultsTable
from slir_milp.bench.instances import BenchmarkSet, Instance, find_file, find_sets, read_instances
from slir_milp.bench.isolated import Isolated
from slir_milp.bench.own import InProcess, OwnTool, own_name
from slir_milp.bench.runner import Dispatch, Locally, Selection, Store, Watcher, run_tasks
from slir_milp.bench.summary import Summary, described
from slir_milp.bench.task import Answer, Decide, Result, Task
from slir_milp.bench.tool import Tool

__all__ = [
    "Adapter",
    "Answer",
    "BenchmarkSet",
    "Decide",
    "Dispatch",
    "InProcess",
    "Instance",
    "Isolated",
    "Locally",
    "OwnTool",
    "Result",
    "ResultsFolder",
    "ResultsTable",
    "Selection",
    "Store",
    "Summary",
    "Task",
    "Tool",
    "Watcher",
    "described",
    "find_file",
    "find_sets",
    "load_adapter",
    "own_name",
    "read_instances",
    "run_tasks",
]
