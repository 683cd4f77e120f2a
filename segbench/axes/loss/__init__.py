"""Losses on logits; an experiment's loss is a weighted sum of them.

A loss maps (logits (N,1,H,W), target (N,1,H,W) in [0, 1], valid (N,1,H,W) bool or None) to a scalar. `valid`
is True where a pixel counts; None: all count, and a loss that takes no such argument works as long as the
data set ignores no pixel. `is_mean_over_images` says that a batch's loss is the mean of its images' losses,
with and without `valid`, so that a batch may be split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segbench import registry
from segbench.registry import marker

if TYPE_CHECKING:
    from torch import nn

    from segbench.config.trial import Choice

variant = marker("loss")


def build(terms: Sequence[Choice]) -> nn.Module:
    """Build the weighted sum of loss terms: (logits, target, valid=None) to a scalar.

    Args:
        terms: Each with the knobs of its variant and, beside them, its `weight` (1 where it is missing),
            which the variant does not see.

    Raises:
        ExperimentError: A term cannot be what its knobs ask for.
    """
    from segbench.axes.loss.weighted import WeightedSum

    modules, weights = {}, {}
    for term in terms:
        knobs = {name: value for name, value in term.knobs.items() if name != "weight"}
        modules[term.name] = registry.build("loss", term.name, **knobs)
        weights[term.name] = float(term.knobs.get("weight", 1.0))
    return WeightedSum(modules, weights)
