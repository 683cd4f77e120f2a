from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segbench.config.trial import Choice
from segbench.data import fingerprint, num_folds, prepare
from segbench.data.prepared import channel_statistics, check_split
from segbench.data.resize import resize_pair
from segbench.errors import DataError, ExperimentError
from segbench.samples import Sample


def test_prepare_gives_samples_split_and_pixels(config, project):
    data = prepare(config(), project)
    assert {part: numbers.tolist() for part, numbers in data.split.items()} == {
        "train": list(range(13)),
        "val": [13, 14, 15],
        "test": [16, 17, 18, 19],
    }
    assert data.samples[13].name == "val_0000"
    assert (data.size_px, data.channels) == (32, 3)
    assert data.fingerprint == fingerprint(config(), project)


def test_fingerprint_of_the_default_scenes_is_fixed(config, project):
    # a change here orphans every record of the quickstart: raise GENERATOR_VERSION on purpose only
    changed = config(dataset=Choice.of("dataset", "shapes"))
    assert fingerprint(changed, project)[:12] == "a8dc725801e4"


def test_dataset_scaling_reads_training_images_alone(config, project):
    data = prepare(config(input=Choice.of("input", "dataset")), project)
    train = np.asarray(data.images[:13], dtype=np.float64)
    assert data.scaling.mean == pytest.approx(train.mean(axis=(0, 1, 2)))
    assert data.scaling.std == pytest.approx(train.std(axis=(0, 1, 2)))
    whole = np.asarray(data.images, dtype=np.float64).mean(axis=(0, 1, 2))
    assert data.scaling.mean != pytest.approx(whole)
    again = prepare(config(input=Choice.of("input", "dataset")), project)
    assert again.scaling == data.scaling


def test_statistics_are_those_of_numpy():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    means, stds = channel_statistics(images, np.array([1, 3]))
    assert means == pytest.approx(images[[1, 3]].mean(axis=(0, 1, 2)))
    assert stds == pytest.approx(images[[1, 3]].std(axis=(0, 1, 2)))


def test_folds_are_prepared_one_by_one(config, project):
    changed = config(split=Choice.of("split", "folds", folds=4, val=0.2))
    assert num_folds(changed, project) == 4
    tests = [prepare(changed, project, fold=fold).split["test"] for fold in range(4)]
    assert sorted(np.concatenate(tests).tolist()) == list(range(20))
    assert prepare(changed, project, fold=1).fingerprint == fingerprint(changed, project)
    with pytest.raises(ExperimentError, match=r"fold: the split has 4 folds, counted from 0, got 4\."):
        prepare(changed, project, fold=4)


def test_max_images_are_evenly_spread(config, project):
    data = prepare(replace(config(), max_images=4), project)
    assert {part: numbers.tolist() for part, numbers in data.split.items()} == {
        "train": [0, 3, 6, 9],
        "val": [13, 14, 15],
        "test": [16, 17, 18, 19],
    }
    assert fingerprint(replace(config(), max_images=4), project) != fingerprint(config(), project)


def test_scaling_for_other_channels_is_refused(config, project, tmp_path):
    from PIL import Image

    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / folder / f"{number}.png")
    grey = Choice.of("dataset", "folder", images="photos", masks="masks", size_px=16, channels=1)
    changed = config(dataset=grey, split=Choice.of("split", "fraction"), input=Choice.of("input", "imagenet"))
    with pytest.raises(
        DataError, match=r"input: imagenet scales 3 channels, but the images have 1\. Use `input: data"
    ):
        prepare(changed, project)
    stated = Choice.of("input", "constants", mean=[0.4, 0.5], std=[0.2, 0.3])
    with pytest.raises(DataError, match=r"input: constants scales 2 channels, but the images have 1\."):
        prepare(replace(changed, input=stated), project)
    assert prepare(replace(changed, input=Choice.of("input", "dataset")), project).images.shape == (
        5,
        16,
        16,
        1,
    )


def test_a_split_is_checked_whoever_made_it():
    samples = [Sample("a", group="p"), Sample("b", group="p"), Sample("c"), Sample("d")]
    assert check_split({"train": [0, 1], "val": [2], "test": [3]}, samples, "split") == []
    assert check_split({"train": [0], "val": [1], "test": [3]}, samples, "split") == [
        "split: a group straddles train and val (SB121), got 'p'. "
        "`fraction` and `folds` keep groups together."
    ]
    assert check_split({"train": [0, 1, 2], "val": [2], "test": [3]}, samples, "split") == [
        "split: an image is in both train and val (SB121), got 'c'."
    ]
    (empty,) = check_split({"train": [0, 1], "val": [], "test": [3]}, samples, "split")
    assert empty.startswith("split: no image is left for val, got {'train': 2, 'val': 0, 'test': 1}.")


def test_masks_are_resized_to_their_nearest_value():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 1
    image = np.repeat(mask[..., None] * 255, 3, axis=2)
    small, small_mask = resize_pair(image, mask, 20)
    assert small.shape == (20, 20, 3)
    assert set(np.unique(small_mask)) == {0, 1}
    assert small_mask.mean() == pytest.approx(mask.mean(), abs=0.05)
    large, large_mask = resize_pair(image, mask, 100)
    assert large.shape == (100, 100, 3)
    assert set(np.unique(large_mask)) == {0, 1}
    # a mask that is the image's red channel stays near it: neither is shifted against the other
    assert np.abs(large[..., 0] / 255 - large_mask).mean() < 0.02


def test_grey_images_keep_their_channel():
    image, mask = resize_pair(np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8), np.uint8), 4)
    assert image.shape == (4, 4, 1)
    assert mask.shape == (4, 4)
