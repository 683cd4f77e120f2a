"""Normalisation layers: (N, C, H, W) to the same shape.

Signature: `variant(channels, *, knobs) -> nn.Module`.
"""

from segbench.registry import marker

variant = marker("norm")
