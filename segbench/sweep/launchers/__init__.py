"""Launchers: what starts the workers of a sweep, here or elsewhere.

A worker is `segbench worker EXPERIMENT`: it takes trials from the queue in the results folder until none is
left. A launcher starts workers, tells when one has ended, and passes a request to stop on to them. It never
handles trials: who holds which stands in the trial's claim (`segbench.store.lease`), and what came of it in
the trial's files. A launcher for another kind of cluster is therefore one file: a subclass of `Launcher` that
its package declares as an entry point of the group `segbench.launchers`; `--launcher NAME` finds it.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from segbench.errors import ExperimentError, message

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.store.layout import ExperimentFolder
    from segbench.trial.devices import Slot
    from segbench.trial.events import Event
    from segbench.trial.limits import Deadline

GROUP: Final = "segbench.launchers"

BUILT_IN: Final = {
    "local": "segbench.sweep.launchers.local:LocalLauncher",
    "slurm": "segbench.sweep.launchers.slurm:SlurmLauncher",
}
"""Found also where segbench is not installed, or its metadata are older than its code."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a sweep asks of a launcher."""

    experiment: Experiment
    folder: ExperimentFolder
    num_trials: int
    """Trials that could run at a time; more workers would be idle."""
    workers: int | None = None
    """`--workers`; None: as many as the launcher finds best."""
    device: str = "auto"
    trials_per_gpu: int | None = None
    threads: int | None = None
    loader_workers: int | None = None
    deadline: Deadline | None = None
    """When workers must have ended."""
    hang_timeout_s: float | None = None


@dataclass(frozen=True)
class Exit:
    """A worker has ended, and all its events were delivered before."""

    worker: int
    code: int
    """Negative: the signal that killed it; 0: nothing was left to do."""
    job: str | None = None
    """What the worker called itself in its claims (`SEGBENCH_JOB`); None: its process id says enough."""
    words: str = ""
    """How it ended, in the words of whoever ran it."""

    @property
    def cause(self) -> str:
        """`signal 9 (SIGKILL)`, `exit code 1`, or the words."""
        if self.words or self.code >= 0:
            return self.words or f"exit code {self.code}"
        try:
            return f"signal {-self.code} ({signal.Signals(-self.code).name})"
        except ValueError:
            return f"signal {-self.code}"


class Launcher(ABC):
    """Starts the workers of one sweep and follows them.

    Workers are known by numbers that `start` gives. For a worker that is no process of this host the launcher
    sets `SEGBENCH_JOB` in its environment: the worker writes it into its claims, and an `Exit` with the same
    `job` then tells which trial was lost.
    """

    outlives_supervisor: ClassVar[bool] = False
    """Whether workers go on when the process that started them is gone."""
    has_events: ClassVar[bool] = False
    """Whether `poll` passes on what workers say, and their numbers are process ids of this host; else the
    supervisor follows their trials by the files."""
    ignores: ClassVar[Sequence[str]] = ()
    """Options of `segbench sweep` that do not go with this launcher."""
    why_ignored: ClassVar[str | None] = None
    """A sentence that says what to use instead."""

    slots: Sequence[Slot] = ()
    """Shares of this host's devices that workers get; empty where they run elsewhere."""

    def __init__(self) -> None:
        self.note: Callable[[str], None] = lambda text: None
        """Told what the user should know while the sweep runs."""

    @classmethod
    @abstractmethod
    def open(cls, request: Request) -> Self:
        """Return a launcher that could start workers; living workers of an earlier sweep are taken over.

        Raises:
            ExperimentError: It could start none; the message says why.
        """

    @classmethod
    def more_time(cls, folder: ExperimentFolder) -> Callable[[], None]:
        """Return what a worker calls when its time is up; called in the worker, before its first trial."""
        return lambda: None

    def renewed(self, request: Request) -> Launcher:
        """Return the launcher for further trials, once all workers have ended."""
        return self

    @abstractmethod
    def describe(self) -> Sequence[str]:
        """Say where workers run and how many, in one or more lines."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Workers at a time."""

    @property
    @abstractmethod
    def num_running(self) -> int:
        """Workers that were started and whose `Exit` was not delivered yet."""

    @property
    @abstractmethod
    def num_free(self) -> int:
        """Workers that could be started now."""

    @property
    @abstractmethod
    def log(self) -> Path:
        """What workers write besides the trials' logs: the end of it explains why they died."""

    @abstractmethod
    def start(self, count: int) -> list[int]:
        """Start so many workers and return their numbers.

        Args:
            count: At most `num_free`.
        """

    @abstractmethod
    def poll(self, timeout_s: float) -> Iterator[tuple[int, Event | Exit]]:
        """Yield (worker, what it said or how it ended), after a wait of at most `timeout_s` for the first.

        Raises:
            TrialError: No worker runs, and none will.
        """

    def dismiss(self) -> None:  # noqa: B027 - nothing to do for most
        """Hear that no work is left: workers that have not begun need not begin."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Ask all workers to stop: SIGTERM after their epochs, SIGINT within them; SIGKILL ends them."""

    @abstractmethod
    def kill(self, worker: int) -> None:
        """End one worker at once; its `Exit` follows."""


@cache
def find_launchers() -> dict[str, EntryPoint]:
    """Return name -> entry point of every launcher: those of segbench, then those of other packages."""
    built_in = [EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()]
    return {found.name: found for found in [*entry_points(group=GROUP), *built_in]}


def read_launcher(name: str, where: str = "--launcher") -> type[Launcher]:
    """Return the launcher of a name.

    Raises:
        ExperimentError: There is none of that name, or it cannot be imported.
    """
    known = find_launchers()
    if name not in known:
        see = f"Other packages bring theirs as entry points of the group `{GROUP}`"
        raise ExperimentError(
            message(where, "there is no such launcher", got=name, known=sorted(known), see=see)
        )
    try:
        found = known[name].load()
    except (ImportError, AttributeError) as error:
        raise ExperimentError(
            message(where, f"the launcher {name} cannot be imported ({error})", got=known[name].value)
        ) from error
    if not (isinstance(found, type) and issubclass(found, Launcher)):
        rule = f"the launcher {name} is no subclass of segbench.sweep.launchers.Launcher"
        raise ExperimentError(message(where, rule, got=known[name].value))
    return found
