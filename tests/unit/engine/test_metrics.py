"""Metrics against hand-counted images and against their definitions on sets."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from segbench.engine.counting import confusion
from segbench.engine.metrics import METRICS, Counts, per_image


def counts_of(tp: int, fp: int, fn: int, tn: int) -> Counts:
    return Counts(*(np.array([n], dtype=np.int64) for n in (tp, fp, fn, tn)))


@pytest.mark.parametrize(
    ("tp", "fp", "fn", "tn", "expected"),
    [
        (
            3,
            1,
            2,
            10,
            {"dice": 6 / 9, "iou": 3 / 6, "precision": 3 / 4, "recall": 3 / 5, "accuracy": 13 / 16},
        ),
        (0, 0, 0, 16, {"dice": 1, "iou": 1, "precision": 1, "recall": 1, "accuracy": 1}),
        (0, 4, 0, 12, {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "accuracy": 12 / 16}),
        (0, 0, 4, 12, {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "accuracy": 12 / 16}),
        (16, 0, 0, 0, {"dice": 1, "iou": 1, "precision": 1, "recall": 1, "accuracy": 1}),
    ],
    ids=["ordinary", "both empty", "empty mask", "empty prediction", "all foreground"],
)
def test_values(tp, fp, fn, tn, expected) -> None:
    values = per_image(counts_of(tp, fp, fn, tn))
    assert {name: float(v[0]) for name, v in values.items()} == pytest.approx(expected, abs=1e-15)
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


def test_every_metric_says_what_it_does_on_empty_images_or_warns() -> None:
    for name, metric in METRICS.items():
        assert metric.__doc__, name
        assert "per image" in metric.__doc__, name


def test_names_are_had_without_torch() -> None:
    code = "import sys, segbench.engine.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
