"""Weights that were learnt elsewhere: where they come from, and the mark that keeps `init` off them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from segbench.errors import ExperimentError, message

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


def mark_pretrained(module: nn.Module) -> None:
    """Say that a module and all inside it hold learnt weights: `is_pretrained` is True there."""
    for each in module.modules():
        each.is_pretrained = True


def is_pretrained(module: nn.Module) -> bool:
    """Tell whether a module's own parameters are learnt, so that no `init` may draw them anew."""
    return getattr(module, "is_pretrained", False) is True


def check_channels(where: str, in_channels: int) -> None:
    """Refuse images that have other channels than those of ImageNet.

    Raises:
        ExperimentError: There are not 3 channels.
    """
    if in_channels != 3:
        rule = "weights learnt on ImageNet take images of 3 channels"
        raise ExperimentError(message(where, rule, got=in_channels, see="Write weights: none"))


def imagenet_weights(where: str, name: str) -> dict[str, Tensor]:
    """Return the state that torchvision states as IMAGENET1K_V1 of a classifier, on the CPU.

    The file is torch.hub's: downloaded once, then read from its folder (TORCH_HOME moves it). Its name holds
    the beginning of its SHA-256, which is checked at every reading, so `imagenet` means these bytes.

    Args:
        where: The place in the experiment, for messages.
        name: torchvision's name of the classifier, such as `resnet18`.

    Raises:
        ExperimentError: The file can neither be found nor downloaded, or is damaged or another.
    """
    from torchvision import models

    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not file.is_file():
        _download(where, weights, file)
    stat = file.stat()
    if not _digest(file, stat.st_size, stat.st_mtime_ns).startswith(file.stem.rpartition("-")[2]):
        rule = f"{file} is cut short or holds other weights: its SHA-256 does not begin as its name says"
        see = f"Remove it, and it is downloaded again, or put there what {weights.url} gives"
        raise ExperimentError(message(where, rule, see=see))
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def load_part(module: nn.Module, state: Mapping[str, Tensor], prefix: str = "", left_out: str = "") -> None:
    """Load the part of a classifier's state that belongs to `module`, and mark the module as pretrained.

    Args:
        module: All of the network that the part holds.
        state: The state of the whole classifier.
        prefix: What the names of the part begin with.
        left_out: What names begin with that the module has no place for: the classifier itself.
    """
    part = {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and not (left_out and name.startswith(left_out))
    }
    module.load_state_dict(part)
    mark_pretrained(module)


def _download(where: str, weights: WeightsEnum, file: Path) -> None:
    try:
        weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        rule = f"{file.name} is not in {file.parent} and could not be downloaded ({error})"
        see = f"Fetch {weights.url} where there is a network, and put it there"
        raise ExperimentError(message(where, rule, see=see)) from error


@cache
def _digest(file: Path, size: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file; size and time stamp tell whether it is still the one that was read."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
