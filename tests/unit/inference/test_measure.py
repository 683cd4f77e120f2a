"""A saved trial measured at the images' own sizes: `evaluate --native`, `evaluate --images`."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blobs import tiny_config
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.project import Project
from segbench.config.trial import Choice
from segbench.errors import DataError, ExperimentError, ResultsError
from segbench.inference.measure import measure_folders, measure_own, score_image
from segbench.inference.predictor import Prediction, Predictor
from segbench.quantities import METRICS
from segbench.store.layout import TrialFolder
from segbench.store.trials import read_trial, write_trial

PER_IMAGE = [name for name, spec in METRICS.items() if spec.is_per_image]


@pytest.fixture(scope="module")
def scans(tmp_path_factory, save_trial) -> TrialFolder:
    """A trial of the data set `folder`, in a project with JPEGs of several sizes and masks of 0, 7 and 9."""
    root = tmp_path_factory.mktemp("scans")
    (root / "experiments").mkdir()
    draw(root / "images", root / "masks")
    knobs = {"images": "images", "masks": "masks", "mask_suffix": "_gt", "foreground": [7], "ignore": [9]}
    config = tiny_config(
        dataset=Choice.of("dataset", "folder", size_px=32, **knobs),
        split=Choice.of("split", "fraction"),
        epochs=2,
    )
    return save_trial(root, config, experiment="scans")


def draw(images: Path, masks: Path, *, num_images: int = 12) -> None:
    rng = np.random.default_rng(0)
    images.mkdir()
    masks.mkdir()
    for number in range(num_images):
        height, width = [(40, 60), (32, 32), (70, 50)][number % 3]
        pixels = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[8:26, 6:24], mask[26:28, 6:24] = 7, 9
        pixels[mask == 7] += 120
        Image.fromarray(pixels).save(images / f"s{number:02d}.png")
        Image.fromarray(mask).save(masks / f"s{number:02d}_gt.png")


def command(folder: TrialFolder, *words: object):
    here = Path.cwd()
    os.chdir(Project.around(folder.path).root)
    try:
        return CliRunner().invoke(app, ["evaluate", folder.hash, "--device", "cpu", *map(str, words)])
    finally:
        os.chdir(here)


@pytest.mark.parametrize("size", ["squeeze", "fit", "whole", "tile"])
def test_images_of_the_training_size_give_the_record(saved, size) -> None:
    """There is nothing to resize or to divide, so that every way is the trial's own test."""
    found = measure_own(Predictor(saved, size=size, threads=1), Project.around(saved.path))
    recorded = read_trial(saved).test
    assert len(found.images) == 4
    means = found.means()
    assert list(means) == list(METRICS)
    for name, value in means.items():
        assert value == pytest.approx(recorded[name], rel=1e-6), name


def test_every_metric_is_that_of_the_native_mask() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:15], mask[0] = 1, 255
    probs = np.full(mask.shape, 0.2, np.float32)
    probs[5:15, 7:17], probs[0] = 0.9, 0.9
    found = score_image("cat", Prediction(np.zeros((20, 30, 3), np.uint8), probs), mask, tolerance_px=2.0)
    assert (found.image, found.height_px, found.width_px) == ("cat", 20, 30)
    assert [int(n[0]) for n in (found.counts.tp, found.counts.fp, found.counts.fn, found.counts.tn)] == [
        *(80, 20, 20),
        *(570 - 120,),
    ]
    assert list(found.metrics) == PER_IMAGE
    assert found.metrics["dice"] == 0.8
    soft = 2 * (80 * 0.9 + 20 * 0.2) / (100 * 0.9 + 470 * 0.2 + 100)
    assert found.metrics["soft_dice"] == pytest.approx(soft, rel=1e-6)
    assert found.metrics["hd95_px"] == 2.0
    assert found.metrics["surface_dice"] == 1.0


@pytest.mark.parametrize("size", ["squeeze", "fit", "whole", "tile"])
def test_the_trials_own_files_are_measured_as_they_are(scans, size) -> None:
    predictor = Predictor(scans, size=size, threads=1)
    root = Project.around(scans.path).root
    found = measure_own(predictor, Project(root), split="train")
    assert {(i.height_px, i.width_px) for i in found.images} == {(40, 60), (32, 32), (70, 50)}
    for each in found.images:
        labels = np.asarray(Image.open(root / "masks" / f"{each.image}_gt.png"))
        mask = predictor.predict_file(root / "images" / f"{each.image}.png").mask & (labels != 9)
        truth = labels == 7
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert each.metrics["dice"] == pytest.approx(dice, abs=0.01)  # rounding may move a pixel or two


