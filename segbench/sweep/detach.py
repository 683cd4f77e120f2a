"""A sweep that goes on without its terminal: the same command again, in a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import segbench
from segbench.errors import TrialError, message
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import holder

_LOOK_S: Final = 0.2
_MOST_S: Final = 600.0
"""The detached process plans once more, with what the guards found before it."""


def without_detach(arguments: Sequence[str], left_s: float | None) -> list[str]:
    """Return a command's arguments as the detached process gets them.

    Args:
        arguments: What was typed after `segbench`.
        left_s: What is left of its time limit; None: it has none.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    limit = [] if left_s is None else ["--time-limit", f"{left_s:.0f}s"]  # the last one counts
    return [*(a for a in arguments[:end] if a != "--detach"), *limit, *arguments[end:]]


def detach(
    arguments: Sequence[str],
    folder: ExperimentFolder,
    *,
    most_s: float = _MOST_S,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Start `segbench` with these arguments in its own session and return its process id once it has begun.

    Its output goes to `sweep.log` in the experiment's folder. It has begun when it holds the experiment's
    claim, or has ended in peace because nothing was left.

    Raises:
        TrialError: It ended before it began; the text holds what it said.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    began_at = folder.sweep_log.stat().st_size if folder.sweep_log.exists() else 0
    package = str(Path(segbench.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    with folder.sweep_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "segbench", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    until = clock() + most_s
    while clock() < until:
        code = process.poll()
        if code == 0:
            return process.pid
        if code is not None:
            said = folder.sweep_log.read_bytes()[began_at:].decode("utf-8", "replace").strip()
            rule = f"the detached sweep ended before it began (exit code {code})"
            raise TrialError(message(str(folder.sweep_log), rule, see=f"It said:\n{said}"))
        present = holder(folder.supervisor)
        if present is not None and present.pid == process.pid:
            return process.pid
        time.sleep(_LOOK_S)
    return process.pid
