"""Rules about imports that a layer list cannot say; `lint-imports` checks the layers themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_only_the_study_folder_imports_optuna() -> None:
    found = files_importing("optuna")
    assert found
    assert {str(Path(file).parent) for file in found} == {"sweep/study"}


def test_only_the_weights_module_of_the_store_imports_torch() -> None:
    assert {f for f in files_importing("torch") if f.startswith("store/")} == {"store/weights.py"}


def test_no_module_is_longer_than_400_lines() -> None:
    too_long = {
        str(f.relative_to(PACKAGE)): n
        for f in PACKAGE.rglob("*.py")
        if (n := len(f.read_text().splitlines())) > 400
    }
    assert too_long == {}


@pytest.mark.parametrize("command", [["--help"], ["list"], ["list", "norm"], ["schema"]])
def test_listing_commands_do_not_import_torch(command: list[str]) -> None:
    code = (
        "import sys, contextlib, io\n"
        f"sys.argv = ['segbench', *{command!r}]\n"
        "from segbench.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print(sorted({'torch', 'optuna', 'pandas', 'albumentations'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
