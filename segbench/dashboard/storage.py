"""Optuna's storages: opened, checked, listed and served to optuna-dashboard, with pictures of trials.

optuna-dashboard asks an artifact store for an id. Here the id consists of the experiment's name and the
trial's hash, so the store finds the picture in the trial's own folder on every host that shares it; nothing
is copied, and nothing can be deleted through it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import optuna
from optuna.artifacts import upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import StudyDirection
from sqlalchemy.exc import ArgumentError, DBAPIError

from segbench.dashboard.address import Kind, StorageAddress
from segbench.errors import ResultsError, message
from segbench.store.layout import ResultsFolder, TrialFolder

_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{12})")


def artifact_id(experiment: str, trial_hash: str) -> str:
    """Return the id of a trial's picture: hexadecimal digits and a dash, as optuna-dashboard requires."""
    return f"{_digest(experiment)}-{trial_hash}"


def picture_attributes(folder: TrialFolder) -> dict[str, str]:
    """Return the system attributes that make a trial's picture its artifact; empty if the file is gone.

    Optuna draws an id and accepts no other, and it accepts no artifact of a trial that has ended. So the file
    is attached to a trial in memory by Optuna's own function, and its id is replaced in what that wrote.
    """
    memory = InMemoryStorage()
    trial_id = memory.create_new_trial(memory.create_new_study([StudyDirection.MINIMIZE]))
    try:
        drawn = upload_artifact(
            artifact_store=_InPlace(),
            file_path=str(folder.panels),
            study_or_trial=memory.get_trial(trial_id),
            storage=memory,
        )
    except OSError:
        return {}
    known = artifact_id(folder.experiment.name, folder.hash)
    written = memory.get_trial_system_attrs(trial_id)
    return {key.replace(drawn, known): value.replace(drawn, known) for key, value in written.items()}


class TrialPictures:
    """The pictures of all trials under `results/`, as an artifact store that can only be read.

    Args:
        results: The folder `results/`.
    """

    def __init__(self, results: Path) -> None:
        self._results = ResultsFolder(results)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a trial's picture.

        Raises:
            ArtifactNotFound: No picture has this id.
        """
        parts = _ID.fullmatch(artifact_id)
        for experiment in self._results.experiments() if parts is not None else ():
            assert parts is not None
            if _digest(experiment.name) != parts.group(1):
                continue
            try:
                return experiment.trial(parts.group(2)).panels.open("rb")
            except OSError:
                break
        raise ArtifactNotFound(f"no picture {artifact_id} under {self._results.path}")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuse: trials write their pictures.

        Raises:
            PermissionError: Always.
        """
        raise PermissionError("the pictures of trials cannot be changed from the dashboard")

    def remove(self, artifact_id: str) -> None:
        """Refuse: the files of a record do not belong to the dashboard.

        Raises:
            ArtifactNotFound: Always; the dashboard then leaves the artifact as it is.
        """
        raise ArtifactNotFound("the pictures of trials cannot be deleted from the dashboard")


class _InPlace(TrialPictures):
    """Leaves a picture where it is."""

    def __init__(self) -> None:
        pass

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        pass


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


optuna.logging.set_verbosity(optuna.logging.ERROR)

OPENED: Final = "mirrored_at"
"""User attribute of a study that segbench writes: when it last opened it."""

CONNECT_TIMEOUT_S: Final = 5
"""How long a server may take to answer."""

BUSY_TIMEOUT_S: Final = 10
"""How long a write to SQLite waits for the write of another process."""

_ATTEMPTS: Final = 6
_DRIVERS_WITH_TIMEOUT: Final = ("psycopg", "psycopg2", "pymysql", "mysqldb")
_LINE_START: Final = b'{"op_code"'
"""How each line of a journal begins."""


def open_storage(address: StorageAddress, *, is_often_idle: bool = False) -> BaseStorage:
    """Open a storage; create its file or its tables if they are missing.

    Args:
        address: The storage.
        is_often_idle: Whether to check before each use that the server has not closed the connection, which
            costs a round trip.

    Raises:
        ResultsError: Its driver is missing, it does not answer, or it is damaged. The text holds no password.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _open(address, is_often_idle=is_often_idle)
        except ResultsError:
            raise
        except Exception as error:
            if attempt + 1 < _ATTEMPTS and _is_race(error):
                time.sleep(random.uniform(0.1, 0.5))
                continue
            raise refusal(address, error) from None  # the cause may hold the password
    raise AssertionError("the last attempt returns or raises")


def close_storage(storage: BaseStorage) -> None:
    """Close a storage's connections."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def count_own(address: StorageAddress, *, but: Collection[str] = ()) -> dict[str, int]:
    """Return the studies that segbench wrote -> their number of trials, in the order of names.

    Args:
        address: The storage.
        but: Names to leave out.

    Raises:
        ResultsError: The storage cannot be used.
    """
    with _opened(address) as storage:
        names = sorted(set(optuna.get_all_study_names(storage)) - set(but))
        ids = {name: storage.get_study_id_from_name(name) for name in names}
        return {
            name: storage.get_n_trials(study_id)
            for name, study_id in ids.items()
            if OPENED in storage.get_study_user_attrs(study_id)
        }


def delete_studies(address: StorageAddress, names: Sequence[str]) -> None:
    """Delete studies.

    Raises:
        ResultsError: The storage cannot be used.
    """
    if names:
        with _opened(address) as storage:
            for name in names:
                optuna.delete_study(study_name=name, storage=storage)


