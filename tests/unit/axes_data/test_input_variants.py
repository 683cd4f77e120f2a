from __future__ import annotations

import pytest

from segbench import registry
from segbench.axes.input import Scaling


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
