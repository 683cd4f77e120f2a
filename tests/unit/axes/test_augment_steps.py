from __future__ import annotations

import inspect
import json
from collections import Counter

import numpy as np
import pytest

from segbench import registry
from segbench.axes.augment import resolve_steps
from segbench.axes.augment._albumentations import _parameters, build_steps, known_transforms
from segbench.errors import ExperimentError

NEEDS = {
    "CropAndPad": {"percent": 0.1},
    "LongestMaxSize": {"max_size": 64},
    "SmallestMaxSize": {"max_size": 64},
    "CenterCrop": {"height": 64, "width": 64},
    "RandomCrop": {"height": 64, "width": 64},
    "CropNonEmptyMaskIfExists": {"height": 64, "width": 64},
    "RandomResizedCrop": {"size": [64, 64]},
    "RandomSizedCrop": {"min_max_height": [32, 64], "size": [64, 64]},
    "Resize": {"height": 64, "width": 64},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 3},
    "Crop": {"x_max": 64, "y_max": 64},
    "PadIfNeeded": {"min_height": 64, "min_width": 64},
    **{name: {"transforms": ["HorizontalFlip"]} for name in ("OneOf", "SomeOf", "RandomOrder", "Sequential")},
}
CHANGES_SIZE = {"RandomCropFromBorders", "RandomScale"}


def pair(size=64):
    draw = np.random.default_rng(0)
    mask = np.zeros((size, size), np.uint8)
    mask[10:40, 20:50] = 1
    return draw.integers(0, 256, (size, size, 3), dtype=np.uint8), mask


@pytest.mark.parametrize("name", known_transforms())
def test_every_known_transform_resolves_to_a_fixed_point_and_runs(name):
    resolved = resolve_steps([{name: NEEDS.get(name, {})}], "augment")
    assert json.loads(json.dumps(resolved, allow_nan=False)) == resolved
    assert resolve_steps(resolved, "augment") == resolved
    ((written, arguments),) = resolved[0].items()
    assert written == name
    assert set(arguments) == set(_parameters(name))
    image, mask = pair()
    found = build_steps([{name: {**arguments, "p": 1.0}}])(image=image, mask=mask)
    assert found["image"].dtype == np.uint8
    assert set(np.unique(found["mask"])) <= {0, 1}
    if name not in CHANGES_SIZE:
        assert found["image"].shape == image.shape
        assert found["mask"].shape == mask.shape


def test_the_table_of_needs_is_about_arguments_without_default():
    required = {
        name
        for name in known_transforms()
        if any(p.default is inspect.Parameter.empty for p in _parameters(name).values())
    }
    assert required <= set(NEEDS)


def test_every_argument_is_written_out_as_albumentations_understands_it():
    (step,) = resolve_steps([{"Rotate": {"limit": 30}}], "augment")
    assert step["Rotate"]["limit"] == [-30.0, 30.0]
    assert step["Rotate"]["p"] == 0.5
    assert step["Rotate"]["mask_interpolation"] == 0
    assert resolve_steps([{"Rotate": {"limit": [-30, 30]}}], "augment") == [step]
    assert resolve_steps(["HorizontalFlip"], "augment") == [{"HorizontalFlip": {"p": 0.5}}]
    assert resolve_steps([{"HorizontalFlip": None}], "augment") == [{"HorizontalFlip": {"p": 0.5}}]


