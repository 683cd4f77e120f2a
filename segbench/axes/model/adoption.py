"""Making a library's network one of ours: the norm axis, any number of channels, no operation in place."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from segbench.axes.model.pretrained import is_pretrained

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


def take_norm(network: nn.Module, norm: NormFactory) -> None:
    """Put the arm's normalisation in place of every `nn.BatchNorm2d`, in place.

    - Every other normalisation stays: the layer norms of transformers see tokens, not (N, C, H, W) maps, and
      the group norms of FPN are part of its design. Guard SB123 names them where an axis varies the norm.
    - Where the arm is batch norm the old layer's weight, bias and running statistics go over, so pretrained
      ones survive; momentum and eps are those of the arm. Any other normalisation starts afresh, drawn by
      `init`.
    - Where the arm's convolutions have a bias (`norm: {none: {conv_bias: true}}`), the convolution that was
      registered last before the layer gets one if it has as many outputs as the layer has channels; under
      pretrained weights it starts at 0. A bias that the library's convolution has anyway stays in every arm.
    - No activation works in place any more: a norm may need its own output in the backward pass.

    The layer keeps its name, and no parameter but the normalisation's own gets another one.
    """
    last: nn.Conv2d | None = None
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            last = module
        elif isinstance(module, nn.BatchNorm2d):
            if norm.conv_bias and last is not None and last.out_channels == module.num_features:
                _give_bias(last)
            network.set_submodule(name, _replacement(module, norm))
        if getattr(module, "inplace", False) is True:
            module.inplace = False


def take_channels(network: nn.Module, in_channels: int) -> None:
    """Let the first convolution that is registered take images of `in_channels` channels, in place."""
    name, old = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if old.in_channels != in_channels:
        new = nn.Conv2d(
            in_channels,
            old.out_channels,
            old.kernel_size,  # type: ignore[arg-type]
            old.stride,  # type: ignore[arg-type]
            old.padding,  # type: ignore[arg-type]
            bias=old.bias is not None,
        )
        network.set_submodule(name, new)


def _replacement(old: nn.BatchNorm2d, norm: NormFactory) -> nn.Module:
    new = norm(old.num_features)
    if isinstance(new, nn.BatchNorm2d):
        new.load_state_dict(old.state_dict())
        new.is_pretrained = is_pretrained(old)
    # timm's batch norms hold the dropout and the activation that follow.
    follow = [(part, getattr(old, part)) for part in ("drop", "act") if hasattr(old, part)]
    return nn.Sequential(OrderedDict([("norm", new), *follow])) if follow else new


def _give_bias(conv: nn.Conv2d) -> None:
    if conv.bias is None:
        conv.bias = nn.Parameter(torch.empty(conv.out_channels))
        if is_pretrained(conv):
            nn.init.zeros_(conv.bias)
        else:
            conv.reset_parameters()
