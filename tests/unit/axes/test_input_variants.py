from __future__ import annotations

import pytest

from segbench import registry
from segbench.axes.input import Scaling
from segbench.errors import ExperimentError


def stats():
    return (120.0, 110.0, 100.0), (60.0, 0.0, 40.0)


def unused():
    raise AssertionError("the training images are not to be measured")


def test_constants_do_not_read_the_images():
    assert registry.build("input", "raw", unused, 255.0) == Scaling((0.0,), (1.0,))
    assert registry.build("input", "unit", unused, 255.0) == Scaling((0.0,), (255.0,))
    imagenet = registry.build("input", "imagenet", unused, 255.0)
    assert imagenet.mean == pytest.approx((123.675, 116.28, 103.53))
    assert imagenet.std == pytest.approx((58.395, 57.12, 57.375))


def test_dataset_takes_the_statistics_and_only_centres_a_constant_channel():
    assert registry.build("input", "dataset", stats, 255.0) == Scaling(
        (120.0, 110.0, 100.0), (60.0, 1.0, 40.0)
    )


def test_stated_constants_are_of_pixels_in_0_to_1():
    found = registry.build("input", "constants", unused, 255.0, mean=[0.2, 0.4, 0.6], std=[0.1, 0.2, 0.3])
    assert found.mean == pytest.approx((51, 102, 153))
    assert found.std == pytest.approx((25.5, 51, 76.5))


def test_stated_constants_come_in_pairs():
    with pytest.raises(ExperimentError) as caught:
        registry.build("input", "constants", unused, 255.0, mean=[0.2], std=[0.1, 0.2, 0.3])
    assert str(caught.value) == "input.constants: mean and std must have one length, got '1 and 3'."
