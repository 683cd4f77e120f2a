from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.errors import SegbenchError


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, ["data", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.mark.shared
def test_fetch_show_list_and_sample(root, shared_data):
    printed = run("fetch", "oxford_pet", "--from", str(shared_data / "oxford-iiit-pet-small.tar"))
    assert printed.startswith(f"Fetched: {root / 'data/oxford_pet/oxford-iiit-pet'}\n")
    assert "240 images with trimaps (a part of the set): trainval 160, test 80, 37 breeds" in printed
    assert run("fetch", "oxford_pet").startswith("There already: ")
    shown = run("show", "oxford_pet")
    assert "images       240, 3 channels, cached at 256 px\n" in shown
    assert "split        train 144, val 16, test 80 (course)\n" in shown
    assert "oxford_pet is in" in run("list")


def test_sample_draws_pairs_with_the_outline(root):
    (root / "experiments/tiny.yaml").write_text(
        "question: none\nbaseline: {dataset: {shapes: {size_px: 32, num_train: 5, num_val: 2, num_test: 2}}, "
        "model: {unet: {width: 2, depth: 1}}, epochs: 1, batch_size: 2}\nseeds: 1\n"
    )
    assert run("sample", "tiny", "--out", "sheet.png") == "Wrote sheet.png: 5 of 5 train images\n"
    sheet = np.asarray(Image.open(root / "sheet.png"))
    assert sheet.shape == (36, 5 * 68, 3)
    assert (sheet == [255, 40, 40]).all(axis=2).sum() > 100
    assert "cache shapes-" in run("list")
    with pytest.raises(
        SegbenchError, match=r"--part: there is no such part, got 'vall'\. Did you mean 'val'"
    ):
        run("sample", "tiny", "--out", "sheet.png", "--part", "vall")


def test_mistakes_are_told(root):
    with pytest.raises(
        SegbenchError, match=r"data fetch: no such data set can be fetched, got 'oxford_pets'\. Did you mean"
    ):
        run("fetch", "oxford_pets")
    with pytest.raises(
        SegbenchError, match=r"data: folder has knobs to fill in \(images, masks\)\. Name an experiment"
    ):
        run("show", "folder")
