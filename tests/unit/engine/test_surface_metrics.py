"""Metrics of outlines against MONAI, and by hand where masks are empty, tiny or touch the edge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, gaussian_filter

from segbench.engine.metrics import of_surfaces
from segbench.engine.metrics.surface import outline, surface_distances

TOLERANCE_PX = 2.0


def blobs(seed: int, num_images: int = 12, height: int = 40, width: int = 56) -> np.ndarray:
    """Draw irregular masks with holes and several parts, some of which touch the edge."""
    noise = np.random.default_rng(seed).normal(size=(num_images, height, width))
    smooth = np.stack([gaussian_filter(each, 3) for each in noise])
    return smooth > 0.05


def measure(predicted: np.ndarray, mask: np.ndarray, tolerance_px: float = TOLERANCE_PX) -> dict[str, float]:
    values = of_surfaces(predicted[None], mask[None], tolerance_px=tolerance_px)
    return {name: float(value[0]) for name, value in values.items()}


def square(top: int, left: int, side: int, size: int = 16) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    predicted, masks = blobs(0), blobs(1)
    near = masks.copy()
    near[:6] = np.roll(masks[:6], 1, axis=2) | square(3, 3, 2, 56)[:40]  # close, with a small stray part
    return np.concatenate([predicted, near]), np.concatenate([masks, masks])


@pytest.mark.filterwarnings("ignore")
def test_equal_to_monai(pairs) -> None:
    from monai import metrics as reference

    predicted, masks = pairs
    ours = of_surfaces(predicted, masks, tolerance_px=TOLERANCE_PX)
    given = [torch.from_numpy(each[:, None].astype(np.float32)) for each in pairs]
    theirs = {
        "hd95_px": reference.compute_hausdorff_distance(*given, include_background=True, percentile=95),
        "assd_px": reference.compute_average_surface_distance(
            *given, include_background=True, symmetric=True
        ),
        "surface_dice": reference.compute_surface_dice(*given, [TOLERANCE_PX], include_background=True),
    }
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        assert ours[name].dtype == np.float64
        np.testing.assert_allclose(ours[name], values[:, 0].numpy(), rtol=1e-6, atol=1e-6, err_msg=name)


def test_the_outline_is_the_mask_without_its_erosion() -> None:
    for mask in blobs(2):
        assert np.array_equal(outline(mask), mask & ~binary_erosion(mask))


def test_squares_by_hand() -> None:
    # outlines of 3x3 squares, 8 pixels each, the second 2 to the right: directed distances 0, 1 or 2
    distances = surface_distances(square(5, 4, 3), square(5, 6, 3))
    assert sorted(distances.of_prediction) == pytest.approx([0, 0, 0, 1, 1, 2, 2, 2])
    assert sorted(distances.of_mask) == sorted(distances.of_prediction)
    values = measure(square(5, 4, 3), square(5, 6, 3), tolerance_px=1.0)
    assert values["hd95_px"] == 2
    assert values["assd_px"] == 1
    assert values["surface_dice"] == pytest.approx(5 / 8)


def test_the_tolerance_takes_in_what_lies_just_at_it() -> None:
    assert measure(square(5, 4, 1), square(5, 6, 1), tolerance_px=2.0)["surface_dice"] == 1
    assert measure(square(5, 4, 1), square(5, 6, 1), tolerance_px=1.99)["surface_dice"] == 0


def test_hd95_is_the_larger_direction_not_both_pooled() -> None:
    # one stray pixel far off among few: from the prediction it is far, from the mask nothing is
    mask = square(2, 2, 2)
    predicted = mask | square(12, 2, 1)
    assert measure(predicted, mask)["hd95_px"] == pytest.approx(np.percentile([0, 0, 0, 0, 9], 95))
    assert measure(mask, predicted)["hd95_px"] == pytest.approx(np.percentile([0, 0, 0, 0, 9], 95))


EMPTY = np.zeros((16, 16), dtype=bool)


def test_both_masks_empty() -> None:
    assert measure(EMPTY, EMPTY) == {"hd95_px": 0, "assd_px": 0, "surface_dice": 1}


@pytest.mark.parametrize("masks", [(EMPTY, square(4, 4, 3)), (square(4, 4, 3), EMPTY)])
def test_one_mask_empty_costs_the_diagonal(masks) -> None:
    diagonal_px = np.hypot(16, 16)
    assert measure(*masks) == {"hd95_px": diagonal_px, "assd_px": diagonal_px, "surface_dice": 0}
    farthest = measure(square(0, 0, 1), square(15, 15, 1))
    assert farthest["hd95_px"] < diagonal_px


def test_a_perfect_prediction() -> None:
    for mask in (square(0, 0, 16), square(3, 3, 1), *blobs(3)):
        assert measure(mask, mask) == {"hd95_px": 0, "assd_px": 0, "surface_dice": 1}


def test_where_masks_lie_in_the_image_changes_nothing() -> None:
    small = [square(5, 4, 3), square(6, 6, 4)]
    large = [np.pad(mask, ((30, 7), (11, 50))) for mask in small]
    ours, theirs = measure(*small), measure(*large)
    assert ours == theirs
