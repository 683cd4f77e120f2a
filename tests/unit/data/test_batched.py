"""Augmentation of whole batches against albumentations: draw by draw, and in distribution."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from segbench import registry
from segbench.axes.augment import resolve_steps
from segbench.axes.augment._albumentations import build_steps
from segbench.data.batched import BatchAugmentation
from segbench.data.batched.steps import KINDS, read_steps
from segbench.errors import ExperimentError

SIZE = (48, 64)
DRAWS = 10_000
CPU = torch.device("cpu")


def scene(channels: int = 3, size_px: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth image with colours and greys, and a mask of a disc with ignored pixels."""
    y, x = np.mgrid[: size_px[0], : size_px[1]].astype(float)
    waves = [127 + 120 * np.sin(x / (5 + k) + k) * np.cos(y / (7 + k)) for k in range(channels)]
    image = np.stack(waves, -1).round().astype(np.uint8)
    image[:8, :8] = 90
    mask = ((x - 30) ** 2 + (y - 22) ** 2 < 14**2).astype(np.uint8)
    mask[40:, 50:] = 255
    return image, mask


def batched(
    steps: list[Any], image: np.ndarray, mask: np.ndarray, num_images: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, Any, BatchAugmentation]:
    """Change copies of one image; returns (N,H,W,C) and (N,H,W), what was drawn, and the augmentation."""
    augmentation = BatchAugmentation(resolve_steps(steps, "augment"))
    drawn = augmentation.draw(seed, 1, np.arange(num_images), size_px=image.shape[:2], device=CPU)
    planes = torch.from_numpy(image).permute(2, 0, 1).float().expand(num_images, -1, -1, -1)
    masks = torch.from_numpy(mask).expand(num_images, 1, -1, -1)
    images, masks = augmentation(planes, masks, drawn, 0, torch.Generator().manual_seed(seed))
    return images.permute(0, 2, 3, 1).numpy(), masks[:, 0].numpy(), drawn, augmentation


def forward(inverse: np.ndarray) -> np.ndarray:
    whole = np.vstack([inverse.astype(np.float64), [0, 0, 1]])
    return np.linalg.inv(whole)


def colour_jitter(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{k: float(v) for k, v in values.items() if k != "order"},
        "order": [int(v) for v in values["order"]],
    }


def crop_coords(box: np.ndarray) -> tuple[int, ...]:
    left, top, width, height = (round(float(v)) for v in box)
    return left, top, left + width, top + height


SAME: dict[str, tuple[dict[str, Any], Callable[[Mapping[str, Any]], dict[str, Any]], float]] = {
    # name: options, drawn parameters as albumentations' `apply` takes them, largest mean difference in levels
    "Rotate": (
        {"limit": 30},
        lambda v: {"matrix": forward(v["map"]), **dict.fromkeys(("x_min", "x_max", "y_min", "y_max"), -1)},
        1.5,
    ),
    "Affine": (
        {"translate_percent": [-0.1, 0.1], "scale": [0.8, 1.2], "rotate": [-30, 30], "shear": [-9, 9]},
        lambda v: {"matrix": forward(v["map"]), "output_shape": SIZE},
        1.5,
    ),
    "RandomResizedCrop": (
        {"size": "size_px", "scale": [0.3, 1.0]},
        lambda v: {"crop_coords": crop_coords(v["box"])},
        1.0,
    ),
    "RandomBrightnessContrast": (
        {},
        lambda v: {"alpha": float(v["factor"]), "beta": 255 * float(v["added"])},
        1.0,
    ),
    "HueSaturationValue": (
        {},
        lambda v: {
            "hue_shift": float(v["hue"]),
            "sat_shift": float(v["saturation"]),
            "val_shift": float(v["value"]),
        },
        3.0,
    ),
    "RandomGamma": ({}, lambda v: {"gamma": float(v["gamma"])}, 1.0),
    "ColorJitter": ({"hue": [-0.1, 0.1]}, colour_jitter, 4.0),
    "GaussianBlur": (
        {},
        lambda v: {"kernel": gaussian(float(v["sigma"]))},
        1.0,
    ),
}


def gaussian(sigma: float) -> np.ndarray:
    from albumentations.augmentations.blur.functional import create_gaussian_kernel_1d

    return create_gaussian_kernel_1d(sigma, 0)


