"""Weights that look like torchvision's, in a folder that looks like torch.hub's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlparse

import pytest
import torch
from torch import Tensor
from torchvision import models


def place_weights(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Tensor]]:
    """Put a random state of a classifier where torch.hub would, under a name that tells its hash."""
    torch.manual_seed(1)
    # Classifiers of one class: what is left out of an encoder may have any size.
    state = models.get_model(name, weights=None, num_classes=1).state_dict()
    for key, value in state.items():
        if key.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 2.0)
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "made.pth")
    file = folder / f"{name}-{hashlib.sha256((folder / 'made.pth').read_bytes()).hexdigest()[:8]}.pth"
    (folder / "made.pth").rename(file)
    weights = models.get_model_weights(name)["IMAGENET1K_V1"].value
    monkeypatch.setattr(weights, "url", weights.url.replace(Path(urlparse(weights.url).path).name, file.name))
    monkeypatch.setenv("TORCH_HOME", str(home))
    return file, state
