"""A copy of the package to try a recipe of CONTRIBUTING.md in.

The code blocks of CONTRIBUTING.md are the recipes: a block whose first line names a file after the language
is applied to the copy. `python FILE` writes a new file, `diff FILE` changes one: its lines without `+` must
stand there once, one after the other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("segbench", "tests/contract")
_BLOCK: Final = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A code block that is about a file."""

    language: str
    file: str
    text: str


def section(recipe: str) -> str:
    """Return what CONTRIBUTING.md says under a heading."""
    _, heading, rest = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition(f"\n### {recipe}\n")
    assert heading, f"CONTRIBUTING.md has no recipe {recipe!r}"
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text: str) -> Iterator[Block]:
    for language, file, content in _BLOCK.findall(text):
        if file:
            yield Block(language, file, content)


@dataclass
class Tree:
    """A copy of segbench that counts the files which a recipe touches."""

    root: Path
    touched: set[str] = field(default_factory=set)
    """Files of the package, tests apart."""

    def follow(self, recipe: str) -> None:
        """Do what a recipe of CONTRIBUTING.md says, and hold it to the files that it says it costs."""
        text = section(recipe)
        for block in blocks(text):
            if block.language == "diff":
                self._change(block)
            else:
                self._add(block)
        [costs] = re.findall(r"^\*\*Files it costs:\*\* (.*)$", text, flags=re.MULTILINE)
        assert self.touched == set(re.findall(r"`([^`]+)`", costs))

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

    def test(self, file: str, *options: str) -> None:
        """Run a file of the copy's tests, warnings being errors."""
        quiet = ("-q", "-n", "0", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(self.root))
        self.run("-m", "pytest", *quiet, file, *options, cwd=self.root)

    def _change(self, block: Block) -> None:
        lines = block.text.splitlines(keepends=True)
        assert {line[0] for line in lines} <= set(" +-"), (
            f"a change of {block.file} has a line without a mark"
        )
        old = "".join(line[1:] for line in lines if line[0] != "+")
        path = self.root / block.file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"this stands {text.count(old)} times in {block.file}:\n{old}"
        self._write(block.file, text.replace(old, "".join(line[1:] for line in lines if line[0] != "-")))

    def _add(self, block: Block) -> None:
        assert not (self.root / block.file).exists()
        self._write(block.file, block.text)

    def _write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if not file.startswith("tests/"):
            self.touched.add(file)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "tree"
    for folder in COPIED:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Tree(root)