@pytest.mark.parametrize("name", SAME)
def test_the_same_draws_give_albumentations_pixels(name: str) -> None:
    options, as_given, tolerance = SAME[name]
    image, mask = scene()
    images, masks, drawn, _ = batched([{name: {**options, "p": 1.0}}], image, mask, 24)
    (transform,) = build_steps(resolve_steps([{name: {**options, "p": 1.0}}], "augment"), SIZE).transforms
    (leaf,) = drawn.leaves
    for row in range(24):
        given = as_given({key: value[row].numpy() for key, value in leaf.values.items()})
        expected = transform.apply(image, **given, shape=SIZE)
        difference = np.abs(images[row] - expected.astype(float))
        assert difference.mean() <= tolerance, (name, row, difference.mean())
        if KINDS[name].is_geometric:
            wanted = transform.apply_to_mask(mask, **given, shape=SIZE)
            # albumentations shrinks masks from the corner of pixels, images from their middles
            assert (masks[row] != wanted).mean() < (0.06 if name == "RandomResizedCrop" else 0.01)
        else:
            assert (masks[row] == mask).all()


def recorded(steps: list[Any], name: str, keys: tuple[str, ...], count: int) -> dict[str, np.ndarray]:
    """Return what albumentations draws, time after time."""
    compose = build_steps(resolve_steps(steps, "augment"), SIZE)
    compose.set_random_state(np.random.Generator(np.random.PCG64(5)), random.Random(5))
    (transform,) = compose.transforms
    assert type(transform).__name__ == name
    image, mask = scene()
    data = {"image": image, "mask": mask}
    found = []
    for _ in range(count):
        given = {
            **transform.get_params(),
            **transform.get_params_dependent_on_data({"shape": image.shape}, data),
        }
        found.append([np.asarray(given[key], dtype=float) for key in keys])
    return {key: np.stack([each[k] for each in found]) for k, key in enumerate(keys)}


