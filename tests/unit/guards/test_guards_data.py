"""Guards that look at pixels: copies across parts, absent classes, constants that know the test images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.trial import Choice
from segbench.data import decode
from segbench.data.prepared import foreground_shares, image_digests
from segbench.guards.data import (
    DataSubject,
    constants_know_training_images_alone,
    constants_tell_whose_they_are,
    evaluation_shows_both_classes,
    parts_share_no_image,
    pixels_are_decoded,
    training_shows_both_classes,
)
from segbench.plan.plan import plan_trials
from segbench.samples import IGNORED

SIZE = 8


def write(folder: Path, images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> None:
    for what, arrays in (("images", images), ("masks", masks)):
        (folder / what).mkdir(parents=True, exist_ok=True)
        for number, array in enumerate(arrays):
            Image.fromarray(array.astype(np.uint8)).save(folder / what / f"{number:02}.png")


def noise(count: int, *, seed: int = 0, low: int = 0, high: int = 256) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(low, high, (SIZE, SIZE, 3)) for _ in range(count)]


def halves(count: int) -> list[np.ndarray]:
    mask = np.zeros((SIZE, SIZE))
    mask[: SIZE // 2] = 255
    return [mask] * count


@pytest.fixture
def look(tmp_path: Path, load: Callable[..., Experiment]) -> Callable[..., DataSubject]:
    """Write images and masks, decode them and return what guards look at; parts are 6, 2 and 2 images."""

    def look(
        images: Sequence[np.ndarray], masks: Sequence[np.ndarray], is_decoded: bool = True, **changes: str
    ) -> DataSubject:
        write(tmp_path / "pictures", images, masks)
        experiment = load(
            "",
            dataset="{folder: {images: pictures/images, masks: pictures/masks, size_px: 8}}\n"
            "  split: {fraction: {val: .2, test: .2}}\n"
            f"  input: {changes.pop('input', 'unit')}",
            **changes,
        )
        if is_decoded:
            decode(experiment.baseline, experiment.project)
        return DataSubject.of(experiment, plan_trials(experiment).experiment.cells)

    return look


def parts(subject: DataSubject) -> Mapping[str, list[int]]:
    return {part: numbers.tolist() for part, numbers in subject.folds[0].items()}


def test_an_image_of_two_parts_is_named(look: Callable[..., DataSubject]) -> None:
    images = noise(10)
    split = parts(look(images, halves(10)))
    train, test = split["train"][0], split["test"][0]
    images[test] = images[train]
    subject = look(images, halves(10))
    (found,) = parts_share_no_image(subject)
    assert found.text == (
        f"exp: dataset.folder: 1 image of test is in train too, pixel for pixel ({train:02} = {test:02}). "
        "Leave one of each out, or give copies one group, which no split divides."
    )


def test_copies_within_a_part_and_different_images_are_fine(look: Callable[..., DataSubject]) -> None:
    images = noise(10)
    assert parts_share_no_image(look(images, halves(10))) == []
    one, other, *_ = parts(look(images, halves(10)))["train"]
    images[other] = images[one]
    subject = look(images, halves(10))
    assert len(set(image_digests(decode(subject.config, subject.experiment.project)))) == 9
    assert parts_share_no_image(subject) == []


def test_many_copies_are_counted(look: Callable[..., DataSubject]) -> None:
    images = [noise(1)[0]] * 10
    found = parts_share_no_image(look(images, halves(10)))
    assert [f.text.partition(", pixel")[0] for f in found] == [
        "exp: dataset.folder: 2 images of val are in train too",
        "exp: dataset.folder: 2 images of test are in train too",
        "exp: dataset.folder: 2 images of test are in val too",
    ]
    assert "and 9 more)" in found[0].text


def test_guards_wait_for_pixels(look: Callable[..., DataSubject]) -> None:
    subject = look([noise(1)[0]] * 10, [np.zeros((SIZE, SIZE))] * 10, is_decoded=False)
    assert [f.code for f in pixels_are_decoded(subject)] == ["SB100"]
    assert parts_share_no_image(subject) == []
    assert training_shows_both_classes(subject) == []
    assert pixels_are_decoded(look(noise(10), halves(10))) == []


def test_a_class_absent_from_a_part(look: Callable[..., DataSubject]) -> None:
    masks = halves(10)
    for number in parts(look(noise(10), masks))["val"]:
        masks[number] = np.zeros((SIZE, SIZE))
    subject = look(noise(10), masks)
    assert [f.text for f in evaluation_shows_both_classes(subject)] == [
        "exp: dataset.folder: no mask of val has any foreground: its metrics do not test telling the two "
        "apart. Divide the images otherwise (`split:`), or take more of them."
    ]
    assert training_shows_both_classes(subject) == []


def test_a_class_absent_from_training(look: Callable[..., DataSubject]) -> None:
    masks = halves(10)
    for number in parts(look(noise(10), masks))["train"]:
        masks[number] = np.full((SIZE, SIZE), 255)
    subject = look(noise(10), masks)
    assert [f.text for f in training_shows_both_classes(subject)] == [
        "exp: dataset.folder: no training mask has any background: there is nothing to learn. Divide the "
        "images otherwise (`split:`)."
    ]
    assert evaluation_shows_both_classes(subject) == []


def test_foreground_throughout(look: Callable[..., DataSubject]) -> None:
    subject = look(noise(10), [np.full((SIZE, SIZE), 255)] * 10)
    assert [f.text for f in training_shows_both_classes(subject)] == [
        "exp: dataset.folder: no mask of the whole data set has any background. Give the values that mean "
        "foreground by the data set's knob, as `segbench init` would."
    ]
    assert evaluation_shows_both_classes(subject) == []


def test_both_classes_everywhere(look: Callable[..., DataSubject]) -> None:
    subject = look(noise(10), halves(10))
    assert subject.pixels is not None
    assert foreground_shares(subject.pixels).tolist() == [0.5] * 10
    assert training_shows_both_classes(subject) == evaluation_shows_both_classes(subject) == []


OWN_INPUT = '''
from segbench.axes.input import Scaling, variant


@variant
def measured(train_stats, max_value):
    """Scale with numbers from elsewhere."""
    return Scaling(mean={mean}, std=(64.0, 64.0, 64.0))
'''


@pytest.fixture
def scaled(tmp_path: Path, look: Callable[..., DataSubject]) -> Callable[..., DataSubject]:
    """Scale by own constants; training images are dark and all others bright."""

    def scaled(mean: str) -> DataSubject:
        split = parts(look(noise(10), halves(10)))
        images = noise(10, high=100)
        for number in (*split["val"], *split["test"]):
            images[number] = noise(1, seed=number, low=150)[0]
        file = tmp_path / "axes" / "input" / "measured.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(OWN_INPUT.format(mean=mean))
        registry.use_project(tmp_path)
        return look(images, halves(10), input="measured")

    return scaled


def means_of(subject: DataSubject, numbers: Sequence[int]) -> tuple[float, ...]:
    assert subject.pixels is not None
    return tuple(subject.pixels.images[list(numbers)].mean(axis=(0, 1, 2)).tolist())


@pytest.fixture(autouse=True)
def _no_project() -> object:
    yield
    registry.use_project(None)


def test_constants_of_all_images_are_found_out(scaled: Callable[..., DataSubject]) -> None:
    means = means_of(scaled("(1.0, 2.0, 3.0)"), range(10))
    (found,) = constants_know_training_images_alone(scaled(repr(means)))
    assert found.text == (
        "exp: input.measured: the means are those of all images, not those of the training images, "
        f"got {[round(m / 255, 6) for m in means]!r}. "
        "`input: dataset` measures the training images of each split."
    )
    rounded = tuple(round(m / 255, 3) for m in means)
    (found,) = constants_know_training_images_alone(scaled(repr(tuple(m * 255 for m in rounded))))
    assert f"got {list(rounded)!r}" in found.text


def test_constants_of_the_test_images_are_found_out(scaled: Callable[..., DataSubject]) -> None:
    subject = scaled("(1.0, 2.0, 3.0)")
    means = means_of(subject, parts(subject)["test"])
    (found,) = constants_know_training_images_alone(scaled(repr(means)))
    assert "the means are those of the test images" in found.text


@pytest.mark.parametrize("mean", ["(1.0, 2.0, 3.0)", "(127.5, 127.5, 127.5)", "(0.0,)", "train_stats()[0]"])
def test_constants_of_no_image_and_of_training_images_are_fine(
    scaled: Callable[..., DataSubject], mean: str
) -> None:
    subject = scaled(mean)
    assert constants_know_training_images_alone(subject) == []
    assert constants_tell_whose_they_are(subject) == []


def test_constants_of_few_digits_may_be_either(look: Callable[..., DataSubject], tmp_path: Path) -> None:
    file = tmp_path / "axes" / "input" / "measured.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(OWN_INPUT.format(mean="(0.25 * 255, 0.25 * 255, 0.25 * 255)"))
    registry.use_project(tmp_path)
    subject = look([np.full((SIZE, SIZE, 3), 64)] * 10, halves(10), input="measured")
    assert constants_know_training_images_alone(subject) == []
    (found,) = constants_tell_whose_they_are(subject)
    assert found.text == (
        "exp: input.measured: to their digits the means may be those of all images or of the training "
        "images, got [0.25, 0.25, 0.25]. `input: dataset` leaves no doubt."
    )


def test_stated_constants_are_compared_too(scaled: Callable[..., DataSubject]) -> None:
    subject = scaled("(1.0, 2.0, 3.0)")
    assert subject.pixels is not None
    for numbers, is_found in ((range(10), True), (parts(subject)["train"], False)):
        means = [round(mean / 255, 4) for mean in means_of(subject, numbers)]
        stated = Choice.of("input", "constants", mean=means, std=[0.2, 0.2, 0.2])
        cell = replace(subject.cells[0], config=replace(subject.config, input=stated))
        found = constants_know_training_images_alone(replace(subject, cells=(cell,)))
        texts = [
            text for f in found if "input.constants: the means are those of all images" in (text := f.text)
        ]
        assert len(texts) == len(found) == is_found


def test_pixels_that_do_not_count_are_no_class(look: Callable[..., DataSubject]) -> None:
    subject = look(noise(10), halves(10))
    assert subject.pixels is not None
    masks = np.full((10, SIZE, SIZE), IGNORED, dtype=np.uint8)
    masks[:5, :2] = 1
    masks[:4, 2:4] = 0
    file = subject.pixels.folder / "foreground.json"
    file.unlink(missing_ok=True)
    shares = foreground_shares(replace(subject.pixels, masks=masks))
    assert shares[:5].tolist() == [0.5] * 4 + [1.0]
    assert np.isnan(shares[5:]).all()
