"""Which images train, validate and test."""

from segbench.registry import marker

variant = marker("split")
