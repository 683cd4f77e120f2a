from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segbench import registry
from segbench.axes.dataset._images import read_size
from segbench.config.project import Project
from segbench.errors import DataError, ExperimentError

DRAW = np.random.default_rng(0)
PHOTO = DRAW.integers(0, 256, (12, 16, 3), dtype=np.uint8)
MASK = DRAW.integers(0, 2, (12, 16), dtype=np.uint8)


@pytest.fixture
def folders(tmp_path):
    """A project folder with a space and a quote in its name."""
    root = tmp_path / "Anna's project"
    for name in ("photos", "masks"):
        (root / name).mkdir(parents=True)
    return root


def save(file, pixels, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, **options)


def build(root, **knobs):
    return registry.build(
        "dataset", "folder", Project(root), **{"images": "photos", "masks": "masks", **knobs}
    )


def only(root, **knobs):
    source = build(root, **knobs)
    (sample,) = source.samples()
    return source.decode(sample)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "webp", "JPG", "jpeg", "gif"])
def test_any_common_format_is_read(folders, suffix):
    options = (
        {"lossless": True}
        if suffix == "webp"
        else {"format": "JPEG", "quality": 100}
        if suffix[:2] in ("JP", "jp")
        else {}
    )
    save(folders / f"photos/a.{suffix}", PHOTO, **options)
    save(folders / "masks/a.png", MASK)
    image, mask = only(folders)
    assert image.shape == (12, 16, 3)
    assert image.dtype == mask.dtype == np.uint8
    assert np.array_equal(mask, MASK)
    if suffix in ("png", "bmp", "tif", "tiff", "webp"):
        assert np.array_equal(image, PHOTO)


def test_arrays_are_read(folders):
    np.save(folders / "photos/a.npy", PHOTO)
    np.save(folders / "masks/a.npy", MASK.astype(bool))
    image, mask = only(folders)
    assert np.array_equal(image, PHOTO)
    assert np.array_equal(mask, MASK)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "LA", "P", "1"])
def test_every_mode_becomes_rgb(folders, mode):
    picture = Image.fromarray(PHOTO).convert(mode)
    save(folders / ("photos/a.tif" if mode == "CMYK" else "photos/a.png"), picture)
    save(folders / "masks/a.png", MASK)
    image, _ = only(folders)
    assert np.array_equal(image, np.asarray(picture.convert("RGB")))


def palette_mask():
    picture = Image.fromarray(MASK, mode=None).convert("P")
    picture.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    picture.putdata(MASK.ravel().tolist())
    return picture


@pytest.mark.parametrize(
    ("pixels", "file"),
    [
        (MASK, "a.png"),
        (MASK * 255, "a.png"),
        (MASK * 255, "a_mask.bmp"),
        (np.repeat(MASK[..., None] * 255, 3, axis=2), "a.png"),
        (Image.fromarray(MASK * 255).convert("1"), "a.png"),
        (Image.fromarray(MASK * 255).convert("LA"), "a.png"),
        (MASK * 255, "a.gif"),
    ],
)
def test_masks_of_every_kind(folders, pixels, file):
    save(folders / "photos/a.jpg", PHOTO)
    save(folders / "masks" / file, pixels)
    assert np.array_equal(only(folders)[1], MASK)


def test_indexed_masks_count_by_index(folders):
    save(folders / "photos/a.jpg", PHOTO)
    save(folders / "masks/a.png", palette_mask())
    assert np.array_equal(only(folders)[1], MASK)


def test_classes_need_the_knob_foreground(folders):
    save(folders / "photos/a.jpg", PHOTO)
    classes = (np.arange(192) % 4).astype(np.uint8).reshape(12, 16)
    save(folders / "masks/a.png", classes)
    with pytest.raises(
        DataError,
        match=r"a\.png: a mask holds 0 and 1, or 0 and 255, but this one has 4 values, got \[0, 1, 2, 3\]\. "
        "Set `foreground",
    ):
        only(folders)
    assert np.array_equal(only(folders, foreground=[1, 3])[1], np.isin(classes, [1, 3]))


def test_one_class_under_another_number_is_not_taken_for_foreground(folders):
    save(folders / "photos/a.jpg", PHOTO)
    save(folders / "masks/a.png", MASK * 2)
    with pytest.raises(DataError, match=r"got \[0, 2\]"):
        only(folders)


