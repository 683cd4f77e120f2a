"""Optimisers. Weight decay applies to every parameter, biases and normalisation layers too."""

from segbench.registry import marker

variant = marker("optimizer")
