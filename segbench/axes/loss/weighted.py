"""The weighted sum of loss terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class WeightedSum(nn.Module):
    """sum_k weight_k * term_k(logits, target)."""

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        """Take the terms and their weights by name."""
        super().__init__()
        self.names = tuple(terms)
        self.terms = nn.ModuleList(terms.values())
        self.weights = tuple(weights[name] for name in self.names)

    @property
    def is_mean_over_images(self) -> bool:
        """Whether the loss of a batch is the mean of its images' losses, so that a batch may be split."""
        return all(getattr(term, "is_mean_over_images", False) for term in self.terms)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the sum; shapes (N, 1, H, W) and (N, 1, H, W) to ()."""
        if logits.shape != target.shape:
            shapes = f"{tuple(logits.shape)} and {tuple(target.shape)}"
            raise ValueError(f"loss: logits and target must have one shape, got {shapes}.")
        parts = [weight * term(logits, target) for weight, term in zip(self.weights, self.terms, strict=True)]
        return sum(parts[1:], parts[0])