def test_jpeg_masks_need_a_threshold(folders):
    save(folders / "photos/a.jpg", PHOTO)
    blocks = np.kron(MASK[:3, :4], np.ones((4, 4), np.uint8))
    save(folders / "masks/a.jpg", blocks * 255, quality=60)
    with pytest.raises(DataError, match="`threshold: 128` for masks saved as JPEG"):
        only(folders)
    assert np.array_equal(only(folders, threshold=128)[1], blocks)


def test_coloured_masks_are_refused(folders):
    save(folders / "photos/a.jpg", PHOTO)
    save(folders / "masks/a.png", PHOTO)
    with pytest.raises(
        DataError, match=r"a\.png: a mask must be grey or indexed, but this one has \d+ colours"
    ):
        only(folders)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_turned_upright(folders, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(folders / "photos/a.png", PHOTO, exif=exif)
    upright = UPRIGHT[orientation](PHOTO)
    save(folders / "masks/a.png", np.zeros(upright.shape[:2], np.uint8))
    assert np.array_equal(only(folders)[0], upright)
    assert read_size(folders / "photos/a.png") == upright.shape[:2]


def test_a_mask_that_lacks_the_orientation_is_told(folders):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folders / "photos/a.jpg", PHOTO, exif=exif)
    save(folders / "masks/a.png", MASK)
    with pytest.raises(DataError) as caught:
        only(folders)
    assert str(caught.value).endswith(
        "masks/a.png: image and mask differ in size: upright, the image is 12x16, got '16x12'. "
        "One of the two may lack its EXIF orientation."
    )


