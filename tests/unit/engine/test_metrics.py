"""Metrics against hand-counted images and against their definitions on sets."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from segbench import quantities
from segbench.engine.counting import confusion, probability_sums
from segbench.engine.metrics import METRICS, Counts, SoftSums, of_counts, of_whole_set
from segbench.engine.metrics.pooled import pooled_dice


def counts_of(tp: int, fp: int, fn: int, tn: int) -> Counts:
    return Counts(*(np.array([n], dtype=np.int64) for n in (tp, fp, fn, tn)))


def per_image(counts: Counts) -> dict[str, np.ndarray]:
    """Return the metrics of counts alone."""
    nothing = np.zeros(len(counts.tp))
    values = of_counts(counts, SoftSums(nothing, nothing))
    return {name: value for name, value in values.items() if name != "soft_dice"}


def batch(seed: int = 0, num_images: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (num_images, 1, 7, 5)
    logits = torch.randn(shape, generator=generator)
    target = (torch.rand(shape, generator=generator) > 0.6).float()
    valid = torch.rand(shape, generator=generator) > 0.2
    return logits, target * valid, valid


@pytest.mark.parametrize(
    ("tp", "fp", "fn", "tn", "expected"),
    [
        (
            3,
            1,
            2,
            10,
            {
                "dice": 6 / 9,
                "iou": 3 / 6,
                "precision": 3 / 4,
                "recall": 3 / 5,
                "accuracy": 13 / 16,
                "specificity": 10 / 11,
            },
        ),
        (0, 0, 0, 16, {"dice": 1, "iou": 1, "precision": 1, "recall": 1, "accuracy": 1, "specificity": 1}),
        (
            0,
            4,
            0,
            12,
            {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "accuracy": 12 / 16, "specificity": 12 / 16},
        ),
        (
            0,
            0,
            4,
            12,
            {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "accuracy": 12 / 16, "specificity": 1},
        ),
        (16, 0, 0, 0, {"dice": 1, "iou": 1, "precision": 1, "recall": 1, "accuracy": 1, "specificity": 1}),
        (
            12,
            0,
            4,
            0,
            {
                "dice": 24 / 28,
                "iou": 12 / 16,
                "precision": 1,
                "recall": 12 / 16,
                "accuracy": 12 / 16,
                "specificity": 0,
            },
        ),
        (0, 0, 0, 0, {"dice": 1, "iou": 1, "precision": 1, "recall": 1, "accuracy": 1, "specificity": 1}),
    ],
    ids=[
        "ordinary",
        "both empty",
        "empty mask",
        "empty prediction",
        "all foreground",
        "no background, some of it missed",
        "every pixel ignored",
    ],
)
def test_values(tp, fp, fn, tn, expected) -> None:
    values = per_image(counts_of(tp, fp, fn, tn))
    assert {name: float(values[name][0]) for name in expected} == pytest.approx(expected, abs=1e-15)
    assert all(v.dtype == np.float64 for v in values.values())


def test_confusion_counts_each_image_at_logit_zero() -> None:
    logits = torch.tensor([[0.0, 1e-6, -3.0, 5.0], [9.0, 9.0, -9.0, -9.0]]).reshape(2, 1, 2, 2)
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]).reshape(2, 1, 2, 2)
    counted = confusion(logits, target)
    assert counted.dtype == torch.int64
    assert counted.tolist() == [[1, 2], [1, 0], [1, 1], [1, 1]]  # TP, FP, FN, TN; a logit of 0 is background


def test_metrics_agree_with_sets_of_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((6, 1, 7, 5), generator=generator)
    target = (torch.rand((6, 1, 7, 5), generator=generator) > 0.6).float()
    values = per_image(Counts(*confusion(logits, target).numpy()))
    for image in range(6):
        predicted = set(np.flatnonzero(logits[image].numpy().ravel() > 0))
        truth = set(np.flatnonzero(target[image].numpy().ravel()))
        assert values["dice"][image] == 2 * len(predicted & truth) / (len(predicted) + len(truth))
        assert values["iou"][image] == len(predicted & truth) / len(predicted | truth)


def test_counts_equal_torchmetrics() -> None:
    from torchmetrics import functional as reference

    logits, target, _ = batch()
    values = per_image(Counts(*confusion(logits, target).numpy()))
    known = {
        "dice": reference.f1_score,
        "iou": reference.jaccard_index,
        "precision": reference.precision,
        "recall": reference.recall,
        "accuracy": reference.accuracy,
        "specificity": reference.specificity,
    }
    for name, metric in known.items():
        expected = [
            float(metric((z > 0).long().ravel(), t.long().ravel(), task="binary"))
            for z, t in zip(logits, target, strict=True)
        ]
        np.testing.assert_allclose(values[name], expected, rtol=1e-6, err_msg=name)


def test_pooled_dice_is_that_of_all_images_taken_as_one() -> None:
    logits, target, _ = batch()
    counts = Counts(*confusion(logits, target).numpy())
    at_once = Counts(*confusion(logits.reshape(1, 1, -1, 5), target.reshape(1, 1, -1, 5)).numpy())
    assert of_whole_set(counts) == {"pooled_dice": pooled_dice(counts)}
    assert pooled_dice(counts) == per_image(at_once)["dice"][0]
    assert pooled_dice(counts_of(0, 0, 0, 9)) == 1
    assert pooled_dice(Counts(*np.array([[1, 0], [0, 3], [0, 0], [3, 1]]))) == 2 / (2 + 3)


def test_soft_dice_by_hand_and_by_definition() -> None:
    logits, target, _ = batch()
    counts = Counts(*confusion(logits, target).numpy())
    values = of_counts(counts, SoftSums(*probability_sums(logits, target).numpy()))["soft_dice"]
    p, t = (1 / (1 + np.exp(-logits.double().numpy()))).reshape(6, -1), target.numpy().reshape(6, -1)
    np.testing.assert_allclose(values, 2 * (p * t).sum(1) / (p.sum(1) + t.sum(1)), rtol=1e-12)
    # probabilities 1/2, 1/2, 1/4 and 3/4; foreground the first and the last
    logits = torch.tensor([0.0, 0.0, -np.log(3), np.log(3)], dtype=torch.float64).reshape(1, 1, 2, 2)
    target = torch.tensor([1.0, 0.0, 0.0, 1.0]).reshape(1, 1, 2, 2)
    sums = SoftSums(*probability_sums(logits, target).numpy())
    assert of_counts(counts_of(1, 0, 1, 2), sums)["soft_dice"] == pytest.approx([2 * 1.25 / (2 + 2)])


@pytest.mark.parametrize(("logit", "expected"), [(-20.0, 1.0), (-0.1, 1.0), (0.1, 0.0)])
def test_soft_dice_of_an_empty_mask_is_what_dice_is(logit, expected) -> None:
    logits, target = torch.full((1, 1, 2, 2), logit), torch.zeros(1, 1, 2, 2)
    counts = Counts(*confusion(logits, target).numpy())
    assert of_counts(counts, SoftSums(*probability_sums(logits, target).numpy()))["soft_dice"] == [expected]


def test_ignored_pixels_are_as_if_they_were_not_there() -> None:
    logits, target, valid = batch()
    counts = Counts(*confusion(logits, target, valid).numpy())
    values = of_counts(counts, SoftSums(*probability_sums(logits, target, valid).numpy()))
    for image in range(6):
        kept = valid[image, 0].flatten()
        alone = [each[image, 0].flatten()[kept].reshape(1, 1, 1, -1) for each in (logits, target)]
        counts_alone = Counts(*confusion(*alone).numpy())
        expected = of_counts(counts_alone, SoftSums(*probability_sums(*alone).numpy()))
        for name, value in expected.items():
            assert values[name][image] == pytest.approx(value[0], abs=1e-12), name


def test_every_metric_is_known_by_name_and_says_over_what_it_is_taken() -> None:
    assert list(METRICS) == list(quantities.METRICS)
    for name, metric in METRICS.items():
        assert metric.__name__ == name
        assert ("per image" if quantities.METRICS[name].is_per_image else "whole set") in metric.__doc__, name


def test_names_are_had_without_torch() -> None:
    code = "import sys, segbench.engine.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
