"""Normalisation layers: (N, C, H, W) to the same shape."""

from segbench.registry import marker

variant = marker("norm")
