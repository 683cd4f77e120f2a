"""Rules about imports that a layer list cannot say; `lint-imports` checks the layers themselves."""

from __future__ import annotations

import ast
from pathlib import Path

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


def test_only_the_dashboard_and_the_searches_import_optuna() -> None:
    found = files_importing("optuna")
    assert {file for file in found if not file.startswith("dashboard/")} == {"sweep/searches.py"}
    without = {"address.py", "mirror.py", "shown.py", "sync.py", "serve.py"}
    assert not found & {f"dashboard/{name}" for name in without}


def test_only_the_weights_module_of_the_store_imports_torch() -> None:
    assert {f for f in files_importing("torch") if f.startswith("store/")} == {"store/weights.py"}


def test_no_module_is_longer_than_400_lines() -> None:
    too_long = {
        str(f.relative_to(PACKAGE)): n
        for f in PACKAGE.rglob("*.py")
        if (n := len(f.read_text().splitlines())) > 400
    }
    assert too_long == {}
