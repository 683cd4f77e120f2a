"""`--size`: the same network on images of any size, whatever shares its batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from blobs import tiny_config
from PIL import Image
from typer.testing import CliRunner

from segbench import api
from segbench.cli.app import app
from segbench.config.project import Project
from segbench.config.trial import Choice
from segbench.errors import ExperimentError, ResultsError, TrialError
from segbench.inference.predictor import Predictor
from segbench.inference.size import Size
from segbench.inference.stream import stream
from segbench.store.layout import TrialFolder

SIZES = list(Size)
SHAPES = [(32, 32), (100, 61), (17, 90), (1, 40), (33, 31), (64, 64), (70, 70)]


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


def smooth(images: torch.Tensor) -> torch.Tensor:
    """A network that sees one pixel to each side, beyond the edge zeros."""
    kernel = torch.full((1, 3, 3, 3), 1 / 27)
    return torch.nn.functional.conv2d(images, kernel, padding=1) * 4


@pytest.mark.parametrize("size", SIZES)
def test_the_batch_size_changes_nothing_but_rounding(saved, images, size) -> None:
    found = []
    for batch_size in (1, 3, 16):
        predictor = Predictor(saved, size=size, batch_size=batch_size, threads=1)
        read = dict(enumerate(images)).__getitem__
        done = list(stream(predictor, range(len(images)), read, lambda _, prediction: prediction.probs))
        assert [key for key, _ in done] == list(range(len(images)))
        found.append([probs for _, probs in done])
    alone = Predictor(saved, size=size, threads=1)
    for image, *others in zip(images, *found, strict=True):
        probs = alone.predict(image).probs
        assert probs.shape == image.shape[:2]
        for other in others:
            np.testing.assert_allclose(other, probs, atol=2e-6)


def test_tiles_say_what_the_whole_image_does_where_the_receptive_field_is_small(saved) -> None:
    image = np.random.default_rng(1).integers(0, 255, (97, 130, 3), dtype=np.uint8)
    probs = {}
    for size in (Size.whole, Size.tile):
        predictor = Predictor(saved, size=size)
        predictor._model = smooth
        probs[size] = predictor.predict(image).probs
    # The image fills its outermost tiles, so zeros are met at its own edge alone, and inside by tiles' first
    # and last pixels, whose share of the weight is sin^2(pi / 32) at most.
    inside = np.abs(probs[Size.tile] - probs[Size.whole])[1:-1, 1:-1]
    assert inside.max() < 2 * np.sin(np.pi / 32) ** 2
    assert np.median(inside) < 1e-6
    assert 0.5 < np.mean(inside < 1e-6) < 1


def test_one_tile_is_the_whole_image(saved, images) -> None:
    whole, tile = (Predictor(saved, size=size, threads=1) for size in ("whole", "tile"))
    for image in (i for i in images if max(i.shape[:2]) <= 32):
        assert np.array_equal(tile.predict(image).probs, whole.predict(image).probs)


@pytest.mark.parametrize("size", SIZES)
def test_a_constant_image_of_a_pixelwise_network_stays_constant(saved, size) -> None:
    predictor = Predictor(saved, size=size)
    predictor._model = lambda images: images[:, :1] * 3 - 1
    for shape in SHAPES:
        probs = predictor.predict(np.full((*shape, 3), 90, np.uint8)).probs
        assert np.ptp(probs) < 1e-6, shape


@pytest.mark.parametrize("size", SIZES)
def test_threads_change_nothing_but_rounding(saved, images, size) -> None:
    before = torch.get_num_threads()
    one, two = (Predictor(saved, size=size, threads=n).predict(images[1]).probs for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=2e-6)
    assert torch.get_num_threads() == before


def test_a_network_of_one_size_is_refused_others(saved, images) -> None:
    def fixed(given: torch.Tensor) -> torch.Tensor:
        return given.flatten(1) @ torch.ones(3 * 32 * 32, 1) + given[:, :1]

    predictor = Predictor(saved, size="whole")
    predictor._model = fixed
    with pytest.raises(ResultsError) as caught:
        predictor.predict(images[1])
    text = str(caught.value)
    assert text.startswith(
        "image of 100x64: the network unet takes no images of this size (it was trained on"
    )
    assert "mat1 and mat2 shapes cannot be multiplied" in text
    assert text.endswith("`--size tile` and `--size fit` give it the size it was trained on.")
    assert predictor.predict(images[2][:, :32]).mask.shape == (17, 32)  # mirrored to the training size

    predictor._model = lambda given: given[:, :1, :32, :32]
    with pytest.raises(ResultsError, match=r"takes no images of this size .*: its logits are 32x32"):
        predictor.predict(images[1])
    for size in ("squeeze", "fit", "tile"):
        predictor = Predictor(saved, size=size)
        predictor._model = lambda given: given[:, :1, :32, :32]
        assert predictor.predict(images[1]).mask.shape == (100, 61)


def test_memory_that_runs_out_names_the_cure(saved, images) -> None:
    def full(given: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    for size, see in (("whole", "`--size tile`"), ("squeeze", "a smaller `--batch-size`")):
        predictor = Predictor(saved, size=size)
        predictor._model = full
        with pytest.raises(TrialError, match=f"memory ran out. Take {see}"):
            predictor.predict(images[1])


def test_an_error_of_the_network_itself_is_not_hidden(saved, images) -> None:
    def broken(given: torch.Tensor) -> torch.Tensor:
        raise KeyError("mine")

    predictor = Predictor(saved)
    predictor._model = broken
    with pytest.raises(KeyError, match="mine"):
        predictor.predict(images[1])


@pytest.mark.parametrize("overlap", [-0.1, 0.9])
def test_overlaps_are_shares(saved, overlap) -> None:
    with pytest.raises(
        ExperimentError, match=r"overlap: tiles overlap by a share of their side from 0 to 0.75, got"
    ):
        Predictor(saved, overlap=overlap)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("size", SIZES)
def test_a_gpu_predicts_what_the_cpu_does(saved, images, size) -> None:
    found = []
    for device in ("cpu", "cuda"):
        predictor = Predictor(saved, size=size, device=device, batch_size=2)
        read = dict(enumerate(images)).__getitem__
        found.append([p for _, p in stream(predictor, range(len(images)), read, lambda _, p: p.probs)])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.fixture(scope="module")
def deep(tmp_path_factory, save_trial) -> TrialFolder:
    """A trial of one channel and a window, in a project with 16-bit grey images in two folders."""
    root = tmp_path_factory.mktemp("deep")
    rng = np.random.default_rng(0)
    for folder in ("experiments", "scans", "labels"):
        (root / folder).mkdir()
    for number in range(12):
        height, width = [(40, 60), (33, 33), (70, 50)][number % 3]
        pixels = rng.integers(500, 1500, (height, width))
        label = np.zeros((height, width), np.uint8)
        label[10:25, 8:28] = 3
        pixels[label == 3] += 2000
        Image.fromarray(pixels.astype(np.uint16)).save(root / "scans" / f"s{number}.png")
        Image.fromarray(label).save(root / "labels" / f"s{number}_seg.png")
    knobs = {
        "images": "scans",
        "masks": "labels",
        "mask_suffix": "_seg",
        "foreground": [3],
        "window": [0.0, 4000.0],
        "channels": 1,
        "size_px": 32,
    }
    config = tiny_config(
        dataset=Choice.of("dataset", "folder", **knobs),
        split=Choice.of("split", "fraction"),
        precision="bf16",
        epochs=2,
    )
    return save_trial(root, config, experiment="deep")


@pytest.mark.parametrize("size", SIZES)
def test_deep_grey_images_turned_by_their_camera(deep, size, tmp_path) -> None:
    predictor = Predictor(deep, size=size)
    image = predictor.read(Project.around(deep.path).root / "scans" / "s0.png")
    assert image.shape == (40, 60, 1)
    assert image.max() == round(3499 * 255 / 4000)
    assert predictor.predict(image).probs.shape == (40, 60)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(image[..., 0]).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    assert predictor.predict_file(tmp_path / "turned.jpg").mask.shape == (60, 40)


@pytest.mark.parametrize("size", SIZES)
def test_the_command(saved, tmp_path, monkeypatch, size) -> None:
    monkeypatch.chdir(Project.around(saved.path).root)
    rng = np.random.default_rng(3)
    for name, shape in (("one.png", (50, 40)), ("two.jpg", (32, 32)), ("three.png", (9, 80))):
        Image.fromarray(rng.integers(0, 255, (*shape, 3), dtype=np.uint8)).save(tmp_path / name)
    out = tmp_path / "masks"
    words = ["--size", size.value, "--overlap", "0.5", "--batch-size", "2", "--threads", "1"]
    command = ["predict", saved.hash, str(tmp_path), "--out", str(out), "--device", "cpu", "--probability"]
    done = CliRunner().invoke(app, [*command, *words])
    assert done.exit_code == 0, done.output
    assert f"3 of 3 images predicted into {out}" in done.output
    predictor = Predictor(saved, size=size, overlap=0.5, threads=1)
    for file in tmp_path.glob("*.*"):
        expected = predictor.predict_file(file).probs
        mask, grey = (np.asarray(Image.open(out / f"{file.stem}_{n}.png")) for n in ("mask", "probability"))
        assert np.array_equal(grey, np.rint(expected * 255))
        assert (mask == np.where(expected > 0.5, 255, 0)).mean() > 0.99


def test_an_unknown_size_names_the_known_ones(saved, tmp_path) -> None:
    done = CliRunner().invoke(app, ["predict", "x", "y", "--out", "z", "--size", "crop"])
    assert done.exit_code == 2
    for name in SIZES:
        assert name.value in done.output


def test_a_predictor_from_python(saved, images, monkeypatch) -> None:
    monkeypatch.chdir(Project.around(saved.path).root)
    found = api.load_predictor(saved.hash[:6], size="tile", overlap=0.5, device="cpu", threads=1)
    expected = Predictor(saved, size=Size.tile, overlap=0.5, threads=1)
    assert np.array_equal(found.predict(images[1]).probs, expected.predict(images[1]).probs)
    with pytest.raises(
        ExperimentError, match=r"size: there is no such size, got 'tiles'. Did you mean 'tile'"
    ):
        api.load_predictor(saved.hash, size="tiles")
