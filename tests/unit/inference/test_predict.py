"""A saved trial on image files: native size, the same network, pictures that can be read back."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.project import Project
from segbench.config.trial import TrialConfig
from segbench.data import prepare
from segbench.engine import Run
from segbench.errors import DataError, ResultsError
from segbench.inference.pictures import OVERLAY_RGB, find_images, overlay, write_pictures
from segbench.inference.predictor import Prediction, Predictor
from segbench.store.layout import TrialFolder
from segbench.store.trials import read_trial
from segbench.store.weights import restore_run


def test_at_the_training_size_it_predicts_what_the_run_did(saved) -> None:
    record = read_trial(saved)
    config = TrialConfig.from_json(record.config)
    data = prepare(config, Project.around(saved.path))
    run = Run(config, data, seed=0, threads=1)
    assert restore_run(saved, run)
    expected = run.evaluate("test", with_masks=True)
    predictor = Predictor(saved)
    found = np.stack([predictor.predict(np.asarray(data.images[n])).mask for n in expected.sample_numbers])
    assert np.array_equal(found, expected.masks)
    assert predictor.epoch == record.selected_epoch


@pytest.mark.parametrize("shape", [(32, 32), (100, 61), (17, 250)])
def test_the_result_has_the_size_of_the_image(saved, shape) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    prediction = Predictor(saved).predict(image)
    assert prediction.probs.shape == shape
    assert prediction.probs.dtype == np.float32
    assert prediction.probs.min() >= 0
    assert prediction.probs.max() <= 1
    assert np.array_equal(prediction.mask, prediction.probs > 0.5)


def test_a_mirrored_resize_lands_where_the_object_is(saved) -> None:
    """Probabilities go back to the pixels they came from: a step survives the round trip."""
    predictor = Predictor(saved)
    predictor._model = lambda images: (images[:, :1] - images[:, :1].mean()) * 100
    image = np.zeros((90, 120, 3), np.uint8)
    image[30:60, 40:80] = 255
    mask = predictor.predict(image).mask
    assert mask[34:56, 46:74].all()
    assert not mask[:26].any()
    assert not mask[:, 86:].any()


def test_the_data_set_is_not_needed(saved, tmp_path) -> None:
    alone = tmp_path / "elsewhere" / saved.hash
    shutil.copytree(saved.path, alone)
    assert Predictor(TrialFolder(alone)).predict(np.zeros((40, 40, 3), np.uint8)).mask.shape == (40, 40)


def test_missing_weights_name_the_cure(saved, tmp_path) -> None:
    shutil.copytree(saved.path, tmp_path / saved.hash)
    folder = TrialFolder(tmp_path / saved.hash)
    folder.best.unlink()
    with pytest.raises(ResultsError) as caught:
        Predictor(folder)
    assert str(caught.value) == (
        f"{folder.best}: there are no saved weights (they are not committed with the results). "
        "Copy best.pt from where it was trained, or remove the trial's folder and run `segbench sweep` again."
    )


def test_pictures_hold_the_mask_and_its_edge(tmp_path) -> None:
    image = np.full((6, 8, 3), 100, np.uint8)
    probs = np.zeros((6, 8), np.float32)
    probs[1:6, 2:7] = 0.8
    paths = write_pictures(Prediction(image, probs), "cat", tmp_path / "new", with_probs=True)
    assert [p.name for p in paths] == ["cat_mask.png", "cat_overlay.png", "cat_probability.png"]
    mask, shown, grey = (np.asarray(Image.open(p)) for p in paths)
    assert np.array_equal(mask, np.where(probs > 0.5, 255, 0))
    assert grey[3, 4] == 204
    assert tuple(shown[0, 0]) == (100, 100, 100)
    assert tuple(shown[1, 4]) == OVERLAY_RGB
    assert tuple(shown[5, 4]) == tuple(shown[3, 4])  # the picture's border is no edge
    assert tuple(shown[3, 4]) == tuple(np.rint(0.55 * 100 + 0.45 * np.array(OVERLAY_RGB)).astype(int))
    assert np.array_equal(image, np.full((6, 8, 3), 100))
    assert overlay(image[..., :1], probs > 0.5).shape == (6, 8, 3)


def test_all_wrong_paths_are_named_at_once(tmp_path) -> None:
    for name in ("a/x.png", "b/x.jpg", "empty/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        find_images([tmp_path / "a", tmp_path / "b", tmp_path / "empty", tmp_path / "nowhere.png"])
    empty, missing, double = sorted(caught.value.problems, key=lambda p: ("x_mask" in p, "no such" in p))
    assert "the folder holds no image. Known: .png" in empty
    assert missing == f"{tmp_path / 'nowhere.png'}: there is no such file."
    assert "two images would write x_mask.png" in double
    assert find_images([tmp_path / "a", tmp_path / "a/x.png"]) == [tmp_path / "a/x.png"]


def test_the_command(saved, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(Project.around(saved.path).root)
    for name, size in (("one.png", (50, 40)), ("two.jpg", (32, 32))):
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "three.png").write_bytes(b"no image")
    out = tmp_path / "masks"
    command = ["predict", f"tiny/{saved.hash[:5]}", str(tmp_path), "--out", str(out), "--device", "cpu"]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith(f"{tmp_path / 'three.png'}: the image cannot be decoded")
    assert f"2 of 3 images predicted into {out}" in done.output
    assert sorted(p.name for p in out.iterdir()) == [
        "one_mask.png",
        "one_overlay.png",
        "two_mask.png",
        "two_overlay.png",
    ]
    with Image.open(out / "one_mask.png") as mask:
        assert mask.size == (40, 50)
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
