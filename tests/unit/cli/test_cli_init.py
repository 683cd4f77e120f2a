from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.load import load_experiment
from segbench.errors import SegbenchError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(root, number=20, *, mask_name="{}_seg.png", factor=255, deep=False):
    draw = np.random.default_rng(0)
    for folder in ("my photos", "masks"):
        (root / folder).mkdir(exist_ok=True)
    for n in range(number):
        mask = np.zeros((20, 30), np.uint8)
        mask[4:14, 5:20] = 1
        image = draw.integers(0, 3000, (20, 30), dtype=np.uint16) if deep else np.zeros((20, 30, 3), np.uint8)
        name = f"p{n // 4}_{n % 4}"
        Image.fromarray(image).save(root / f"my photos/{name}.{'png' if deep else 'jpg'}")
        Image.fromarray(mask * factor).save(root / "masks" / mask_name.format(name))


def run(*words):
    result = CliRunner().invoke(app, ["init", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


FOLDERS = ("--images", "my photos", "--masks", "masks")


def test_an_experiment_about_folders_is_written_and_loads(root):
    write(root)
    printed = run("mine", *FOLDERS, "--size-px", "32", "--group", r"^(p\d+)_")
    assert "images       20, each with a mask\n" in printed
    assert "sizes        30x20 (20)\n" in printed
    assert "groups       5\n" in printed
    assert "mask values  0, 255\n" in printed
    assert "foreground   25.0% of the pixels; 0 masks are empty\n" in printed
    assert "found        mask_suffix: _seg\n" in printed
    assert "split        train 12, val 4, test 4\n" in printed
    assert "Wrote experiments/mine.yaml" in printed
    experiment = load_experiment("mine")
    assert experiment.baseline.dataset.knobs["images"] == "my photos"
    assert experiment.baseline.dataset.knobs["group"] == r"^(p\d+)_"
    assert experiment.baseline.dataset.knobs["size_px"] == 32
    assert [axis.labels for axis in experiment.axes] == [("batch", "none"), ("on", "off")]
    assert experiment.seeds == (0, 1, 2)
    assert len(experiment.cells) == 4
    assert len(experiment.claims) == 2


def test_the_file_names_its_schema_and_explains_every_field(root):
    write(root)
    run("mine", *FOLDERS)
    text = (root / "experiments/mine.yaml").read_text()
    head, *lines = text.splitlines()
    assert head == "# yaml-language-server: $schema=.experiment.schema.json"
    assert (root / "experiments/.experiment.schema.json").is_file()
    inside = lines[lines.index("baseline:") + 1 : lines.index("axes:")]
    assert all(
        "  # " in line
        for line in inside
        if line.strip() and line != "    folder:" and not line.startswith("#")
    )
    assert max(map(len, text.splitlines())) <= 120


def test_without_folders_it_is_about_generated_scenes(root):
    assert "split        train 240, val 60, test 120" in run("scenes")
    assert load_experiment("scenes").baseline.dataset.name == "shapes"


def test_it_notes_groups_that_the_names_suggest(root):
    write(root)
    assert "note         names such as 'p0_0' look like several images of one patient" in run(
        "mine", *FOLDERS
    )


@pytest.mark.parametrize(
    ("writing", "found"),
    [
        ({"factor": 7}, "found        foreground: [7]"),
        ({"deep": True}, "found        window: ["),
        ({"mask_name": "{}.gif"}, "Wrote experiments/mine.yaml"),
    ],
)
def test_it_finds_the_knobs_that_files_need_and_the_data_prepares(root, writing, found):
    from segbench.data import prepare

    write(root, **writing)
    assert found in run("mine", *FOLDERS, "--size-px", "16")
    experiment = load_experiment("mine")
    data = prepare(experiment.baseline, experiment.project)
    assert data.images.shape == (20, 16, 16, 3)
    assert data.masks.mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("a/b",),
            "init: a name has letters, digits, _ and -, got 'a/b'. It names the file and its results.",
        ),
        (
            ("a", "--size-px", "100"),
            "--size-px: a U-Net of depth 4 takes multiples of 16, got 100. Nearest: 96, 112.",
        ),
        (
            ("a", "--images", "my photos"),
            "--masks: images and masks are given together. They may be one folder.",
        ),
        (("a", "--images", "none", "--masks", "masks"), "--images: there is no such folder, got 'none'."),
    ],
)
def test_mistakes_are_told_and_leave_nothing(root, words, text):
    write(root)
    with pytest.raises(SegbenchError) as caught:
        run(*words)
    assert str(caught.value) == text
    assert not list(root.glob("experiments/*.yaml"))


def test_an_experiment_is_never_overwritten(root):
    run("mine")
    (root / "experiments/mine.yaml").write_text("mine own")
    with pytest.raises(SegbenchError, match=r"mine\.yaml: there is an experiment of this name, got 'mine'"):
        run("mine")
    assert (root / "experiments/mine.yaml").read_text() == "mine own"