def refusal(address: StorageAddress, error: BaseException) -> ResultsError:
    """Return what is wrong with a storage as an error for users."""
    told = address.clean(reason_of(error))
    see = None
    if isinstance(error, ImportError):
        told = "the driver of this kind of database is not installed"
        see = _driver_remedy(address)
    elif isinstance(error, ArgumentError):
        told = f"this is no address of a database ({told})"
        see = "For example postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    else:
        told = f"the storage cannot be used ({told})"
        if address.kind is not Kind.SERVER and not isinstance(error, OSError):
            see = "`segbench results sync` moves a damaged file aside and writes it anew from the records"
    return ResultsError(message(address.shown, told, see=see))


def reason_of(error: BaseException) -> str:
    """Return a driver's message on one line, without what SQLAlchemy and Optuna add to it."""
    seen = error
    while (inner := getattr(seen, "orig", None) or seen.__cause__) is not None:
        seen = inner
    lines = [line.strip() for line in str(seen).splitlines() if line.strip()]
    return " ".join(lines).rstrip(".") or type(seen).__name__


def find_damage(address: StorageAddress) -> str | None:
    """Return what is wrong with the bytes of a storage's file; None if nothing is, or for a server."""
    if address.path is None or not address.path.exists():
        return None
    try:
        if address.kind is Kind.SQLITE:
            with closing(sqlite3.connect(address.path, timeout=BUSY_TIMEOUT_S)) as connection:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if found == "ok" else str(found)
        close_storage(_open(address))
    except sqlite3.OperationalError:
        return None  # locked or not readable, but not damaged
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        return reason_of(error)
    return None


def move_aside(path: Path) -> Path:
    """Rename a damaged file, and the files that SQLite keeps beside it, and return its new name."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
    return aside


@contextmanager
def _opened(address: StorageAddress) -> Iterator[BaseStorage]:
    """Open a storage, and say in words for users what fails."""
    storage = open_storage(address)
    try:
        yield storage
    except Exception as error:
        raise error if isinstance(error, ResultsError) else refusal(address, error) from None
    finally:
        close_storage(storage)


def _is_race(error: Exception) -> bool:
    """Whether another process created the tables, or switched SQLite's journal, at the same time."""
    told = reason_of(error).lower()
    return isinstance(error, DBAPIError | sqlite3.OperationalError | StorageInternalError) and any(
        words in told for words in ("already exists", "duplicate key", "unique constraint", "is locked")
    )


def _open(address: StorageAddress, *, is_often_idle: bool = False) -> BaseStorage:
    if address.path is not None:
        _make_room(address, address.path)
    if address.kind is Kind.JOURNAL:
        assert address.path is not None
        return _open_journal(address.path)
    if address.kind is Kind.SQLITE:
        if address.path is not None:
            _use_write_ahead_log(address.path)
        return RDBStorage(address.url, engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT_S}})
    options: dict[str, Any] = {"pool_pre_ping": is_often_idle}
    driver = address.url.partition(":")[0].partition("+")[2]
    if driver in _DRIVERS_WITH_TIMEOUT:
        options["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT_S}
    return RDBStorage(address.url, engine_kwargs=options)


def _make_room(address: StorageAddress, path: Path) -> None:
    if not address.is_named:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.parent.is_dir():
        raise ResultsError(message(address.shown, "the folder of this file does not exist"))


def _use_write_ahead_log(path: Path) -> None:
    """Let the dashboard read while a sweep writes; the file keeps this setting."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _open_journal(path: Path) -> JournalStorage:
    with path.open("ab"):
        pass  # refuses a file that cannot be written
    _drop_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _drop_torn_line(path: Path) -> None:
    """Cut off the incomplete last line of a writer that was killed; the next line would be joined to it.

    Raises:
        ValueError: The file ends in something else, so it is no journal.
    """
    if _torn_line(path) == b"":
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        torn = _torn_line(path)  # again: another process may have been writing it
        if not torn.startswith(_LINE_START) and not _LINE_START.startswith(torn):
            raise ValueError("this is no journal of Optuna")
        os.truncate(path, path.stat().st_size - len(torn))
    finally:
        lock.release()


def _torn_line(path: Path) -> bytes:
    """Return what follows the last newline."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        length = 0
        while length < size:
            length = min(size, 2 * length + 4096)
            file.seek(-length, os.SEEK_END)
            _, newline, rest = file.read(length).rpartition(b"\n")
            if newline or length == size:
                return rest
    return b""


def _driver_remedy(address: StorageAddress) -> str:
    if address.url.startswith("postgresql+psycopg:"):
        return "pip install 'segbench[postgres]'"
    driver = address.url.partition(":")[0].partition("+")[2]
    if driver and importlib.util.find_spec(driver) is None:
        return f"Install the Python package {driver}"
    return "postgresql+psycopg://... is the one that segbench[postgres] brings"


def serve(
    address: StorageAddress,
    results: Path,
    *,
    host: str,
    port: int,
    on_open: Callable[[], None] = lambda: None,
) -> None:
    """Serve until interrupted.

    Args:
        address: The storage.
        results: Where the trials' folders are.
        host: Address to listen at.
        port: A free one.
        on_open: Called when the storage has answered.

    Raises:
        ResultsError: The storage cannot be used.
    """
    from optuna_dashboard import run_server  # type: ignore[import-untyped]

    storage = open_storage(address, is_often_idle=True)
    try:
        on_open()
        run_server(storage, host=host, port=port, artifact_store=TrialPictures(results))
    finally:
        close_storage(storage)
