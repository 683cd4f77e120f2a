"""Named recipes: what they stand for, and that they hold at any size."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from segbench import registry
from segbench.axes.augment import resolve_steps
from segbench.config.document import read_document
from segbench.config.resolve import resolve_choice
from segbench.data.batched.steps import affine
from segbench.errors import ExperimentError
from segbench.samples import IGNORED

RECIPES = [v.name for v in registry.variants("augment").values() if v.preset_of == "transforms"]
EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def pair(size: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 8 : size // 2, size // 4 :] = 1
    return draw.integers(0, 256, (size, size, 3), dtype=np.uint8), mask


def test_the_recipes() -> None:
    assert RECIPES == ["elastic", "photometric", "r0", "r1", "r2", "r3"]


def test_r0_is_the_list_that_norm_ablation_spells_out() -> None:
    written = read_document(EXPERIMENTS / "norm_ablation.yaml")["baseline"]["augment"].plain()
    assert resolve_choice("augment", {"transforms": {"steps": written}}) == resolve_choice("augment", "r0")


def test_r1_scales_both_axes_together() -> None:
    (step,) = resolve_choice("augment", "r1").knobs["steps"]
    options = {**step["Affine"], "rotate": (0, 0), "translate_percent": None}
    drawn = affine(np.random.default_rng(0).random((50, 7)), options, (64, 64))["map"]
    across, down = drawn[:, 0, 0], drawn[:, 1, 1]
    assert np.array_equal(across, down)
    assert 1 / 1.2 <= across.min() < across.max() <= 1 / 0.8


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_holds_at_any_size(name: str) -> None:
    choice = resolve_choice("augment", name)
    assert choice.name == "transforms"
    augment = registry.build("augment", choice.name, **choice.knobs)
    for size in (48, 96):
        image, mask = pair(size)
        for seed in range(20):
            new_image, new_mask = augment(image, mask, seed)
            assert new_image.shape == image.shape
            assert new_mask.shape == mask.shape
            assert set(np.unique(new_mask)) <= {0, 1}
    copy = pickle.loads(pickle.dumps(augment))
    assert np.array_equal(copy(*pair(48), 3)[0], augment(*pair(48), 3)[0])


@pytest.mark.parametrize("name", [*RECIPES, "flips", "d4", "flips_unsynchronised"])
def test_ignored_pixels_pass_through(name: str) -> None:
    choice = resolve_choice("augment", name)
    augment = registry.build("augment", choice.name, **choice.knobs)
    image, mask = pair(48)
    mask[20:30, 4:40] = IGNORED
    for seed in range(20):
        new_mask = augment(image, mask, seed)[1]
        assert set(np.unique(new_mask)) <= {0, 1, IGNORED}
        assert IGNORED in new_mask


def test_a_photometric_recipe_leaves_masks_alone() -> None:
    choice = resolve_choice("augment", "photometric")
    augment = registry.build("augment", choice.name, **choice.knobs)
    image, mask = pair(48)
    for seed in range(30):
        assert np.array_equal(augment(image, mask, seed)[1], mask)


def test_the_images_own_size_stays_in_the_resolved_list() -> None:
    steps = [
        {"RandomResizedCrop": {"size": "size_px"}},
        {"RandomCrop": {"height": "size_px", "width": "size_px"}},
    ]
    resolved = resolve_steps(steps, "augment")
    assert resolved[0]["RandomResizedCrop"]["size"] == "size_px"
    assert (resolved[1]["RandomCrop"]["height"], resolved[1]["RandomCrop"]["width"]) == ("size_px", "size_px")
    assert resolve_steps(resolved, "augment") == resolved


def test_the_images_own_size_stands_for_sizes_alone() -> None:
    with pytest.raises(ExperimentError, match=r"Rotate\.limit: the argument takes .*got 'size_px'"):
        resolve_steps([{"Rotate": {"limit": "size_px"}}], "augment")


def test_d4_draws_all_eight_symmetries() -> None:
    augment = registry.build("augment", "d4")
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    found = Counter(augment(image, mask, seed)[1].tobytes() for seed in range(800))
    assert len(found) == 8
    assert min(found.values()) > 60
    new_image, new_mask = augment(image, mask, 5)
    assert np.array_equal(new_image[..., 0], 3 * new_mask)


def test_d4_needs_a_square() -> None:
    augment = registry.build("augment", "d4")
    with pytest.raises(ExperimentError) as error:
        augment(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), 0)
    assert str(error.value) == (
        "augment.d4: the symmetries of the square need square images, got '4x6'. Use `flips`."
    )


def test_flips_unsynchronised_mirror_the_mask_as_the_image_in_a_quarter_of_all_cases() -> None:
    apart = registry.build("augment", "flips_unsynchronised")
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2)
    mask = image[..., 0].copy()
    fits = [np.array_equal(i[..., 0], m) for i, m in (apart(image, mask, seed) for seed in range(2000))]
    assert abs(np.mean(fits) - 0.25) < 0.03
