"""Networks: (N, C, H, W) images to (N, 1, H, W) logits.

Signature: `variant(in_channels, out_channels, norm, *, knobs) -> nn.Module`.

`norm` is a `NormFactory`: it builds the layer of a given width and knows `conv_bias`, whether the
convolutions before it have a bias. `@variant(size_multiple="2 ** depth")` declares what H and W must be a
multiple of, as an expression of knobs, so that `segbench.sizes` refuses a size without torch.

segbench's own networks are assembled from `blocks.py`, `encoder.py`, `skips.py`, `decoder.py` and
`ends.py`; a knob exchanges one part and renames no module of the others. The norm is built in every slot,
`none` as `nn.Identity`, so modules keep their names. A library's network takes the arm's norm by the rule
of `adoption.py`; `pretrained.py` marks weights that no `init` may draw. `assemble` marks the modules inside
residual blocks as `is_in_residual_block`, which `init: {xavier: {within: residual_blocks}}` asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segbench import registry
from segbench.errors import ExperimentError, message
from segbench.registry import Variant, marker

if TYPE_CHECKING:
    from torch import nn

    from segbench.config.trial import Choice

variant = marker("model")

_RESIDUAL_BLOCKS = ("BasicBlock", "Bottleneck")
"""Class names of residual blocks: ours, torchvision's, and those of libraries that keep these names."""


def build(choice: Choice, norm: Choice, in_channels: int = 3, out_channels: int = 1) -> nn.Module:
    """Build a network with the given normalisation, on the CPU, with weights from the global generator.

    Every network has a `size_multiple` afterwards: what H and W must be a multiple of (1 where the variant
    names none).

    Args:
        choice: The model with all of its knobs.
        norm: The normalisation with all of its knobs. One that has a knob `conv_bias` decides whether the
            convolutions before it have a bias; otherwise they have none.
        in_channels: Channels of the images.
        out_channels: Channels of the logits.

    Raises:
        ExperimentError: The variant returned something else than a module.
    """
    return assemble(
        registry.find("model", choice.name),
        choice.knobs,
        registry.find("norm", norm.name),
        norm.knobs,
        in_channels,
        out_channels,
    )


def assemble(
    model: Variant,
    knobs: Mapping[str, Any],
    norm: Variant,
    norm_knobs: Mapping[str, Any],
    in_channels: int,
    out_channels: int,
) -> nn.Module:
    """Build a network as `build` does, of variants that need no name in the registry."""
    from torch import nn

    from segbench.axes.model.norms import NormFactory
    from segbench.sizes import declared_multiple

    factory = NormFactory(registry.load(norm), norm_knobs, conv_bias=bool(norm_knobs.get("conv_bias", False)))
    network = registry.load(model)(in_channels, out_channels, factory, **knobs)
    if not isinstance(network, nn.Module):
        got = type(network).__name__
        raise ExperimentError(message(f"model {model.name}", "the variant must return an nn.Module", got=got))
    if not hasattr(network, "size_multiple"):
        network.size_multiple = declared_multiple(model, knobs) or 1
    for block in network.modules():
        if type(block).__name__ in _RESIDUAL_BLOCKS:
            for each in block.modules():
                each.is_in_residual_block = True
    return network
