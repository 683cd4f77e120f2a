"""Measurements of segbench itself: `python -m benchmarks.NAME` prints a table."""