DRAWN: dict[
    str, tuple[dict[str, Any], tuple[str, ...], Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]]
] = {
    # name: options, albumentations' parameters, ours in the same units (columns)
    "Rotate": ({"limit": 30}, ("matrix",), lambda v: [np.stack([forward(m) for m in v["map"]])]),
    "Affine": (
        {
            "translate_percent": [-0.1, 0.1],
            "scale": [0.8, 1.2],
            "rotate": [-30, 30],
            "shear": {"x": [-9, 9], "y": [0, 5]},
        },
        ("matrix",),
        lambda v: [np.stack([forward(m) for m in v["map"]])],
    ),
    "RandomResizedCrop": (
        {"size": "size_px", "scale": [0.2, 1.0]},
        ("crop_coords",),
        lambda v: [np.stack([crop_coords(box) for box in v["box"]]).astype(float)],
    ),
    "RandomBrightnessContrast": ({}, ("alpha", "beta"), lambda v: [v["factor"], 255 * v["added"]]),
    "HueSaturationValue": (
        {"sat_shift_limit": [-10, 30]},
        ("hue_shift", "sat_shift", "val_shift"),
        lambda v: [v["hue"], v["saturation"], v["value"]],
    ),
    "RandomGamma": ({"gamma_limit": [80, 120]}, ("gamma",), lambda v: [v["gamma"]]),
    "ColorJitter": (
        {"hue": [-0.1, 0.1]},
        ("brightness", "contrast", "saturation", "hue", "order"),
        lambda v: [v["brightness"], v["contrast"], v["saturation"], v["hue"], v["order"]],
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_parameters_are_distributed_as_albumentations_draws_them(name: str) -> None:
    options, keys, ours = DRAWN[name]
    steps = [{name: {**options, "p": 1.0}}]
    (leaf,) = read_steps(resolve_steps(steps, "augment")).leaves
    draws = np.random.default_rng(3).random((DRAWS, leaf.first + leaf.kind.num_draws))
    drawn = ours(leaf.parameters(draws, SIZE))
    theirs = recorded(steps, name, keys, DRAWS)
    for key, values in zip(keys, drawn, strict=True):
        a, b = (each.reshape(DRAWS, -1) for each in (values, theirs[key]))
        assert a.shape == b.shape
        for column in range(a.shape[1]):
            if np.ptp(b[:, column]) < 1e-6:
                assert a[:, column] == pytest.approx(b[0, column], abs=1e-4)
            else:
                found = stats.ks_2samp(a[:, column], b[:, column], method="asymp")
                assert found.pvalue > 1e-4, (name, key, column, found)
        for first, second in [(0, 1), (1, 2), (2, 3)]:  # drawn together
            if second < a.shape[1] and min(np.ptp(b[:, k]) for k in (first, second)) > 1e-6:
                gap = np.corrcoef(a[:, [first, second]].T) - np.corrcoef(b[:, [first, second]].T)
                assert np.abs(gap).max() < 0.05


RECIPES = ("r0", "r1", "r2", "r3", "elastic", "photometric", "flips", "d4")


def steps_of(recipe: str) -> list[Any]:
    found = registry.find("augment", recipe)
    choice = found.preset_of or recipe
    if recipe in ("flips", "d4"):
        return registry.build("augment", recipe, **{k.name: k.default for k in found.knobs.values()}).steps
    module = __import__(f"segbench.axes.augment.{recipe}", fromlist=["PRESET"])
    assert choice == "transforms"
    return resolve_steps(module.PRESET["transforms"]["steps"], "augment")


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_have_albumentations_moments(recipe: str) -> None:
    """Mean, spread and mask of 2,000 changed copies of one image, and of each image as a whole."""
    size_px, count = (32, 32), 2_000
    image, mask = scene(size_px=size_px)
    mask[mask == 255] = 0
    steps = steps_of(recipe)
    augmentation = BatchAugmentation(steps)
    drawn = augmentation.draw(1, 1, np.arange(count), size_px=size_px, device=CPU)
    planes = torch.from_numpy(image).permute(2, 0, 1).float().expand(count, -1, -1, -1)
    ours, our_masks = augmentation(
        planes, torch.from_numpy(mask).expand(count, 1, -1, -1), drawn, 0, torch.Generator().manual_seed(1)
    )
    variant = registry.build("augment", "transforms", steps=steps)
    pairs = [variant(image, mask, seed) for seed in range(count)]
    theirs = torch.from_numpy(np.stack([each for each, _ in pairs])).permute(0, 3, 1, 2).float()
    their_masks = torch.from_numpy(np.stack([each for _, each in pairs]))[:, None]
    assert ours.min() >= 0
    assert (ours == ours.round()).all()
    assert ours.max() <= 255
    compared = [(ours, theirs)]
    if "RandomResizedCrop" not in str(steps):  # albumentations enlarges masks from the corner of pixels
        compared.append((our_masks.float() * 255, their_masks.float() * 255))
    for a, b in compared:
        of_pixels = (a.mean(0) - b.mean(0)) / ((a.var(0) + b.var(0) + 1.0) / count).sqrt()
        assert abs(float((a.mean(0) - b.mean(0)).mean())) < 1
        assert float(of_pixels.abs().max()) < 5.5
        assert float(a.std(0).mean()) == pytest.approx(float(b.std(0).mean()), rel=0.05, abs=0.5)
        means = [each.flatten(1).mean(1).numpy().round(1) for each in (a, b)]
        if np.ptp(means[1]) > 5:
            blurred = [each + np.random.default_rng(9).normal(0, 1, count) for each in means]  # no ties
            assert stats.ks_2samp(*blurred, method="asymp").pvalue > 1e-4


def test_geometry_is_shared_by_image_and_mask() -> None:
    image, mask = scene()
    mask[mask == 255] = 0
    image = np.repeat(mask[:, :, None] * 255, 3, 2)
    geometric = [
        "HorizontalFlip",
        {"RandomResizedCrop": {"size": "size_px", "scale": [0.4, 1]}},
        {"Rotate": {"limit": 80, "p": 0.7}},
        {"ElasticTransform": {"alpha": 60, "sigma": 5, "p": 0.5}},
        "VerticalFlip",
    ]
    images, masks, *_ = batched(geometric, image, mask, 64)
    clear = (images[..., 0] < 40) | (images[..., 0] > 215)
    assert clear.mean() > 0.85
    agree = (images[..., 0] > 127) == (masks == 1)
    assert agree[clear].mean() > 0.999


@pytest.mark.parametrize("steps", [["HorizontalFlip", "VerticalFlip"], [{"Rotate": {"limit": 30, "p": 0.5}}]])
def test_images_that_nothing_changes_stay_bit_for_bit(steps: list[Any]) -> None:
    image, mask = scene()
    images, masks, drawn, _ = batched(steps, image, mask, 64)
    on = torch.stack([leaf.on for leaf in drawn.leaves]).any(0).numpy()
    assert 0 < on.sum() < 64
    assert (images[~on] == image).all()
    assert (masks[~on] == mask).all()
    if len(steps) == 2:
        flipped = {(image[:, ::-1].tobytes()), image[::-1].tobytes(), image[::-1, ::-1].tobytes()}
        assert {each.astype(np.uint8).tobytes() for each in images[on]} == flipped


def test_mirrors_and_turns_move_whole_pixels() -> None:
    image, mask = scene(size_px=(32, 32))
    images, masks, *_ = batched(["D4"], image, mask, 64)
    expected = {np.rot90(each, k).tobytes() for each in (image, image[:, ::-1]) for k in range(4)}
    assert {each.astype(np.uint8).tobytes() for each in images} == expected
    of_masks = {np.rot90(each, k).tobytes() for each in (mask, mask[:, ::-1]) for k in range(4)}
    assert {each.tobytes() for each in masks} == of_masks


def test_draws_belong_to_seed_epoch_and_sample() -> None:
    augmentation = BatchAugmentation(steps_of("r0"))

    def values(seed: int, epoch: int, numbers: list[int]) -> list[torch.Tensor]:
        drawn = augmentation.draw(seed, epoch, np.array(numbers), size_px=SIZE, device=CPU)
        return [
            torch.cat([leaf.on.float()[:, None], *(v.reshape(len(v), -1) for v in leaf.values.values())], 1)
            for leaf in drawn.leaves
        ]

    for whole, part in zip(values(0, 1, [0, 1, 2, 3]), values(0, 1, [3, 1]), strict=True):
        assert torch.equal(whole[[3, 1]], part)
    for other in (values(1, 1, [0, 1, 2, 3]), values(0, 2, [0, 1, 2, 3])):
        assert any(not torch.equal(a, b) for a, b in zip(values(0, 1, [0, 1, 2, 3]), other, strict=True))


def test_batches_of_an_epoch_are_its_parts() -> None:
    image, mask = scene()
    whole, whole_masks, drawn, augmentation = batched(steps_of("r0"), image, mask, 12)
    planes = torch.from_numpy(image).permute(2, 0, 1).float().expand(5, -1, -1, -1)
    part, part_masks = augmentation(planes, torch.from_numpy(mask).expand(5, 1, -1, -1), drawn, 4)
    assert np.allclose(part.permute(0, 2, 3, 1).numpy(), whole[4:9], atol=1e-3)
    assert (part_masks[:, 0].numpy() == whole_masks[4:9]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_one_channel(channels: int) -> None:
    image, mask = scene(channels)
    images, *_ = batched(
        [{name: {"p": 1.0}} for name in SAME if not KINDS[name].is_geometric], image, mask, 8
    )
    assert images.shape == (8, *SIZE, channels)
    assert np.isfinite(images).all()


def test_what_is_for_the_cpu_alone_is_refused() -> None:
    steps = [
        {"Rotate": {"border_mode": 4}},
        {"OneOf": {"transforms": ["CLAHE", {"HorizontalFlip": {}}]}},
        {"SomeOf": {"transforms": ["HorizontalFlip"], "n": 1}},
    ]
    with pytest.raises(ExperimentError) as caught:
        BatchAugmentation(resolve_steps(steps, "augment"))
    assert len(caught.value.problems) == 3
    assert "augment.Rotate.border_mode: whole batches cannot be given this, got 4" in str(caught.value)
    assert "augment_backend: whole batches cannot be given this transform, got 'CLAHE'" in str(caught.value)
    assert "`augment_backend: cpu` takes every transform" in str(caught.value)


def test_groups_are_drawn_as_they_say() -> None:
    steps = [
        {
            "OneOf": {
                "transforms": [
                    {"HorizontalFlip": {"p": 0.2}},
                    {"Sequential": {"transforms": [{"VerticalFlip": {"p": 0.5}}], "p": 0.6}},
                ],
                "p": 0.5,
            }
        },
    ]
    leaves = read_steps(resolve_steps(steps, "augment"))
    draws = np.random.default_rng(0).random((200_000, leaves.num_draws))
    horizontal, vertical = (leaf.is_on(draws) for leaf in leaves.leaves)
    assert horizontal.mean() == pytest.approx(0.5 * 0.25, abs=0.005)
    assert vertical.mean() == pytest.approx(0.5 * 0.75 * 0.5, abs=0.005)
    assert not (horizontal & vertical).any()
