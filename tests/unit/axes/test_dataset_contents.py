from __future__ import annotations

import hashlib
import json
import os

import pytest

from segbench.axes.dataset import _contents
from segbench.axes.dataset._contents import content_hashes
from segbench.errors import DataError


@pytest.fixture
def files(tmp_path):
    """Three settled files: written long ago."""
    found = []
    for number in range(3):
        file = tmp_path / "files" / f"{number} ü.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes([number]) * 10)
        os.utime(file, ns=(10**18, 10**18))
        found.append(file)
    return found


def reading(monkeypatch):
    read = []
    original = _contents.hash_file
    monkeypatch.setattr(_contents, "hash_file", lambda file: (read.append(file.name), original(file))[1])
    return read


def test_hashes_are_those_of_the_contents(files, tmp_path):
    found = content_hashes(files, tmp_path / "memory")
    assert found == {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_second_look_reads_what_changed(files, tmp_path, monkeypatch):
    first = content_hashes(files, tmp_path / "memory")
    read = reading(monkeypatch)
    assert content_hashes(files, tmp_path / "memory") == first
    assert read == []
    files[1].write_bytes(b"other")
    assert content_hashes(files, tmp_path / "memory")[files[1]] != first[files[1]]
    assert read == ["1 ü.bin"]


def test_a_file_written_just_now_is_read_again(files, tmp_path, monkeypatch):
    files[0].write_bytes(b"now")  # a second write in the same tick would not change its time stamp
    content_hashes(files, tmp_path / "memory")
    read = reading(monkeypatch)
    content_hashes(files, tmp_path / "memory")
    assert read == ["0 ü.bin"]


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"format": 0, "files": {}})])
def test_a_damaged_memory_is_forgotten(files, tmp_path, content):
    first = content_hashes(files, tmp_path / "memory")
    (memory,) = (tmp_path / "memory").iterdir()
    memory.write_text(content)
    assert content_hashes(files, tmp_path / "memory") == first


def test_a_memory_that_cannot_be_written_is_done_without(files, tmp_path):
    (tmp_path / "memory").write_text("a file in the folder's place")
    assert len(content_hashes(files, tmp_path / "memory")) == 3


def test_all_missing_files_are_named(files, tmp_path):
    files[0].unlink()
    files[2].unlink()
    with pytest.raises(DataError) as caught:
        content_hashes(files, tmp_path / "memory")
    assert caught.value.problems == (
        f"{files[0]}: the file cannot be read (No such file or directory).",
        f"{files[2]}: the file cannot be read (No such file or directory).",
    )
