from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segbench.config.trial import Choice
from segbench.data import cache, fingerprint, prepare
from segbench.errors import DataError

FOLDER = {"images": "photos", "masks": "masks", "size_px": 16}
SPLIT = Choice.of("split", "fraction", val=0.2, test=0.2)


@pytest.fixture
def photos(project):
    draw = np.random.default_rng(0)
    for folder in ("photos", "masks"):
        (project.root / folder).mkdir()
    for number in range(10):
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            project.root / f"photos/{number}.png"
        )
        Image.fromarray(draw.integers(0, 2, (20, 30), dtype=np.uint8)).save(
            project.root / f"masks/{number}.png"
        )
    return project


@pytest.fixture
def ours(config):
    return config(dataset=Choice.of("dataset", "folder", **FOLDER), split=SPLIT)


def folders(project):
    return sorted(p.name for p in (project.data / "cache").iterdir() if p.is_dir())


def counting(calls):
    return lambda done, total: calls.append((done, total))


def test_it_is_built_once(photos, ours):
    calls = []
    first = prepare(ours, photos, on_progress=counting(calls))
    assert calls[-1] == (10, 10)
    calls.clear()
    second = prepare(ours, photos, on_progress=counting(calls))
    assert calls == []
    assert isinstance(second.images, np.memmap)
    assert np.array_equal(first.images, second.images)
    assert first.images.shape == (10, 16, 16, 3)
    assert first.masks.shape == (10, 16, 16)
    assert set(np.unique(first.masks)) == {0, 1}


def test_images_stand_in_order_and_hashes_are_those_of_the_files(photos, ours, monkeypatch):
    """Also where many more images are to be decoded than wait in memory."""
    expected = np.array(prepare(ours, photos).images)
    (folder,) = folders(photos)
    shutil.rmtree(photos.data / "cache" / folder)
    monkeypatch.setattr(cache, "_CHUNK", 3)
    decode, waits = cache._decode, iter([0.05, 0, 0.02, 0, 0, 0.04, 0, 0, 0.03, 0])

    def slowly(source, sample):
        time.sleep(next(waits))
        return decode(source, sample)

    monkeypatch.setattr(cache, "_decode", slowly)
    calls = []
    found = prepare(ours, photos, on_progress=counting(calls))
    assert np.array_equal(found.images, expected)
    assert calls == [(3, 10), (6, 10), (9, 10), (10, 10)]
    record = json.loads((photos.data / "cache" / folder / "cache.json").read_text())
    for name, known in record["files"].items():
        content = (photos.data / "cache" / folder / name).read_bytes()
        assert known["sha256"] == hashlib.sha256(content).hexdigest()
        assert known["size"] == len(content)


def test_a_changed_file_makes_another_cache_and_fingerprint(photos, ours):
    before, old = fingerprint(ours, photos), prepare(ours, photos)
    pixels = np.full((20, 30, 3), 7, np.uint8)
    Image.fromarray(pixels).save(photos.root / "photos/3.png")
    assert fingerprint(ours, photos) != before
    new = prepare(ours, photos)
    assert (new.images[3] == 7).all()
    assert not (old.images[3] == 7).all()
    assert new.fingerprint == fingerprint(ours, photos)
    assert len(folders(photos)) == 2


def test_a_mask_counts_in_the_fingerprint_and_a_place_does_not(photos, ours, tmp_path):
    before = fingerprint(ours, photos)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for folder in ("photos", "masks"):
        (photos.root / folder).rename(moved / folder)
    assert fingerprint(ours, type(photos)(moved)) == before
    Image.fromarray(np.ones((20, 30), np.uint8)).save(moved / "masks/0.png")
    assert fingerprint(ours, type(photos)(moved)) != before


def test_another_split_is_another_fingerprint_of_the_same_cache(photos, ours, config):
    prepare(ours, photos)
    other = config(dataset=ours.dataset, split=Choice.of("split", "fraction", val=0.2, test=0.2, seed=1))
    assert fingerprint(other, photos) != fingerprint(ours, photos)
    prepare(other, photos)
    assert len(folders(photos)) == 1


@pytest.mark.parametrize("damage", ["truncate", "overwrite", "record", "missing"])
def test_a_damaged_cache_is_rebuilt(photos, ours, damage):
    good = np.array(prepare(ours, photos).images)
    (folder,) = (photos.data / "cache").glob("folder-*/")
    file = folder / "images.npy"
    if damage == "truncate":
        os.truncate(file, file.stat().st_size - 100)
    elif damage == "overwrite":
        with file.open("r+b") as stream:
            stream.seek(500)
            stream.write(b"\0" * 64)
    elif damage == "record":
        (folder / "cache.json").write_text("{")
    else:
        (folder / "masks.npy").unlink()
    calls = []
    assert np.array_equal(prepare(ours, photos, on_progress=counting(calls)).images, good)
    assert calls


def test_a_copied_cache_with_new_time_stamps_is_taken(photos, ours):
    prepare(ours, photos)
    (file,) = (photos.data / "cache").glob("folder-*/images.npy")
    os.utime(file, ns=(1, 1))
    calls = []
    prepare(ours, photos, on_progress=counting(calls))
    assert calls == []
    assert json.loads((file.parent / "cache.json").read_text())["files"]["images.npy"]["mtime_ns"] == 1


def _prepare(config, project, queue):
    queue.put(float(prepare(config, project, on_progress=lambda *_: queue.put(-1.0)).images.sum()))


def test_two_processes_build_one_cache(photos, ours):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_prepare, args=(ours, photos, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    found = [queue.get(timeout=5) for _ in range(3)]
    assert found.count(-1.0) == 1  # one of them told its progress
    sums = [value for value in found if value >= 0]
    assert sums[0] == sums[1] > 0
    assert len(folders(photos)) == 1


def test_what_a_killed_build_left_is_cleared(photos, ours):
    prepare(ours, photos)
    (folder,) = (photos.data / "cache").glob("folder-*/")
    left = folder.with_name(f"{folder.name}.99999.tmp")
    folder.rename(left)
    prepare(ours, photos)
    assert folders(photos) == [folder.name]


def test_a_disk_without_room_is_refused_before_work(photos, ours, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**20})())
    with pytest.raises(
        DataError, match=r"the decoded images need 64 MiB, but the disk has 1 MiB\. Free some space"
    ):
        prepare(ours, photos)
    assert folders(photos) == []


def test_a_disk_that_fills_leaves_nothing(photos, ours, monkeypatch):
    def full(stream, shape):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "_write_header", full)
    with pytest.raises(
        DataError, match=r"cannot be written \(No space left on device\)\. Nothing was left behind"
    ):
        prepare(ours, photos)
    assert folders(photos) == []


def test_all_bad_images_are_named_at_once(photos, ours):
    (photos.root / "photos/2.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((20, 31), np.uint8)).save(photos.root / "masks/5.png")
    with pytest.raises(DataError) as caught:
        prepare(ours, photos)
    assert [name in text for name, text in zip(("2.png", "5.png"), caught.value.problems, strict=True)] == [
        True,
        True,
    ]
    assert folders(photos) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b'{"means": [9.0], "stds": [9.0]}'])
def test_damaged_or_foreign_measurements_are_made_again(photos, ours, damage):
    ours = replace(ours, input=Choice("dataset"))
    first = prepare(ours, photos).scaling
    (kept,) = (photos.data / "cache").glob("*/statistics-*.json")
    whole = kept.read_bytes()
    kept.write_bytes(damage)
    assert prepare(ours, photos).scaling == first
    assert kept.read_bytes() == whole
