from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from segbench.errors import ResultsError
from segbench.store import atomic
from segbench.store.atomic import replacing, sweep_temporaries, write_bytes, write_text


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a b 'ü'\n.txt"
    write_text(target, "a much longer first text\n")
    write_text(target, "größer\n")
    assert target.read_bytes() == "größer\n".encode()
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_writer_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "best.pt"
    write_bytes(target, b"old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_named_with_the_file_and_the_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "trial.json"
    write_text(target, "old")

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "sync", full)
    with pytest.raises(ResultsError) as caught:
        write_text(target, "new")
    text = str(caught.value)
    assert text.startswith(f"{target}: the disk (or the quota on it) is full; this file could not be written")
    assert "MiB are free there; make room and run the same command again." in text
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_read_only_folder_and_a_missing_one_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ResultsError, match="the folder to write into does not exist"):
        write_text(tmp_path / "missing" / "a.txt", "a")

    def refuse(*arguments: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ResultsError, match="the folder or file is read-only"):
        write_text(tmp_path / "a.txt", "a")


def test_left_temporaries_are_swept_and_nothing_else(tmp_path: Path) -> None:
    keep = tmp_path / "trial.json"
    keep.write_text("{}")
    (tmp_path / "panels.tmp-folder").mkdir()
    left = tmp_path / "last.pt.tmp-123-abcd"
    left.write_bytes(b"half")
    assert sweep_temporaries(tmp_path) == [left]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["panels.tmp-folder", "trial.json"]
