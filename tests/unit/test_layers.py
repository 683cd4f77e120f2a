"""Rules about imports that the contracts of `lint-imports` (pyproject.toml) cannot say."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parents[2] / "segbench"


def imported_roots(file: Path) -> set[str]:
    roots = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            roots.add(node.module.split(".")[0])
    return roots


def files_importing(root: str) -> set[str]:
    return {str(f.relative_to(PACKAGE)) for f in PACKAGE.rglob("*.py") if root in imported_roots(f)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """The contract knows modules of one room; a room's `__init__` and imports within functions count here."""
    graph = grimp.build_graph("segbench", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports["segbench.config.load"]) > 5
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_only_the_dashboard_and_the_searches_import_optuna() -> None:
    found = files_importing("optuna")
    assert {file for file in found if not file.startswith("dashboard/")} == {"sweep/searches.py"}
    without = {"address.py", "mirror.py", "shown.py", "sync.py", "serve.py"}
    assert not found & {f"dashboard/{name}" for name in without}


def test_only_the_weights_module_of_the_store_imports_torch() -> None:
    assert {f for f in files_importing("torch") if f.startswith("store/")} == {"store/weights.py"}
