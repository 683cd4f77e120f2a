"""`report.pdf` by pdflatex, in a folder of its own so that nothing but the PDF comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TIME_LIMIT_S: Final = 300
_MOST_ERROR_LINES: Final = 8
_NEEDED: Final = (".tex", ".csv", ".jpg")


@dataclass(frozen=True)
class Compiled:
    """The PDF, or why there is none."""

    pdf: bytes | None = None
    warning: str | None = None
    is_failure: bool = False
    """pdflatex is there and refused: an older PDF would contradict the other pages."""


def compile_pdf(folder: Path, files: Mapping[str, bytes]) -> Compiled:
    """Run pdflatex twice on `report.tex`.

    Args:
        folder: The report's folder, named in warnings.
        files: Name relative to the folder -> content.
    """
    program = shutil.which("pdflatex")
    if program is None:
        return Compiled(
            warning="report.pdf is not written: pdflatex is not installed "
            "(Debian: apt-get install texlive-latex-extra texlive-pictures; or upload it to Overleaf)."
        )
    with tempfile.TemporaryDirectory(prefix="segbench-") as temporary:
        build = Path(temporary)
        for name, content in files.items():
            if name.endswith(_NEEDED):
                (build / name).parent.mkdir(parents=True, exist_ok=True)
                (build / name).write_bytes(content)
        # A fixed time: the dates inside a PDF must not differ between two runs on the same records.
        environment = {
            **os.environ,
            "SOURCE_DATE_EPOCH": "0",
            "FORCE_SOURCE_DATE": "1",
            "max_print_line": "1000",
        }
        command = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
        for _ in range(2):
            try:
                done = subprocess.run(
                    command,
                    cwd=build,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_TIME_LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                text = f"report.pdf is not written: pdflatex took more than {_TIME_LIMIT_S} s in {folder}."
                return Compiled(warning=text, is_failure=True)
            if done.returncode:
                lines = "\n".join(f"  {line}" for line in error_lines(build / "report.log"))
                text = f"report.pdf is not written: pdflatex failed on {folder / 'report.tex'}:\n{lines}"
                return Compiled(warning=text, is_failure=True)
        return Compiled(pdf=(build / "report.pdf").read_bytes())


def error_lines(log: Path) -> list[str]:
    """Return the lines of a TeX log that say what went wrong and where."""
    if not log.is_file():
        return ["(pdflatex left no log)"]
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line for line in lines if line.startswith(("!", "l."))]
    return (found or lines[-3:])[:_MOST_ERROR_LINES]
