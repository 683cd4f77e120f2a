from __future__ import annotations

import numpy as np
import pytest

from segbench import registry
from segbench.config.project import Project


@pytest.fixture
def scenes(tmp_path):
    source = registry.build("dataset", "shapes", Project(tmp_path), num_train=40)
    return [source.decode(sample) for sample in source.samples()[:40]]


def test_the_generator_draws_what_it_always_drew(scenes):
    # means, not bytes: another numpy may round a pixel differently; a change of the drawing shows
    image, mask = scenes[0]
    assert image.mean(axis=(0, 1)) == pytest.approx((94.2, 97.3, 77.4), abs=0.5)
    assert int(mask.sum()) == pytest.approx(1049, abs=4)


def test_masks_are_neither_empty_nor_everything(scenes):
    shares = np.array([mask.mean() for _, mask in scenes])
    assert 0.1 < shares.mean() < 0.25
    assert shares.max() < 0.6
    assert shares.min() >= 0.04  # a scene whose creatures are hidden is drawn again


def test_no_threshold_on_colour_solves_it(scenes):
    """Decoys have the coat's colours: the best threshold on a colour contrast stays far below a network."""
    best = 0.0
    for weights in ([1, 0, 0], [1, -1, 0], [1, 0, -1], [2, -1, -1], [0, 1, -1], [1, 1, 1]):
        values = [image @ np.array(weights, float) for image, _ in scenes]
        for threshold in np.quantile(np.stack(values), np.linspace(0.5, 0.98, 13)):
            dice = [
                2 * (mask & (value > threshold)).sum() / max(1, mask.sum() + (value > threshold).sum())
                for value, (_, mask) in zip(values, scenes, strict=True)
            ]
            best = max(best, float(np.mean(dice)))
    assert 0.2 < best < 0.62


def test_a_part_does_not_change_when_another_grows(tmp_path):
    small = registry.build("dataset", "shapes", Project(tmp_path), num_train=2)
    large = registry.build("dataset", "shapes", Project(tmp_path), num_train=5)
    names = {sample.name: sample for sample in large.samples()}
    one = small.samples()[small.own_split()["val"][0]]
    assert np.array_equal(small.decode(one)[0], large.decode(names[one.name])[0])
    assert small.fingerprint() != large.fingerprint()


def test_seeds_and_sizes_draw_other_scenes(tmp_path):
    sources = [
        registry.build("dataset", "shapes", Project(tmp_path), seed=seed, size_px=size)
        for seed, size in ((0, 64), (1, 64), (0, 96))
    ]
    assert len({source.fingerprint() for source in sources}) == 3
    first = [source.decode(source.samples()[0])[0] for source in sources]
    assert not np.array_equal(first[0], first[1])
    assert first[2].shape == (96, 96, 3)
