"""Storages: what addresses mean, what is said of those that cannot be used, passwords that stay hidden."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from segbench.dashboard.address import Kind, default_address, find_address, redact
from segbench.dashboard.storage import close_storage, find_damage, move_aside, open_storage, reason_of
from segbench.dashboard.study import StudyMirror
from segbench.errors import ResultsError

RESULTS = Path("/project/results")


@pytest.mark.parametrize(
    ("asked", "kind", "path", "shown"),
    [
        ("sqlite:////srv/a.db", Kind.SQLITE, Path("/srv/a.db"), "sqlite:////srv/a.db"),
        ("sqlite:///a.db", Kind.SQLITE, Path.cwd() / "a.db", "sqlite:///a.db"),
        ("journal:///srv/a", Kind.JOURNAL, Path("/srv/a"), "/srv/a"),
        ("journal:////srv/a", Kind.JOURNAL, Path("/srv/a"), "/srv/a"),
        ("/srv/a.log", Kind.JOURNAL, Path("/srv/a.log"), "/srv/a.log"),
        ("/srv/a.journal", Kind.JOURNAL, Path("/srv/a.journal"), "/srv/a.journal"),
        ("postgresql://h/d", Kind.SERVER, None, "postgresql+psycopg://h/d"),
        ("postgres://u@h/d", Kind.SERVER, None, "postgresql+psycopg://u@h/d"),
        ("mysql+pymysql://u:p@h/d", Kind.SERVER, None, "mysql+pymysql://u:***@h/d"),
    ],
)
def test_an_address_says_where_the_studies_lie(asked: str, kind: Kind, path: Path | None, shown: str) -> None:
    address = find_address(asked, RESULTS)
    assert (address.kind, address.path, address.shown, address.is_named) == (kind, path, shown, True)


def test_without_a_name_the_database_under_results_is_meant() -> None:
    for asked in (None, ""):
        address = find_address(asked, RESULTS)
        assert address == default_address(RESULTS)
        assert (address.path, address.shown) == (RESULTS / "optuna.journal", "optuna.journal")
        assert not address.is_named


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("studies", "--storage: no such kind of storage, got 'studies'"),
        ("postgresql:///", "--storage: no such kind of storage, got 'postgresql+psycopg:///'"),
        ("sqlite://", "--storage: a database in memory can be seen by nobody else, got 'sqlite://'"),
        ("sqlite:///:memory:", "--storage: a database in memory can be seen by nobody else"),
        ("journal://a.log", "--storage: a journal is named by its whole path, got 'journal://a.log'"),
        ("journal:///a/", "--storage: a journal is named by its whole path"),
    ],
)
def test_what_is_no_storage_is_refused(asked: str, said: str) -> None:
    with pytest.raises(ResultsError) as error:
        find_address(asked, RESULTS)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("url", "secret", "shown"),
    [
        ("postgresql://u:hush@h:5432/d", "hush", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:hu@sh:x@h/d", "hu@sh:x", "postgresql://u:***@h/d"),
        ("postgresql://u:hu/sh?a@h/d", "hu/sh?a", "postgresql://u:***@h/d"),
        ("postgresql://:hush@h/d", "hush", "postgresql://:***@h/d"),
        ("postgresql://u@h/d?password=hush&x=1", "hush", "postgresql://u@h/d?password=***&x=1"),
        ("postgresql://u@h/d?x=1&sslpassword=hush", "hush", "postgresql://u@h/d?x=1&sslpassword=***"),
        ("postgresql://u@[::1]:5432/d", "", "postgresql://u@[::1]:5432/d"),
        ("/a/b.log", "", "/a/b.log"),
    ],
)
def test_passwords_are_never_shown(url: str, secret: str, shown: str) -> None:
    assert redact(url) == shown
    address = find_address(url, RESULTS)
    if secret:
        for text in (address.shown, repr(address), str(address), address.clean(f"FATAL: {secret} is wrong")):
            assert secret not in text


def test_an_encoded_password_is_hidden_in_both_forms() -> None:
    address = find_address("postgresql://u:a%40b@h/d", RESULTS)
    assert address.clean("no a@b, no a%40b") == "no ***, no ***"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "mysql+nodriver://u:hush@h/d",
            "mysql+nodriver://u:***@h/d: this is no address of a database "
            "(Can't load plugin: sqlalchemy.dialects:mysql.nodriver). "
            "For example postgresql+psycopg://USER:PASSWORD@HOST/DATABASE.",
        ),
        ("sqlite:////nowhere/a.db", "sqlite:////nowhere/a.db: the folder of this file does not exist."),
        ("/nowhere/a.log", "/nowhere/a.log: the folder of this file does not exist."),
    ],
)
def test_a_storage_that_cannot_be_opened_says_why(asked: str, said: str) -> None:
    with pytest.raises(ResultsError) as error:
        open_storage(find_address(asked, RESULTS))
    assert str(error.value) == said


def test_a_missing_driver_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ResultsError) as error:
        open_storage(find_address("postgresql://u:hush@h/d", RESULTS))
    assert str(error.value) == (
        "postgresql+psycopg://u:***@h/d: the driver of this kind of database is not installed. "
        "pip install 'segbench[postgres]'."
    )


def test_a_server_that_is_not_there_is_said_in_its_own_words() -> None:
    with pytest.raises(ResultsError) as error:
        open_storage(find_address("postgresql://u:hush@127.0.0.1:1/d", RESULTS))
    assert str(error.value).startswith(
        "postgresql+psycopg://u:***@127.0.0.1:1/d: the storage cannot be used (connection failed: "
    )
    assert "sqlalche.me" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_database_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    close_storage(open_storage(find_address(f"sqlite:///{file}", tmp_path)))
    read_only = find_address(f"sqlite:///file:{file}?mode=ro&uri=true", tmp_path)
    with pytest.raises(ResultsError, match="attempt to write a readonly database"):
        StudyMirror(read_only, name="exp", directions=["maximize"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_file_without_write_permission_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    close_storage(open_storage(find_address(f"sqlite:///{file}", tmp_path)))
    file.chmod(0o400)
    with pytest.raises(ResultsError, match="readonly database"):
        StudyMirror(find_address(f"sqlite:///{file}", tmp_path), name="exp", directions=["maximize"])


@pytest.mark.parametrize("name", ["a.db", "a.log"])
def test_a_damaged_file_is_found_and_moved_aside(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    address = find_address(f"sqlite:///{file}" if name.endswith(".db") else str(file), tmp_path)
    assert find_damage(address) is None
    mirror = StudyMirror(address, name="exp", directions=["maximize"])
    mirror.close()
    assert find_damage(address) is None
    file.write_bytes(b"this is no database\nand no journal either\n" * 40)
    assert find_damage(address) is not None
    with pytest.raises(ResultsError, match=r"`segbench results sync` moves a damaged file aside"):
        StudyMirror(address, name="exp", directions=["maximize"])
    aside = move_aside(file)
    assert not file.exists()
    assert aside.name.startswith(f"{name}.broken-")
    StudyMirror(address, name="exp", directions=["maximize"]).close()


def test_damage_within_a_database_is_found(tmp_path: Path) -> None:
    address = find_address(f"sqlite:///{tmp_path}/a.db", tmp_path)
    StudyMirror(address, name="exp", directions=["maximize"]).close()
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(file.read_bytes())
    for page in range(4096, len(content) - 4096, 8192):
        content[page : page + 200] = b"\xff" * 200
    file.write_bytes(content)
    assert find_damage(address) is not None


def test_a_journal_torn_by_a_kill_goes_on(tmp_path: Path) -> None:
    address = find_address(str(tmp_path / "a.log"), tmp_path)
    StudyMirror(address, name="exp", directions=["maximize"]).close()
    with (tmp_path / "a.log").open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"torn')
    assert find_damage(address) is None
    mirror = StudyMirror(address, name="other", directions=["maximize"])
    names = {study.study_name for study in mirror._storage.get_all_studies()}
    mirror.close()
    assert names == {"exp", "other"}


def test_a_text_that_is_no_journal_is_not_cut(tmp_path: Path) -> None:
    file = tmp_path / "notes.log"
    file.write_text("some notes\nand the last line has no end")
    with pytest.raises(ResultsError, match="this is no journal of Optuna"):
        open_storage(find_address(str(file), tmp_path))
    assert file.read_text() == "some notes\nand the last line has no end"
    assert not file.with_name("notes.log.lock").exists()


def test_the_innermost_reason_is_told() -> None:
    inner = ValueError("first line\n  second line.")
    outer = RuntimeError("wrapped")
    outer.__cause__ = inner
    assert reason_of(outer) == "first line second line"
    assert reason_of(KeyError()) == "KeyError"
