"""The training loop that everyone writes: the yardstick of `benchmarks.speed`.

`python -m benchmarks.naive FOLDER [--size 256] [--batch 8] [--epochs 1] [--workers 0] [--width 64]`

Reference study R0's script as a careful student writes it: each item decoded with PIL in every epoch,
albumentations, torch's DataLoader, float32 images in NCHW, Adam, BCE + Dice, loss and Dice read with
`.item()` in every step, the best weights kept. Nothing is slowed down on purpose; images are resized before
they are augmented, which is the quicker order. FOLDER holds `images` and `annotations` of Oxford-IIIT Pet. Of
segbench it takes the network alone, so that both sides train the same one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pets(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Oxford-IIIT Pet, a photograph and its trimap at a time; the border counts as pet."""

    def __init__(self, folder: Path, names: list[str], transform: Any) -> None:
        self.folder, self.names, self.transform = folder, names, transform

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        name = self.names[index]
        image = np.array(Image.open(self.folder / "images" / f"{name}.jpg").convert("RGB"))
        trimap = np.array(Image.open(self.folder / "annotations" / "trimaps" / f"{name}.png"))
        mask = (trimap != 2).astype(np.float32)
        changed = self.transform(image=image, mask=mask)
        return changed["image"], changed["mask"].unsqueeze(0)


def split(folder: Path) -> dict[str, list[str]]:
    """Return the names of the course's split: every tenth of trainval validates."""
    trainval, test = (
        [line.split()[0] for line in (folder / "annotations" / f"{part}.txt").read_text().splitlines()]
        for part in ("trainval", "test")
    )
    train = [name for index, name in enumerate(trainval) if index % 10 != 0]
    return {"train": train, "val": trainval[::10], "test": test}


def train_transform(size_px: int) -> Any:
    """Return R0's augmentation."""
    import albumentations as A
    from albumentations.pytorch import ToTensorV2

    return A.Compose(
        [
            A.Resize(size_px, size_px),
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.Rotate(limit=30, p=0.5),
            A.RandomBrightnessContrast(p=0.2),
            A.HueSaturationValue(hue_shift_limit=20, sat_shift_limit=30, val_shift_limit=20, p=0.2),
            A.RGBShift(r_shift_limit=15, g_shift_limit=15, b_shift_limit=15, p=0.2),
            A.RandomGamma(gamma_limit=(80, 120), p=0.2),
            A.Normalize(MEAN, STD),
            ToTensorV2(),
        ]
    )


def eval_transform(size_px: int) -> Any:
    """Return what validation and test images go through."""
    import albumentations as A
    from albumentations.pytorch import ToTensorV2

    return A.Compose([A.Resize(size_px, size_px), A.Normalize(MEAN, STD), ToTensorV2()])


def loaders(
    folder: Path, size_px: int, batch_size: int, workers: int = 0
) -> dict[str, DataLoader[tuple[torch.Tensor, torch.Tensor]]]:
    """Return the loaders of the three parts."""
    names = split(folder)
    train = Pets(folder, names["train"], train_transform(size_px))
    found = {"train": DataLoader(train, batch_size, shuffle=True, num_workers=workers)}
    for part in ("val", "test"):
        images = Pets(folder, names[part], eval_transform(size_px))
        found[part] = DataLoader(images, batch_size, num_workers=workers)
    return found


class BCEDiceLoss(nn.Module):
    """BCE with logits plus soft Dice over the whole batch, smoothed by 1e-6 on both sides."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        bce = nn.functional.binary_cross_entropy_with_logits(logits, target)
        probs = torch.sigmoid(logits)
        overlap = (probs * target).sum()
        return bce + 1 - (2 * overlap + 1e-6) / (probs.sum() + target.sum() + 1e-6)


def dice_score(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the Dice at threshold 0.5, the mean over the images of a batch."""
    predicted = (torch.sigmoid(logits) > 0.5).float()
    overlap = (predicted * target).sum(dim=(1, 2, 3))
    return ((2 * overlap + 1e-6) / (predicted.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3)) + 1e-6)).mean()


@dataclass
class Trainer:
    """Network, loss and optimiser on a device."""

    model: nn.Module
    device: str = "cpu"
    lr: float = 1e-4

    def __post_init__(self) -> None:
        self.model.to(self.device)
        self.criterion = BCEDiceLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr)

    def train_step(self, images: torch.Tensor, masks: torch.Tensor) -> tuple[float, float]:
        images, masks = images.to(self.device), masks.to(self.device)
        self.optimizer.zero_grad()
        logits = self.model(images)
        loss = self.criterion(logits, masks)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item(), dice_score(logits.detach(), masks).item()

    def train_epoch(self, batches: DataLoader[Any]) -> tuple[float, float]:
        self.model.train()
        return _means([self.train_step(images, masks) for images, masks in batches])

    @torch.no_grad()
    def evaluate(self, batches: DataLoader[Any]) -> tuple[float, float]:
        self.model.eval()
        values = []
        for images, masks in batches:
            images, masks = images.to(self.device), masks.to(self.device)
            logits = self.model(images)
            values.append((self.criterion(logits, masks).item(), dice_score(logits, masks).item()))
        return _means(values)


def _means(values: list[tuple[float, float]]) -> tuple[float, float]:
    losses, dices = zip(*values, strict=True)
    return sum(losses) / len(losses), sum(dices) / len(dices)


def build_model(name: str = "unet", **knobs: Any) -> nn.Module:
    """Return segbench's network, as torch initialises it."""
    from segbench.api import build_model as build

    return build({name: knobs})


def allow_tf32(allowed: bool) -> None:
    """Let convolutions on a GPU use TF32, as torch does by default (variant A), or not (variant B)."""
    torch.backends.cudnn.allow_tf32 = allowed


def main(say: Callable[[str], None] = print) -> None:
    parser = argparse.ArgumentParser(description="Train a U-Net on Oxford-IIIT Pet.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--width", type=int, default=64)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(build_model(width=args.width), device)
    batches = loaders(args.folder, args.size, args.batch, args.workers)
    best, kept = -1.0, trainer.model.state_dict()
    for epoch in range(1, args.epochs + 1):
        began = time.perf_counter()
        loss, dice = trainer.train_epoch(batches["train"])
        val_loss, val_dice = trainer.evaluate(batches["val"])
        if val_dice > best:
            best = val_dice
            kept = {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
        say(
            f"epoch {epoch}: loss {loss:.4f}, dice {dice:.4f}, val loss {val_loss:.4f}, val dice "
            f"{val_dice:.4f}, {time.perf_counter() - began:.1f} s"
        )
    trainer.model.load_state_dict(kept)
    say("test: loss {:.4f}, dice {:.4f}".format(*trainer.evaluate(batches["test"])))


if __name__ == "__main__":
    main()
