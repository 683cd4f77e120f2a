"""A copy of the package to try a recipe of CONTRIBUTING.md in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import segbench

PACKAGE = Path(segbench.__file__).parent


@dataclass
class Tree:
    """A copy of segbench that counts the files which a recipe touches."""

    root: Path
    touched: set[str] = field(default_factory=set)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file of the package."""
        path = self.root / "segbench" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        self.touched.add(file)

    def add(self, file: str, text: str) -> None:
        """Write a file that is not there yet."""
        path = self.root / "segbench" / file
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.touched.add(file)

    def find(self, text: str) -> str:
        """Return the one file of the package that holds a text."""
        package = self.root / "segbench"
        [found] = [f for f in package.rglob("*.py") if text in f.read_text(encoding="utf-8")]
        return str(found.relative_to(package))

    def run(self, *command: str, cwd: Path, path: Path | None = None) -> str:
        """Run Python with this copy of segbench and return what it printed.

        Args:
            command: What follows `python`.
            cwd: Where it runs.
            path: A folder that is searched for modules as well.
        """
        folders = [str(self.root), *([str(path)] if path is not None else [])]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "tree"
    shutil.copytree(PACKAGE, root / "segbench", ignore=shutil.ignore_patterns("__pycache__"))
    return Tree(root)
