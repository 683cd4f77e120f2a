from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from segbench import registry
from segbench.config.project import Project
from segbench.errors import DataError


@pytest.fixture
def pets(small_pets, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGBENCH_DATA", str(small_pets))
    return Project(tmp_path)


@pytest.fixture
def two_pets(tmp_path):
    """A data set of two generated pictures that tests may damage."""
    root = tmp_path / "data" / "oxford_pet" / "oxford-iiit-pet"
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "images").mkdir()
    for part, name in (("trainval", "Bengal_1"), ("test", "pug_2")):
        (root / "annotations" / f"{part}.txt").write_text(f"{name} 1 {'1' if name[0] == 'B' else '2'} 1\n")
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / f"images/{name}.jpg")
        trimap = np.full((6, 8), 2, np.uint8)
        trimap[1:3], trimap[3] = 1, 3
        Image.fromarray(trimap).save(root / f"annotations/trimaps/{name}.png")
    return root


def source_of(root, **knobs):
    return registry.build("dataset", "oxford_pet", Project(root.parents[2]), **knobs)


@pytest.mark.shared
def test_real_lists_give_the_courses_split(pets):
    source = registry.build("dataset", "oxford_pet", pets)
    split = source.own_split()
    assert {part: len(numbers) for part, numbers in split.items()} == {"train": 144, "val": 16, "test": 80}
    assert list(split["val"]) == list(range(0, 160, 10))
    samples = source.samples()
    assert len({s.attributes["breed"] for s in samples}) == 37
    assert sum(s.attributes["species"] == "cat" for s in samples) == 120
    assert samples[0].attributes == {"species": "cat", "breed": "Abyssinian", "class": "1"}


@pytest.mark.shared
def test_real_photographs_decode(pets):
    source = registry.build("dataset", "oxford_pet", pets)
    inside = registry.build("dataset", "oxford_pet", pets, border="background")
    shares = []
    for sample in source.samples()[::8]:
        image, mask = source.decode(sample)
        assert image.shape == (*mask.shape, 3)
        shares.append((mask.mean(), inside.decode(sample)[1].mean()))
    with_border, without = np.mean(shares, axis=0)
    assert 0.25 < without < 0.38
    assert with_border > without + 0.05


def test_borders_count_as_asked(two_pets):
    for border, rows in (("foreground", [1, 2, 3]), ("background", [1, 2])):
        source = source_of(two_pets, border=border)
        _, mask = source.decode(source.samples()[0])
        assert np.flatnonzero(mask.any(axis=1)).tolist() == rows
    assert source.samples()[1].attributes["species"] == "dog"


def test_an_ignored_border_is_neither(two_pets):
    source = source_of(two_pets, border="ignore")
    _, mask = source.decode(source.samples()[0])
    assert mask.dtype == np.uint8
    assert mask[:, 0].tolist() == [0, 1, 1, 255, 0, 0]


def test_a_missing_data_set_names_the_command(tmp_path):
    with pytest.raises(DataError) as caught:
        registry.build("dataset", "oxford_pet", Project(tmp_path)).samples()
    file = tmp_path / "data/oxford_pet/oxford-iiit-pet/annotations/trainval.txt"
    assert str(caught.value) == (
        f"dataset: oxford_pet is not there: no {file}. `segbench data fetch oxford_pet` fetches it."
    )


@pytest.mark.parametrize(
    ("file", "pixels", "text"),
    [
        (
            "annotations/trimaps/pug_2.png",
            np.zeros((6, 8), np.uint8),
            "2 (background) and 3 (border), got [0].",
        ),
        ("annotations/trimaps/pug_2.png", np.ones((6, 9), np.uint8), "the image is 8x6, got '9x6'."),
    ],
)
def test_odd_trimaps_are_named(two_pets, file, pixels, text):
    Image.fromarray(pixels).save(two_pets / file)
    source = source_of(two_pets)
    with pytest.raises(DataError) as caught:
        source.decode(source.samples()[1])
    assert str(caught.value).startswith(str(two_pets / file))
    assert str(caught.value).endswith(text)


def test_corrupt_and_missing_photographs_are_named(two_pets):
    source = source_of(two_pets)
    (two_pets / "images/Bengal_1.jpg").write_bytes(b"\xff\xd8\xff no more")
    with pytest.raises(DataError, match=r"Bengal_1\.jpg: the image cannot be decoded"):
        source.decode(source.samples()[0])
    (two_pets / "images/Bengal_1.jpg").unlink()
    with pytest.raises(DataError, match=r"Bengal_1\.jpg: the image is missing"):
        source.decode(source.samples()[0])
    with pytest.raises(DataError, match=r"Bengal_1\.jpg: the file cannot be read"):
        source.fingerprint()


def test_a_broken_line_is_named(two_pets):
    (two_pets / "annotations/test.txt").write_text("# head\n\npug_2 1 3 1\n")
    with pytest.raises(
        DataError, match=r"test\.txt:3: a line is `name class species breed`, got 'pug_2 1 3 1'"
    ):
        source_of(two_pets).samples()


def test_the_fingerprint_is_of_contents_and_lists(two_pets, tmp_path):
    before = source_of(two_pets).fingerprint()
    copy = tmp_path / "other/data/oxford_pet/oxford-iiit-pet"
    shutil.copytree(two_pets, copy)
    assert source_of(copy).fingerprint() == before
    Image.fromarray(np.ones((6, 8), np.uint8)).save(copy / "annotations/trimaps/pug_2.png")
    assert source_of(copy).fingerprint() != before
