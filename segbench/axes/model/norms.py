"""What a network gets in place of a normalisation layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


class NormFactory:
    """Builds the normalisation layer of a given width.

    A network calls it once for each slot, also where the arm has no normalisation (`nn.Identity` stands
    there), so that modules have the same names in every arm and weights drawn by name are shared.
    """

    def __init__(
        self,
        layer: Callable[..., nn.Module],
        knobs: Mapping[str, Any] | None = None,
        *,
        conv_bias: bool = False,
    ) -> None:
        """Bind the knobs of a norm variant.

        Args:
            layer: The variant: `(channels, **knobs)` to a module.
            knobs: Its knobs.
            conv_bias: Whether the convolutions before the layer have a bias.
        """
        self._layer = layer
        self._knobs = dict(knobs or {})
        self.conv_bias = conv_bias

    def __call__(self, channels: int) -> nn.Module:
        return self._layer(channels, **self._knobs)