def test_folders_keep_the_trials_conventions_unless_told_otherwise(scans, saved, tmp_path) -> None:
    root = Project.around(scans.path).root
    own, project = Predictor(scans, threads=1), Project(root)
    found = measure_folders(own, root / "images", root / "masks")
    assert [i.image for i in found.images] == [f"s{n:02d}" for n in range(12)]
    test = {i.image: i.metrics for i in measure_own(own, project).images}
    for each in found.images:
        if each.image in test:
            assert each.metrics == pytest.approx(test[each.image], abs=0.02)

    other = Predictor(saved, threads=1)  # of generated scenes: it knows no conventions
    with pytest.raises(DataError, match=r"the image has no mask: no s00\.\* or s00_mask\.\*"):
        measure_folders(other, root / "images", root / "masks")
    with pytest.raises(DataError, match="a mask holds 0 and 1, or 0 and 255") as caught:
        measure_folders(other, root / "images", root / "masks", settings=["mask_suffix=_gt"])
    assert len(caught.value.problems) == 12  # every one is named
    settings = ["mask_suffix=_gt", "foreground=[7]", "ignore=[9]"]
    assert len(measure_folders(other, root / "images", root / "masks", settings=settings).images) == 12


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("mask_sufix=_gt", "Did you mean 'mask_suffix'"),
        ("foreground=seven", "foreground"),
        ("size_px=64", "it says no convention of masks, got 'size_px=64'"),
        ("threshold", "it says no convention of masks, got 'threshold'"),
    ],
)
def test_wrong_settings_are_named(saved, tmp_path, setting, expected) -> None:
    with pytest.raises(ExperimentError) as caught:
        measure_folders(Predictor(saved), tmp_path, tmp_path, settings=[setting])
    assert expected in str(caught.value)
    assert "--set" in str(caught.value)


def test_the_command_measures_folders(scans, tmp_path) -> None:
    out = tmp_path / "values.csv"
    words = ["--images", "images", "--masks", "masks", "--size", "tile", "--overlap", 0.5, "--out", out]
    done = command(scans, *words, "--batch-size", 2, "--threads", 1)
    assert done.exit_code == 0, done.output
    assert f"scans/{scans.hash}: selected weights" in done.output
    assert "12 images of images" in done.output
    assert "seen by --size tile, measured at their own sizes" in done.output
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["image", "height_px", "width_px", *PER_IMAGE]
    assert [(r["image"], r["height_px"], r["width_px"]) for r in rows[:2]] == [
        ("s00", "40", "60"),
        ("s01", "32", "32"),
    ]
    mean = np.mean([float(row["dice"]) for row in rows])
    assert f"  dice         {mean:12.6f}" in done.output
    done = command(scans, *words, "--threads", 1, "--json")
    content = json.loads(done.stdout)
    assert (content["images"], content["size"], content["trial"]) == (12, "tile", f"scans/{scans.hash}")
    assert content["measured"]["dice"] == pytest.approx(mean, abs=1e-3)
    assert list(content["measured"]) == list(METRICS)


def test_the_command_measures_the_trials_own_images(saved) -> None:
    done = command(saved, "--native", "--split", "val", "--size", "fit")
    assert done.exit_code == 0, done.output
    assert "3 val images" in done.output
    assert "hd95_px" in done.output


def test_other_data_are_noticed(saved, tmp_path) -> None:
    import shutil

    root = Project.around(saved.path).root
    shutil.copytree(root, tmp_path / "project")
    copied = TrialFolder(tmp_path / "project" / saved.path.relative_to(root))
    write_trial(copied, replace(read_trial(copied), data_fingerprint="f" * 64))
    with pytest.raises(
        ResultsError, match="the data set or its split has changed since the trial was trained"
    ):
        measure_own(Predictor(copied), Project(tmp_path / "project"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size", "tile"], "--size: this belongs to --native or --images. Without them the trial's cached"),
        (["--out", "x.csv"], "--out: this belongs to --native or --images."),
        (["--images", "images"], "--masks: images and masks are given together. They may be one folder."),
        (["--masks", "masks"], "--images: images and masks are given together."),
        (["--native", "--set", "mask_suffix=_gt"], "--set: this belongs to --images."),
        (["--images", "a", "--masks", "b", "--native"], "--native: this is about the trial's own images"),
        (
            ["--images", "a", "--masks", "b", "--split", "val"],
            "--split: this is about the trial's own images",
        ),
        (["--native", "--which", "last"], "--which: only the selected weights are measured at other sizes"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(scans, words, expected) -> None:
    done = command(scans, *words)
    assert isinstance(done.exception, ExperimentError)
    assert str(done.exception).startswith(expected)
