"""Telling a command of the user's how a sweep ended: a mail, a chat, a shell line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Final

from segbench.errors import Interrupted, TrialError
from segbench.store.layout import ExperimentFolder

MOST_S: Final = 60.0
"""A command that takes longer is killed."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a sweep ended."""

    experiment: str
    state: str
    """`finished`, `stopped`, `failed` (trials failed, or could not be run) or `error`."""
    summary: str
    """One line."""
    folder: str
    trials: Mapping[str, int] = field(default_factory=dict)
    """State -> number of trials."""


@contextmanager
def notifying(command: str | None, folder: ExperimentFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Run a command when the block ends, however it ends; None: run nothing.

    Args:
        command: A line for the shell.
        folder: The experiment's.
        say: Told where the command failed; that is no error of the sweep.
    """
    if command is None:
        yield
        return
    try:
        yield
    except BaseException as error:
        problem = run_command(command, describe(folder, error))
        if problem:
            say(problem)
        raise
    problem = run_command(command, describe(folder, None))
    if problem:
        say(problem)


def describe(folder: ExperimentFolder, error: BaseException | None) -> Ending:
    """Return how a sweep ended, with the states of its trials."""
    from segbench.sweep.overview import count_states

    counts = {str(state): number for state, number in count_states(folder).items() if number}
    states = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no trial"
    if error is None:
        state, why = "finished", ""
    elif isinstance(error, Interrupted | KeyboardInterrupt):
        state, why = "stopped", ""
    else:
        state = "failed" if isinstance(error, TrialError) else "error"
        why = ": " + " ".join(str(error).split())
    return Ending(
        experiment=folder.name,
        state=state,
        summary=f"segbench {folder.name} {state}: {states}{why}",
        folder=str(folder.root),
        trials=counts,
    )


def run_command(command: str, ending: Ending, *, most_s: float = MOST_S) -> str | None:
    """Run a command in a shell and return what went wrong, or None.

    It finds the ending in `SEGBENCH_EXPERIMENT`, `SEGBENCH_STATE`, `SEGBENCH_SUMMARY`, `SEGBENCH_FOLDER`, in
    `SEGBENCH_COMPLETE` and its like for each state that trials are in, and as JSON on standard input.
    """
    environment = {
        "SEGBENCH_EXPERIMENT": ending.experiment,
        "SEGBENCH_STATE": ending.state,
        "SEGBENCH_SUMMARY": ending.summary,
        "SEGBENCH_FOLDER": ending.folder,
        **{f"SEGBENCH_{state.upper()}": str(number) for state, number in ending.trials.items()},
    }
    try:
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        return f"--notify: {command!r} could not be run: {error}"
    try:
        with suppress(BrokenPipeError):
            process.communicate(json.dumps(asdict(ending), ensure_ascii=False) + "\n", timeout=most_s)
        code = process.wait(timeout=most_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"--notify: {command!r} was ended after {most_s:.0f} s"
    return None if code == 0 else f"--notify: {command!r} ended with exit code {code}"
