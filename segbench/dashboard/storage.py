"""Opens Optuna's storages: an SQLite file, a database server, a journal file."""

from __future__ import annotations

import importlib.util
import os
import random
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError

from segbench.errors import ResultsError, message
from segbench.sweep.address import Kind, StorageAddress

optuna.logging.set_verbosity(optuna.logging.ERROR)

CONNECT_TIMEOUT_S: Final = 5
"""How long a server may take to answer."""

BUSY_TIMEOUT_S: Final = 10
"""How long a write to SQLite waits for the write of another process."""

_ATTEMPTS: Final = 6
_DRIVERS_WITH_TIMEOUT: Final = ("psycopg", "psycopg2", "pymysql", "mysqldb")


def open_storage(address: StorageAddress, *, is_often_idle: bool = False) -> BaseStorage:
    """Open a storage, and make its tables or its file where they are missing.

    Args:
        address: Which.
        is_often_idle: Whether to ask before each use if the server has closed the connection meanwhile, which
            costs a round trip; else the first use fails.

    Raises:
        ResultsError: Its driver is missing, it does not answer, or it is damaged; no password is in the text.
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
    """Let go of a storage's connections."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


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
    """Return what a driver said, on one line, without what SQLAlchemy and Optuna wrap around it."""
    seen = error
    while (inner := getattr(seen, "orig", None) or seen.__cause__) is not None:
        seen = inner
    lines = [line.strip() for line in str(seen).splitlines() if line.strip()]
    return " ".join(lines).rstrip(".") or type(seen).__name__


def find_damage(address: StorageAddress) -> str | None:
    """Return what is wrong with the bytes of a storage's file; None where nothing is, or for a server."""
    if address.path is None or not address.path.exists():
        return None
    try:
        if address.kind is Kind.SQLITE:
            with closing(sqlite3.connect(address.path, timeout=BUSY_TIMEOUT_S)) as connection:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if found == "ok" else str(found)
        close_storage(_open(address))
    except sqlite3.OperationalError:
        return None  # locked or not readable: not damaged
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError, AssertionError) as error:
        return reason_of(error)
    return None


def move_aside(path: Path) -> Path:
    """Rename a damaged file, with what SQLite keeps beside it, and return its new name."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
    return aside


def _is_race(error: Exception) -> bool:
    """Whether another process was making the tables, or switching SQLite's journal, at the same time."""
    told = reason_of(error).lower()
    return isinstance(error, DBAPIError | sqlite3.OperationalError | StorageInternalError) and any(
        words in told for words in ("already exists", "duplicate key", "unique constraint", "is locked")
    )


def _open(address: StorageAddress, *, is_often_idle: bool = False) -> BaseStorage:
    if address.kind is Kind.JOURNAL:
        return _open_journal(address)
    if address.kind is Kind.SQLITE:
        return _open_sqlite(address)
    options: dict[str, Any] = {"pool_pre_ping": is_often_idle}
    driver = address.url.partition(":")[0].partition("+")[2]
    if driver in _DRIVERS_WITH_TIMEOUT:
        options["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT_S}
    return RDBStorage(address.url, engine_kwargs=options)


def _open_sqlite(address: StorageAddress) -> RDBStorage:
    if address.path is not None:
        _make_room(address, address.path)
        _use_write_ahead_log(address.path)
    storage = RDBStorage(
        address.url,
        engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT_S}},
    )
    storage.engine.dispose()  # connections made so far know nothing of what follows
    event.listen(storage.engine, "connect", _commit_without_waiting)
    return storage


def _open_journal(address: StorageAddress) -> JournalStorage:
    assert address.path is not None
    _make_room(address, address.path)
    with address.path.open("ab"):
        pass
    _drop_torn_line(address.path)
    return JournalStorage(JournalFileBackend(str(address.path)))


def _make_room(address: StorageAddress, path: Path) -> None:
    if not address.is_named:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.parent.is_dir():
        raise ResultsError(message(address.shown, "the folder of this file does not exist"))


def _use_write_ahead_log(path: Path) -> None:
    """Let the dashboard read while a sweep writes; a property of the file from then on."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _commit_without_waiting(connection: Any, record: Any) -> None:
    """Do not wait for the disk at every commit: a power cut may cost the last ones, which records replace."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _drop_torn_line(path: Path) -> None:
    """Cut off what a writer that was killed left of its last line; the next line would be joined to it."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _driver_remedy(address: StorageAddress) -> str:
    if address.url.startswith("postgresql+psycopg:"):
        return "pip install 'segbench[postgres]'"
    driver = address.url.partition(":")[0].partition("+")[2]
    if driver and importlib.util.find_spec(driver) is None:
        return f"Install the Python package {driver}"
    return "postgresql+psycopg://... is the one that segbench[postgres] brings"
