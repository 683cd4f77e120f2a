"""A data set and a configuration so small that a test can train on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from segbench.axes.input import Scaling
from segbench.config.trial import Choice, TrialConfig
from segbench.data.prepared import PreparedData
from segbench.samples import Sample


def blob_data(
    *, num_train: int = 8, num_val: int = 4, num_test: int = 5, size_px: int = 32, seed: int = 0
) -> PreparedData:
    """Draw bright noisy ellipses on dark noisy ground; the last test image has no ellipse."""
    generator = np.random.Generator(np.random.PCG64(seed))
    num_images = num_train + num_val + num_test
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    masks = np.zeros((num_images, size_px, size_px), dtype=np.uint8)
    for mask in masks[:-1]:
        row, column = generator.uniform(0.3, 0.7, 2)
        height, width = generator.uniform(0.15, 0.3, 2)
        mask[((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 <= 1] = 1
    noise = generator.normal(0, 20, (num_images, size_px, size_px, 3))
    images = np.clip(80 + 90 * masks[..., None] + noise, 0, 255).astype(np.uint8)
    ends = np.cumsum([num_train, num_val, num_test])
    numbers = np.arange(num_images, dtype=np.int64)
    return PreparedData(
        fingerprint="0" * 64,
        samples=tuple(Sample(f"blob_{i:02d}") for i in range(num_images)),
        images=images,
        masks=masks,
        split=dict(zip(("train", "val", "test"), np.split(numbers, ends[:-1]), strict=True)),
        scaling=Scaling(mean=(127.5,), std=(127.5,)),
    )


def tiny_config(**changes: Any) -> TrialConfig:
    """Return a U-Net of width 4 and depth 2 with BCE + Dice and Adam at 0.01; fields may be changed."""
    config = TrialConfig(
        dataset=Choice.of("dataset", "shapes", size_px=32),
        split=Choice.of("split", "fraction"),
        input=Choice.of("input", "unit"),
        model=Choice.of("model", "unet", width=4, depth=2),
        norm=Choice.of("norm", "batch"),
        init=Choice.of("init", "default"),
        augment=Choice.of("augment", "flips"),
        loss=(Choice.of("loss", "bce"), Choice.of("loss", "dice")),
        optimizer=Choice.of("optimizer", "adam", lr=0.01),
        schedule=Choice.of("schedule", "cosine"),
        grad_clip=1.0,
        batch_size=4,
        epochs=3,
        precision="fp32",
    )
    return replace(config, **changes)


def dropout_net(in_channels: int, out_channels: int, norm: Any, *, rate: float = 0.3) -> Any:
    """Two convolutions with dropout between them: a user's own variant, by import path."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, padding=1),
        norm(8),
        nn.ReLU(),
        nn.Dropout2d(rate),
        nn.Conv2d(8, out_channels, 3, padding=1),
    )
