"""Mixing: the contract, and boxes and blends by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench import registry
from segbench.contract import Check, Subject

AXIS = "mix"
SETTINGS = {
    "cutmix": [{"p": 0.5}, {"alpha": 0.2}],
    "mixup": [{"p": 0.5}, {"alpha": 1.0}],
}
SEEDS = range(400)


def numbered(num_images: int = 4, height: int = 8, width: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images whose every pixel is the image's number, and masks of the odd ones."""
    images = torch.arange(num_images, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, height, width)
    return images.clone(), (images[:, :1] % 2).clone()


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_cutmix_pastes_one_box_of_one_partner() -> None:
    mix = registry.build(AXIS, "cutmix")
    images, target = numbered()
    shares = []
    for seed in SEEDS:
        mixed, mixed_target, _ = mix(images, target, None, seed)
        assert torch.equal(mixed_target, mixed[:, :1] % 2)
        changed = (mixed != images).any(1)
        for number, box in enumerate(changed):
            rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
            if len(rows) == 0:
                continue  # its own partner, or an empty box
            assert box.sum() == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
            assert len(mixed[number][:, box].unique()) == 1
        shares.append(float(changed.float().mean()))
    assert max(shares) > 0.7
    assert 0.05 < np.mean(shares) < 0.4


def test_cutmix_boxes_are_of_the_stated_size() -> None:
    """Away from the borders the box has int(side * sqrt(1 - share)) pixels; nearly all of them share 0.5."""
    mix = registry.build(AXIS, "cutmix", alpha=1e6)
    images, _ = numbered(2, 100, 200)
    sizes = set()
    for seed in SEEDS:
        box = (mix(images, images[:, :1], None, seed)[0] != images).any(1)[0]
        rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
        if len(rows) and rows[0] > 0 and rows[-1] < 99 and columns[0] > 0 and columns[-1] < 199:
            sizes.add((len(rows), len(columns)))
    assert sizes <= {(h, w) for h in (70, 71) for w in (140, 141, 142)}
    assert sizes


def test_mixup_blends_with_one_share_a_batch() -> None:
    mix = registry.build(AXIS, "mixup", alpha=1.0)
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone()
    shares = []
    for seed in SEEDS:
        mixed, target, _ = mix(images, images, None, seed)
        first, second = float(mixed[0, 0, 0, 0]), float(mixed[1, 0, 0, 0])
        assert torch.equal(mixed, mixed[:, :, :1, :1].expand_as(mixed))
        assert torch.equal(target, mixed)
        if second != 1.0:
            assert first + second == pytest.approx(1)
            shares.append(second)
    # Half of the permutations of two are the identity; shares of Beta(1, 1) are uniform.
    assert 0.4 < len(shares) / len(SEEDS) < 0.6
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert np.var(shares) == pytest.approx(1 / 12, abs=0.02)


@pytest.mark.parametrize("name", ["cutmix", "mixup"])
def test_p_is_the_share_of_batches_that_are_mixed(name: str) -> None:
    images, target = numbered(16)
    mix = registry.build(AXIS, name, alpha=1.0, p=0.25)
    mixed = [not torch.equal(mix(images, target, None, seed)[0], images) for seed in SEEDS]
    assert np.mean(mixed) == pytest.approx(0.25, abs=0.06)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", sorted(registry.variants(AXIS)))
def test_a_gpu_mixes_as_the_cpu_does(name: str) -> None:
    mix = registry.build(AXIS, name)
    images, target = numbered()
    valid = target == 0
    for seed in range(20):
        expected = mix(images, target, valid, seed)
        found = mix(images.cuda(), target.cuda(), valid.cuda(), seed)
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.allclose(ours.cpu().float(), theirs.float(), atol=1e-6)
