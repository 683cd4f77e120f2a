"""Tversky loss."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt
from torch import Tensor, nn

from segbench.axes.loss import variant
from segbench.axes.loss.overlap import soft_counts
from segbench.errors import ExperimentError, message


@variant
def tversky(
    *,
    alpha: Annotated[float, Ge(0)] = 0.3,
    beta: Annotated[float, Ge(0)] = 0.7,
    per_image: bool = False,
    smooth: Annotated[float, Gt(0)] = 1e-6,
) -> nn.Module:
    """Tversky loss of logits: 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth).

    TP = sum(p * t), FP = sum(p * (1 - t)), FN = sum((1 - p) * t) with p = sigmoid(logits), in float32. Takes
    logits. With alpha = beta = 0.5 and half of its `smooth` it is the soft Dice loss; with alpha = beta = 1
    the soft Jaccard loss.

    Empty masks: alpha sum(p) / (alpha sum(p) + smooth), which is 0 for an empty prediction.

    A soft target counts in parts, so that p = t costs something then. Ignored pixels are in no sum; an image
    without a valid pixel is an empty prediction on an empty mask.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        alpha: Weight of false positives.
        beta: Weight of false negatives; above alpha it favours recall.
        per_image: False: the sums run over all pixels of the batch, so large objects weigh more and the value
            depends on the batch size. True: one ratio an image, then the mean over images.
        smooth: Added above and below, so that an empty prediction on an empty mask costs nothing.

    Raises:
        ExperimentError: alpha and beta are both 0.

    Reference:
        Salehi et al., 2017, arXiv:1706.05721, equation 3.
    """
    return Tversky("tversky", alpha, beta, per_image, smooth)


class Tversky(nn.Module):
    """The loss that `tversky` describes."""

    def __init__(self, name: str, alpha: float, beta: float, per_image: bool, smooth: float) -> None:
        """Take the knobs, and the name of the variant for messages."""
        super().__init__()
        if alpha == beta == 0:
            rule = "alpha and beta are both 0, so that no error costs anything and nothing has a gradient"
            see = "Let at least one be above 0, such as alpha: 0.3, beta: 0.7"
            raise ExperimentError(message(f"loss {name}", rule, see=see))
        self.alpha = alpha
        self.beta = beta
        self.is_mean_over_images = per_image
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return self.complements(logits, target, valid).mean()

    def complements(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Return 1 - the Tversky index, (N,) of images or () of the batch."""
        tp, fp, fn = soft_counts(logits, target, valid, per_image=self.is_mean_over_images)
        errors = self.alpha * fp + self.beta * fn
        return errors / (tp + errors + self.smooth)