@pytest.mark.parametrize("kind", ["grey png", "colour png", "tif", "npy"])
def test_deep_images_need_a_window(folders, kind):
    import cv2

    deep = (np.arange(192, dtype=np.uint16) * 20 + 100).reshape(12, 16)
    colour = np.stack([deep, deep // 2, deep * 0 + 100], axis=2)
    if kind == "npy":
        np.save(folders / "photos/a.npy", deep)
    else:
        pixels = colour if kind == "colour png" else deep
        cv2.imwrite(str(folders / f"photos/a.{kind[-3:]}"), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    save(folders / "masks/a.png", MASK)
    low, high = (50, 3920) if kind == "colour png" else (100, 3920)
    with pytest.raises(
        DataError,
        match=rf"an image of uint16 needs the knob `window`; its values go from {low} to {high}\. "
        rf"For example `window: \[{low}, {high}\]`",
    ):
        only(folders)
    image, _ = only(folders, window=[100, 1120])
    assert image.shape == (12, 16, 3)
    assert np.array_equal(
        image[..., 0], np.clip(np.rint((deep.astype(float) - 100) / 4), 0, 255).astype(np.uint8)
    )


def test_one_channel_is_luminance(folders):
    save(folders / "photos/a.png", PHOTO)
    save(folders / "masks/a.png", MASK)
    image, _ = only(folders, channels=1)
    assert image.shape == (12, 16, 1)
    expected = PHOTO[3, 5] @ [0.299, 0.587, 0.114]
    assert abs(float(image[3, 5, 0]) - expected) <= 0.5


def test_subfolders_suffixes_and_one_folder(folders):
    for patient in ("p1", "p 2"):
        save(folders / f"photos/{patient}/scan.png", PHOTO)
        save(folders / f"photos/{patient}/scan_seg.png", MASK)
    source = build(folders, masks="photos", mask_suffix="_seg", group=r"^([^/]+)/")
    assert [(s.name, s.group) for s in source.samples()] == [("p 2/scan", "p 2"), ("p1/scan", "p1")]
    assert np.array_equal(source.decode(source.samples()[0])[1], MASK)
    with pytest.raises(DataError, match="images and masks in one folder need one"):
        build(folders, masks="photos", mask_suffix="").samples()


def test_both_sides_may_carry_a_suffix(folders):
    save(folders / "photos/21_training.tif", PHOTO)
    save(folders / "masks/21_manual1.gif", MASK * 255)
    source = build(folders, image_suffix="_training", mask_suffix="_manual1")
    assert [s.name for s in source.samples()] == ["21"]


def test_masks_below_images_are_no_images(folders):
    save(folders / "photos/a.png", PHOTO)
    save(folders / "photos/masks/a.png", MASK)
    assert [s.name for s in build(folders, masks="photos/masks").samples()] == ["a"]


def test_images_without_a_mask_are_all_named(folders):
    for name in "abc":
        save(folders / f"photos/{name}.png", PHOTO)
    save(folders / "masks/b.png", MASK)
    with pytest.raises(DataError) as caught:
        build(folders).samples()
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].endswith(
        f"a.png: the image has no mask: no a.* or a_mask.* in {folders / 'masks'}."
    )


def test_two_files_of_one_name_are_told(folders):
    for suffix in ("png", "jpg"):
        save(folders / f"photos/a.{suffix}", PHOTO)
    save(folders / "masks/a.png", MASK)
    with pytest.raises(DataError, match=r"a\.png: another file has the name 'a': a\.jpg"):
        build(folders).samples()


@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_corrupt_images_are_named(folders, content):
    save(folders / "photos/a.png", PHOTO)
    save(folders / "masks/a.png", MASK)
    file = folders / "photos/a.png"
    file.write_bytes(file.read_bytes()[:200] if content == "half" else content)
    with pytest.raises(DataError, match=r"photos/a\.png: the image cannot be decoded \("):
        only(folders)


def test_missing_folders_and_empty_ones_are_told(folders):
    with pytest.raises(DataError, match=r"dataset\.folder\.images: there is no such folder, got .*nowhere"):
        build(folders, images="nowhere").samples()
    with pytest.raises(DataError, match=r"dataset\.folder\.images: no image matches \*\*/\* in, got"):
        build(folders).samples()


def test_groups_come_from_a_table(folders):
    for name in "abc":
        save(folders / f"photos/{name}.png", PHOTO)
        save(folders / f"masks/{name}.png", MASK)
    (folders / "patients.csv").write_text("image,patient\na.png,7\nb,7\nphotos/c,8\n")
    with pytest.raises(DataError, match=r"patients\.csv: no patient is given for the image, got 'c'"):
        build(folders, group="patients.csv:patient").samples()
    (folders / "patients.csv").write_text("image,patient\na.png,7\nb,7\nc.png,8\n")
    assert [s.group for s in build(folders, group="patients.csv:patient").samples()] == ["7", "7", "8"]
    with pytest.raises(
        DataError, match=r"there is no column of this name, got 'patiend'\. Did you mean 'patient'\?"
    ):
        build(folders, group="patients.csv:patiend").samples()


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("(", "dataset.folder.group: the pattern is wrong"),
        ("a", "dataset.folder.group: the pattern needs exactly one group in parentheses, got 'a'."),
        (r"(\d+)_", "dataset.folder.group: the pattern '(\\\\d+)_' finds no group in, got 'a'."),
    ],
)
def test_patterns_of_groups_are_checked(folders, group, text):
    save(folders / "photos/a.png", PHOTO)
    save(folders / "masks/a.png", MASK)
    with pytest.raises(DataError) as caught:
        build(folders, group=group).samples()
    assert str(caught.value).startswith(text)


def test_contradicting_knobs_are_refused(folders):
    with pytest.raises(ExperimentError, match="give `foreground` or `threshold`, not both"):
        build(folders, foreground=[1], threshold=3)
    with pytest.raises(ExperimentError, match=r"a window is \[smallest, largest\], got \[5, 5\]"):
        build(folders, window=[5, 5])


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"ignore": [255]}, [0, 1, 255, 255]),
        ({"ignore": [255], "foreground": [0]}, [1, 0, 255, 255]),
        ({"ignore": [0, 255], "threshold": 1}, [255, 1, 255, 255]),
    ],
)
def test_ignored_mask_values(folders, knobs, expected):
    save(folders / "photos/a.png", np.zeros((1, 4, 3), np.uint8))
    save(folders / "masks/a.png", np.array([[0, 1, 255, 255]], np.uint8))
    _, mask = only(folders, **knobs)
    assert mask.dtype == np.uint8
    assert mask[0].tolist() == expected


def test_a_value_is_not_both_foreground_and_ignored(folders):
    with pytest.raises(ExperimentError) as caught:
        build(folders, foreground=[1, 2], ignore=[2, 255])
    assert str(caught.value) == (
        "dataset.folder.ignore: a mask value cannot be both foreground and ignored, got [2]."
    )
