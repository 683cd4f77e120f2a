"""Slurm's own commands, and its own words where one fails."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from segbench.errors import Interrupted, TrialError

_TIMEOUT_S: Final = 60.0

_NO_WORD: Final = "it does not say why"

ENDED: Final = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
    }
)
"""States after which a job does nothing more; Slurm keeps them for MinJobAge, 300 s unless set otherwise."""

STARTED: Final = frozenset(
    {"COMPLETING", "RESIZING", "RUNNING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}
)
"""States of jobs that have a worker."""

HOPELESS: Final = re.compile(
    r"Partition(Config|NodeLimit|TimeLimit)|BadConstraints|Invalid(Account|QOS)|AccountNotAllowed|QOSNotAllowed|.*PerJob.*"
)
"""Reasons for which a job waits and will never start."""


class SlurmRefuses(TrialError):
    """A command of Slurm failed; the text is Slurm's own."""


@dataclass(frozen=True)
class Listed:
    """A job as `squeue` shows it."""

    state: str
    reason: str
    comment: str


def call(*command: str, given: str | None = None) -> str:
    """Run one of Slurm's commands and return what it printed.

    Raises:
        SlurmRefuses: It failed, does not answer, or is not there.
    """
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise SlurmRefuses(f"{command[0]}: there is no such command on this machine") from None
    except subprocess.TimeoutExpired:
        raise SlurmRefuses(f"{command[0]}: no answer within {_TIMEOUT_S:.0f} s") from None
    if done.returncode:
        raise SlurmRefuses(f"{command[0]}: {own_words(done.stderr or done.stdout)}")
    return done.stdout


def own_words(text: str) -> str:
    """Return Slurm's complaint on one line, each part once."""
    lines = [
        re.sub(r"^(sbatch|squeue|scancel|scontrol): (error: )?", "", line.strip())
        for line in text.split("\n")
    ]
    return "; ".join(dict.fromkeys(line for line in lines if line)) or _NO_WORD


def list_jobs(name: str) -> dict[str, Listed]:
    """Return this user's jobs of a name, by id (`12_3` in arrays), also those that ended a moment ago."""
    text = call(
        "squeue", "--me", "--noheader", "--array", "--states=all", f"--name={name}", "--format=%i|%T|%r|%k"
    )
    found = {}
    for line in text.splitlines():
        job, _, rest = line.partition("|")
        state, reason, comment = rest.split("|", 2)
        for each in _expand(job.strip()):
            found[each] = Listed(state, reason, comment.strip())
    return found


def _expand(job: str) -> list[str]:
    """Return the jobs that one line stands for: `12_[0-1,3%2]`, which never began, is 12_0, 12_1 and 12_3."""
    array = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", job)
    if array is None:
        return [job]
    tasks: list[int] = []
    for part in array[2].split(","):
        first, _, last = part.partition("-")
        tasks += range(int(first), int(last or first) + 1)
    return [f"{array[1]}_{task}" for task in tasks]


def how_it_ended(job: str, listed: Listed | None) -> tuple[int, str]:
    """Return an exit code (0: as it should) and Slurm's words for how a job ended."""
    if listed is None:
        return 1, "Slurm knows it no longer"
    if listed.state == "COMPLETED":
        return 0, "COMPLETED"
    try:
        said = re.search(r"ExitCode=(\d+):(\d+)", call("scontrol", "show", "job", "--oneliner", job))
    except SlurmRefuses:
        said = None
    if said is not None and said[1] == str(Interrupted.exit_code):
        return Interrupted.exit_code, "stopped at the end of an epoch"
    words = listed.state
    if listed.reason not in ("None", "NonZeroExitCode", ""):
        words += f" ({listed.reason})"
    if said is not None and said[1] != "0":
        words += f", exit code {said[1]}"
    return int(said[1]) or 1 if said is not None else 1, words


def cancel(jobs: Sequence[str], *options: str) -> None:
    """Cancel or signal jobs; that one has ended meanwhile is no problem.

    Raises:
        SlurmRefuses: Slurm does not answer.
    """
    if not jobs:
        return
    try:
        call("scancel", "--quiet", *options, *jobs)
    except SlurmRefuses as error:
        if not str(error).endswith(_NO_WORD):  # a filter that left no job
            raise


def max_array_size() -> int | None:
    """Return how many jobs an array may hold; None where Slurm does not say."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE)
    return int(found[1]) if found else None
