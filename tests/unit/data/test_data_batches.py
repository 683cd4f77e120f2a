from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from segbench.config.trial import Choice
from segbench.data import prepare
from segbench.data.batches import TrainBatches, eval_batches

STEPS = ["HorizontalFlip", {"Rotate": {"limit": 30, "p": 1.0}}, {"RandomBrightnessContrast": {"p": 0.5}}]
AUGMENTS = {
    "flips": Choice.of("augment", "flips"),
    "transforms": Choice("transforms", {"steps": STEPS}),
}


def drawn(data, config, *, seed=0, workers=0, epochs=(1, 2)):
    batches = TrainBatches(data, config, seed, workers)
    found = [[(b.images, b.target, b.index) for b in batches.epoch(epoch)] for epoch in epochs]
    batches.close()
    return found


@pytest.mark.parametrize("augment", AUGMENTS)
def test_any_number_of_workers_draws_the_same(config, project, augment):
    changed = config(augment=AUGMENTS[augment])
    data = prepare(changed, project)
    alone = drawn(data, changed)
    for workers in (2, 3):
        shared = drawn(data, changed, workers=workers)
        for one, other in zip(alone, shared, strict=True):
            assert len(one) == len(other) == 4
            for tensors, others in zip(one, other, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))


def test_an_epoch_does_not_depend_on_those_before(config, project):
    data = prepare(config(), project)
    second = drawn(data, config())[1]
    resumed = drawn(data, config(), epochs=(2,))[0]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(second, resumed, strict=True))


def test_order_and_draws_differ_between_epochs_and_seeds(config, project):
    data = prepare(config(), project)
    orders = {
        tuple(TrainBatches(data, config(), seed).order(epoch)) for seed in (0, 1) for epoch in (1, 2, 3)
    }
    assert len(orders) == 6
    assert all(sorted(order) == list(range(13)) for order in orders)


def test_draws_differ_from_sample_to_sample_and_epoch_to_epoch(config, project):
    changed = config()
    data = prepare(changed, project)
    flipped = {}
    for epoch, batches in enumerate(drawn(data, changed, epochs=range(1, 9)), start=1):
        for images, _, index in batches:
            for image, number in zip(images, index.tolist(), strict=True):
                flipped[epoch, number] = not torch.equal((image * 255).round().byte(), raw(data, number))
    by_epoch = {tuple(flipped[epoch, n] for n in range(13)) for epoch in range(1, 9)}
    by_sample = {tuple(flipped[epoch, n] for epoch in range(1, 9)) for n in range(13)}
    assert len(by_epoch) > 6
    assert len(by_sample) > 8
    assert 0.6 < np.mean(list(flipped.values())) < 0.9  # 3 of 4 pairs of coins flip something


def raw(data, number):
    return torch.from_numpy(np.array(data.images[number])).permute(2, 0, 1)


def test_the_last_smaller_batch_is_kept_and_every_image_seen_once(config, project):
    data = prepare(config(), project)
    (batches,) = drawn(data, config(), epochs=(1,))
    assert [len(index) for _, _, index in batches] == [4, 4, 4, 1]
    assert sorted(torch.cat([index for _, _, index in batches]).tolist()) == list(range(13))
    assert len(TrainBatches(data, config(), 0)) == 4


def test_image_and_mask_move_together(config, project):
    changed = config(augment=Choice("transforms", {"steps": ["HorizontalFlip", "VerticalFlip", "Transpose"]}))
    data = prepare(changed, project)
    stamped = np.array(data.images)
    stamped[..., 0] = data.masks * 255  # the red channel is the mask: it has to stay so
    object.__setattr__(data, "images", stamped)
    for batch in TrainBatches(data, changed, 0).epoch(1):
        assert torch.equal(batch.images[:, :1], batch.target)


def test_batches_are_scaled_float_planes(config, project):
    changed = config(input=Choice.of("input", "imagenet"), augment=Choice.of("augment", "none"))
    data = prepare(changed, project)
    batch = next(eval_batches(data, "val", 2))
    assert batch.images.shape == (2, 3, 32, 32)
    assert batch.target.shape == (2, 1, 32, 32)
    assert batch.images.dtype == batch.target.dtype == torch.float32
    assert batch.index.tolist() == [13, 14]
    pixel = float(data.images[13, 5, 7, 1])
    assert batch.images[0, 1, 5, 7].item() == pytest.approx((pixel / 255 - 0.456) / 0.224, abs=1e-5)
    assert torch.equal(batch.target[0, 0], torch.from_numpy(np.array(data.masks[13])).float())
    assert batch.images.is_contiguous()


def test_eval_batches_cover_a_part_in_order(config, project):
    data = prepare(config(), project)
    assert [b.index.tolist() for b in eval_batches(data, "test", 3)] == [[16, 17, 18], [19]]


def test_batches_leave_the_global_generators_alone(config, project):
    data = prepare(config(), project)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    drawn(data, config(), workers=2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_workers_get_the_name_of_the_cache_not_its_content(config, project):
    data = prepare(config(), project)
    pairs = TrainBatches(data, config(), 0)._pairs
    sent = pickle.dumps(pairs)
    assert len(sent) < 2000
    copy = pickle.loads(sent)
    assert torch.equal(copy.__getitems__([(1, 3)])[0], pairs.__getitems__([(1, 3)])[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("workers", [0, 2])
def test_the_device_gets_the_same_batches(config, project, workers):
    data = prepare(config(), project)
    on_device = list(TrainBatches(data, config(), 0, workers, device="cuda").epoch(1))
    on_cpu = list(TrainBatches(data, config(), 0).epoch(1))
    for one, other in zip(on_device, on_cpu, strict=True):
        assert one.images.is_cuda
        assert torch.equal(one.images.cpu(), other.images)
        assert torch.equal(one.target.cpu(), other.target)
