from __future__ import annotations

import io
import tarfile

import pytest

from segbench.data.fetch import fetch_oxford_pet
from segbench.errors import DataError


@pytest.fixture
def copy(tmp_path):
    """A data set of two empty files a part; only names are looked at."""
    root = tmp_path / "copies" / "deep" / "oxford-iiit-pet"
    (root / "annotations/trimaps").mkdir(parents=True)
    (root / "images").mkdir()
    for part, name in (("trainval", "Bengal_1"), ("test", "pug_2")):
        (root / f"annotations/{part}.txt").write_text(f"{name} 1 1 1\n")
        (root / f"images/{name}.jpg").write_bytes(b"image")
        (root / f"annotations/trimaps/{name}.png").write_bytes(b"trimap")
    return root


def pack(root, file, mode):
    with tarfile.open(file, mode) as tar:
        tar.add(root, arcname=root.name)
    return file


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_is_copied_from_any_level(copy, project, depth):
    told = []
    source = [copy, copy.parent, copy.parents[1]][depth]
    found = fetch_oxford_pet(project, source=source, on_progress=lambda *done: told.append(done))
    assert (found.num_trainval, found.num_test, found.num_breeds, found.is_new) == (1, 1, 2, True)
    assert not found.is_whole
    assert told[-1] == (6, 6)
    assert (found.folder / "images/pug_2.jpg").read_bytes() == b"image"
    assert found.folder == project.data / "oxford_pet/oxford-iiit-pet"
    again = fetch_oxford_pet(project)
    assert not again.is_new
    assert [p.name for p in found.folder.parent.iterdir()] == ["oxford-iiit-pet"]


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")])
def test_a_tar_is_unpacked(copy, project, tmp_path, name, mode):
    found = fetch_oxford_pet(project, source=pack(copy, tmp_path / name, mode))
    assert found.num_trainval == 1


@pytest.mark.shared
def test_the_real_tar_is_unpacked(project, shared_data):
    found = fetch_oxford_pet(project, source=shared_data / "oxford-iiit-pet-small.tar")
    assert (found.num_trainval, found.num_test, found.num_breeds) == (160, 80, 37)


def test_a_copy_with_missing_files_is_refused_and_leaves_nothing(copy, project):
    (copy / "images/pug_2.jpg").unlink()
    with pytest.raises(DataError, match=r"1 listed files are missing, got \['images/pug_2\.jpg'\]"):
        fetch_oxford_pet(project, source=copy)
    assert list((project.data / "oxford_pet").iterdir()) == []


def test_a_tar_that_climbs_out_is_refused(project, tmp_path):
    file = tmp_path / "evil.tar"
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo("../../evil.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="the file is no readable tar"):
        fetch_oxford_pet(project, source=file)
    assert list(tmp_path.rglob("evil.txt")) == []


@pytest.mark.parametrize("content", [b"", b"no tar"])
def test_what_is_no_tar_is_refused(project, tmp_path, content):
    file = tmp_path / "a.tar"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tar: the file is no readable tar"):
        fetch_oxford_pet(project, source=file)


def test_a_torn_tar_is_refused(copy, project, tmp_path):
    file = pack(copy, tmp_path / "a.tar.xz", "w:xz")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.tar\.xz: the file is no readable tar"):
        fetch_oxford_pet(project, source=file)
    assert not (project.data / "oxford_pet/oxford-iiit-pet").exists()


def test_other_sources_are_told(project, tmp_path, copy):
    with pytest.raises(DataError, match="data fetch: there is no such file or folder, got"):
        fetch_oxford_pet(project, source=tmp_path / "nowhere.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"this is no copy of Oxford-IIIT Pet, got 'no folders images and annotations'"
    ):
        fetch_oxford_pet(project, source=tmp_path / "empty")
    fetch_oxford_pet(project, source=copy)
    with pytest.raises(DataError, match="there is a copy already, which is not replaced"):
        fetch_oxford_pet(project, source=copy)


def test_without_a_source_torchvision_downloads(copy, project, monkeypatch):
    import shutil

    import torchvision.datasets

    def download(root, download):
        assert download
        shutil.copytree(copy, root / "oxford-iiit-pet")
        (root / "oxford-iiit-pet/images.tar.gz").write_bytes(b"archive")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", download)
    found = fetch_oxford_pet(project)
    assert found.is_new
    assert not (found.folder / "images.tar.gz").exists()


def test_a_failed_download_names_the_other_way_and_keeps_what_came(project, monkeypatch):
    import torchvision.datasets

    def download(root, download):
        (root / "part").write_bytes(b"half")
        raise RuntimeError("no route")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", download)
    with pytest.raises(DataError) as caught:
        fetch_oxford_pet(project)
    assert str(caught.value) == (
        "data fetch: the download failed (no route). "
        "`segbench data fetch oxford_pet --from DIR|TAR` takes a copy that is there already."
    )
    assert (project.data / "oxford_pet/.incomplete/part").exists()
