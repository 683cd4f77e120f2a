"""Networks: (N, C, H, W) images to (N, 1, H, W) logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import registry
from segbench.errors import ExperimentError, message
from segbench.registry import marker

if TYPE_CHECKING:
    from torch import nn

    from segbench.config.trial import Choice

variant = marker("model")


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
    from torch import nn

    from segbench.axes.model.norms import NormFactory
    from segbench.sizes import size_multiple

    layer = registry.load(registry.find("norm", norm.name))
    factory = NormFactory(layer, norm.knobs, conv_bias=bool(norm.knobs.get("conv_bias", False)))
    model = registry.build("model", choice.name, in_channels, out_channels, factory, **choice.knobs)
    if not isinstance(model, nn.Module):
        raise ExperimentError(
            message(f"model {choice.name}", "the variant must return an nn.Module", got=type(model).__name__)
        )
    if not hasattr(model, "size_multiple"):
        model.size_multiple = size_multiple(choice.name, choice.knobs) or 1
    return model
