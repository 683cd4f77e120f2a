"""Which loggers there are, and the thread that brings them up to what the files say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from segbench.errors import ExperimentError, message
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.sweep.loggers.trial import LoggedTrial, read_logged


class Logger(StrEnum):
    """Where scalars, pictures and configurations go besides the files; each needs the extra of its name."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"

    def folder(self, experiment: ExperimentFolder) -> Path:
        """Return where it writes."""
        return experiment.root / self.value


def check_installed(loggers: Iterable[Logger], option: str) -> None:
    """Refuse loggers whose package is missing.

    Raises:
        ExperimentError: One is; the message names the extra.
    """
    for logger in loggers:
        if find_spec(logger.value) is None:
            raise ExperimentError(
                message(
                    option,
                    f"the package {logger.value} is not installed",
                    see=f"pip install 'segbench[{logger.value}]'",
                )
            )


def make_sink(logger: Logger, experiment: ExperimentFolder) -> Sink:
    """Return what writes; imports the package."""
    if logger is Logger.TENSORBOARD:
        from segbench.sweep.loggers.tensorboard import TensorBoard

        return TensorBoard(logger.folder(experiment))
    from segbench.sweep.loggers.wandb import Wandb

    return Wandb(logger.folder(experiment), experiment.name)


# Brings loggers up to what the files say: once, or beside a sweep until it ends.


EVERY_S: Final = 5.0
"""The files are looked at this often while a sweep runs."""

LAST_S: Final = 20.0
"""The sweep's end waits at most so long for what is left to write."""


class Sink(Protocol):
    """What a logger's package is wrapped in."""

    def write(self, trial: LoggedTrial) -> bool:
        """Show a trial as it is now; False: it was shown so already."""
        ...

    def close(self) -> None: ...


class Log:
    """One logger of one experiment; a trial whose files are as they were costs two questions to the disk."""

    def __init__(self, logger: Logger, folder: ExperimentFolder) -> None:
        self._logger, self._folder = logger, folder
        self._sink: Sink | None = None
        self._seen: dict[str, tuple[object, ...]] = {}

    def update(self, should_stop: Callable[[], bool] = lambda: False) -> tuple[int, int]:
        """Write what has changed; return how many trials were written, and how many have a record."""
        num_written = num_found = 0
        for folder in self._folder.trial_folders():
            if should_stop():
                break
            stamp = tuple(map(_stamp, (folder.record, folder.epochs, folder.panels)))
            if stamp[0] is None:
                continue
            num_found += 1
            if self._seen.get(folder.hash) == stamp:
                continue
            num_written += self._write(folder)
            self._seen[folder.hash] = stamp
        return num_written, num_found

    def _write(self, folder: TrialFolder) -> bool:
        trial = read_logged(folder)
        if trial is None:
            return False
        if self._sink is None:
            self._sink = make_sink(self._logger, self._folder)
        return self._sink.write(trial)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


@contextmanager
def logging(
    loggers: Sequence[Logger], folder: ExperimentFolder, note: Callable[[str], None]
) -> Iterator[None]:
    """Keep loggers like the files while a block runs, from a thread each; what fails is said once.

    Args:
        loggers: Which; none: nothing happens.
        folder: The experiment's.
        note: Told what the user should know.
    """
    stop = threading.Event()
    threads = [
        threading.Thread(target=_follow, args=(each, folder, stop, note), name=each.value, daemon=True)
        for each in dict.fromkeys(loggers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(LAST_S)
            if thread.is_alive():
                note(f"{thread.name} is slower than the sweep; {_remedy(folder, thread.name)}")


def _follow(
    logger: Logger, folder: ExperimentFolder, stop: threading.Event, note: Callable[[str], None]
) -> None:
    log = Log(logger, folder)
    try:
        is_last = False
        while not is_last:
            is_last = stop.wait(EVERY_S)
            log.update()
        log.close()
    except Exception as error:  # whatever a logger does, the sweep goes on
        first = (str(error).splitlines() or [type(error).__name__])[0]
        note(f"{logger.value} failed ({first}); the sweep goes on. {_remedy(folder, logger.value)}")


def _remedy(folder: ExperimentFolder, logger: str) -> str:
    return f"`segbench results log {folder.name} --to {logger}` writes what it lacks."


def _stamp(path: object) -> tuple[int, int, int] | None:
    try:
        status = path.stat()  # type: ignore[attr-defined]
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