def test_compositions_nest():
    steps = [
        {
            "OneOf": {
                "transforms": [{"Sequential": {"transforms": ["VerticalFlip"], "p": 1}}, "NoOp"],
                "p": 0.3,
            }
        }
    ]
    (found,) = resolve_steps(steps, "augment")
    assert found["OneOf"]["p"] == 0.3
    assert found["OneOf"]["transforms"][0]["Sequential"]["transforms"] == [{"VerticalFlip": {"p": 0.5}}]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (
            ["HorizontalFlop"],
            "a.yaml:3[0]: there is no transform of this name, got 'HorizontalFlop'. "
            "Did you mean 'HorizontalFlip'?",
        ),
        (
            [{"Rotate": {"limits": 3}}],
            "a.yaml:3[0].Rotate: there is no argument of this name, got 'limits'. Did you mean 'limit'?",
        ),
        (
            [{"Rotate": {"limit": "x"}}],
            "a.yaml:3[0].Rotate.limit: the argument takes tuple[float, float] | float, got 'x'.",
        ),
        ([{"Rotate": {"p": "0.5"}}], "a.yaml:3[0].Rotate.p: the argument takes float, got '0.5'."),
        (
            [{"HorizontalFlip": {"p": True}}],
            "a.yaml:3[0].HorizontalFlip.p: the argument takes float, got True.",
        ),
        ([{"Rotate": {"p": 2}}], "a.yaml:3[0].Rotate.p: it should be less than or equal to 1, got 2."),
        (
            [{"Rotate": {"limit": [1, 2, 3]}}],
            "a.yaml:3[0].Rotate.limit: Tuple should have at most 2 items after validation, not 3",
        ),
        (
            [{"RandomCrop": {"height": 3}}],
            "a.yaml:3[0].RandomCrop.width: the argument has no default and must be given.",
        ),
        (
            [{"GaussNoise": {"std_range": [0.1, 5]}}],
            "a.yaml:3[0].GaussNoise.std_range: All values in (0.1, 5.0) must be >= 0 and <= 1, got [0.1, 5].",
        ),
        (
            [{"Rotate": {"mask_interpolation": 1}}],
            "a.yaml:3[0].Rotate.mask_interpolation: masks are interpolated by nearest neighbour (0), got 1.",
        ),
        ([{"Rotate": {"fill_mask": 255}}], "a.yaml:3[0].Rotate.fill_mask: masks hold 0 and 1, got 255."),
        (
            ["Normalize"],
            "a.yaml:3[0]: scaling is not an augmentation, got 'Normalize'. Use the field `input`.",
        ),
        (
            ["MaskDropout"],
            "a.yaml:3[0]: the transform needs more than an image and its mask, got 'MaskDropout'.",
        ),
        (
            [{"OneOf": {"p": 0.2}}],
            "a.yaml:3[0].OneOf.transforms: the argument has no default and must be given.",
        ),
        (
            [{"OneOf": {"transforms": []}}],
            "a.yaml:3[0].OneOf.transforms: the list of transforms is empty. `augment: none` changes nothing.",
        ),
        (
            [{"OneOf": {"transforms": ["NoOp"], "p": 3}}],
            "a.yaml:3[0].OneOf.p: a probability lies in 0..1, got 3.",
        ),
        (
            [{"SomeOf": {"transforms": ["NoOp"], "n": 3}}],
            "a.yaml:3[0].SomeOf.n: a number from 1 to 1 is drawn, got 3.",
        ),
        (
            [{"OneOf": {"transforms": [{"NoOp": {"p": 0}}]}}],
            "a.yaml:3[0].OneOf.transforms: all transforms have p: 0, so there is none to draw.",
        ),
        ([3], "a.yaml:3[0]: a step is `Class` or `{Class: {argument: value}}`, got 3."),
        ([{"Rotate": 30}], "a.yaml:3[0].Rotate: arguments are given by name: `{argument: value}`, got 30."),
        ("HorizontalFlip", "a.yaml:3: transforms are given as a list, got 'HorizontalFlip'."),
    ],
)
def test_mistakes_are_named(steps, text):
    with pytest.raises(ExperimentError) as caught:
        resolve_steps(steps, "a.yaml:3")
    assert str(caught.value).startswith(text)
    assert len(caught.value.problems) == 1


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ExperimentError) as caught:
        resolve_steps(
            ["HorizontalFlop", {"Rotate": {"limits": 3}}, "VerticalFlip", {"OneOf": {"transforms": ["X"]}}],
            "a",
        )
    assert len(caught.value.problems) == 3


def corner(augment, seed):
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 255
    new_image, new_mask = augment(image, image[..., 0] // 255, seed)
    assert np.array_equal(new_image[..., 0] // 255, new_mask)
    return tuple(np.argwhere(new_mask)[0].tolist())


@pytest.mark.parametrize("name", ["flips", "transforms"])
def test_two_flips_are_drawn_independently(name):
    knobs = {"steps": ["HorizontalFlip", "VerticalFlip"]} if name == "transforms" else {}
    augment = registry.build("augment", name, **knobs)
    counts = Counter(corner(augment, seed) for seed in range(800))
    assert len(counts) == 4
    assert all(150 < count < 250 for count in counts.values())


def test_flip_probabilities_are_kept():
    always = registry.build("augment", "flips", horizontal=1.0, vertical=0.0)
    assert {corner(always, seed) for seed in range(20)} == {(0, 1)}


def test_steps_that_change_the_size_are_refused_when_they_do():
    augment = registry.build("augment", "transforms", steps=[{"Resize": {"height": 32, "width": 32}}])
    with pytest.raises(
        ExperimentError, match=r"the steps must keep size and type, \(64, 64, 3\) uint8, got '\(32, 32, 3\)"
    ):
        augment(*pair(), 0)


def test_steps_that_do_not_fit_the_size_are_refused():
    augment = registry.build("augment", "transforms", steps=[{"RandomCrop": {"height": 128, "width": 128}}])
    with pytest.raises(
        ExperimentError, match=r"augment: the steps cannot be applied to an image of \(64, 64, 3\)"
    ):
        augment(*pair(), 0)
