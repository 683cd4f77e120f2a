"""Losses on logits; an experiment's loss is a weighted sum of them."""

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
    """Build the weighted sum of loss terms: (logits (N,1,H,W), target (N,1,H,W)) to a scalar.

    Args:
        terms: Each with the knobs of its variant and, beside them, its `weight` (1 where it is missing),
            which the variant does not see.
    """
    from segbench.axes.loss.weighted import WeightedSum

    modules, weights = {}, {}
    for term in terms:
        knobs = {name: value for name, value in term.knobs.items() if name != "weight"}
        modules[term.name] = registry.build("loss", term.name, **knobs)
        weights[term.name] = float(term.knobs.get("weight", 1.0))
    return WeightedSum(modules, weights)
