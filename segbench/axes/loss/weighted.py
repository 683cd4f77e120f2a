"""The weighted sum of loss terms."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from torch import Tensor, nn

from segbench.errors import ExperimentError, message


class WeightedSum(nn.Module):
    """sum_k weight_k * term_k(logits, target, valid)."""

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        """Take the terms and their weights by name."""
        super().__init__()
        self.names = tuple(terms)
        self.terms = nn.ModuleList(terms.values())
        self.weights = tuple(weights[name] for name in self.names)
        self.names_without_valid = tuple(name for name, term in terms.items() if not takes_valid(term))

    @property
    def is_mean_over_images(self) -> bool:
        """Whether the loss of a batch is the mean of its images' losses, so that a batch may be split."""
        return all(getattr(term, "is_mean_over_images", False) for term in self.terms)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the sum; shapes (N, 1, H, W) each to ().

        Args:
            logits: What the network says.
            target: In [0, 1].
            valid: bool, True where a pixel counts; None: all count.

        Raises:
            ExperimentError: `valid` is given, and a term does not take it.
        """
        named = {"logits": logits, "target": target} | ({} if valid is None else {"valid": valid})
        if len({each.shape for each in named.values()}) > 1:
            shapes = " and ".join(str(tuple(each.shape)) for each in named.values())
            raise ValueError(f"loss: {' and '.join(named)} must have one shape, got {shapes}.")
        if valid is not None and self.names_without_valid:
            rule = f"the loss {self.names_without_valid[0]} takes no `valid`"
            see = "Give its forward a third argument `valid`, or let the data set ignore none"
            raise ExperimentError(message("loss", f"{rule}, so it cannot leave out ignored pixels", see=see))
        masked = {} if valid is None else {"valid": valid}
        parts: list[Tensor] = [
            weight * term(logits, target, **masked)
            for weight, term in zip(self.weights, self.terms, strict=True)
        ]
        return sum(parts[1:], parts[0])


def takes_valid(term: nn.Module) -> bool:
    """Return whether a loss can leave out ignored pixels: its forward has an argument `valid`."""
    return "valid" in inspect.signature(term.forward).parameters
