"""What happens to a skip on its way to the decoder: fitted, gated, concatenated."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Join(nn.Module):
    """Concatenate a map from below with the skip of its level.

    Shapes: (N, below, h, w) and skip (N, skip, H, W) to (N, skip + below, H, W). With `fit="refuse"` the two
    must have the same H and W already; with `fit="pad"` the map from below is padded with zeros on all sides
    to the skip's size, and cropped where it is larger.
    """

    def __init__(self, *, concat: str = "skip_first", fit: str = "refuse") -> None:
        """Set how the two maps meet.

        Args:
            concat: `skip_first` or `up_first`: whose channels come first.
            fit: `refuse` or `pad`.
        """
        super().__init__()
        self.concat = concat
        self.fit = fit

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        if self.fit == "pad":
            below = pad_to(below, skip)
        return torch.cat([skip, below] if self.concat == "skip_first" else [below, skip], dim=1)

    def extra_repr(self) -> str:
        return f"concat={self.concat}, fit={self.fit}"


def pad_to(features: Tensor, reference: Tensor) -> Tensor:
    """Pad (N, C, h, w) with zeros to the reference's H and W, centred; where it is larger crop it."""
    height, width = (
        after - before for before, after in zip(features.shape[-2:], reference.shape[-2:], strict=True)
    )
    return F.pad(features, (width // 2, width - width // 2, height // 2, height - height // 2))


class AttentionGate(nn.Module):
    """Weight every pixel of a skip by how much the coarser map below asks for it.

    alpha = sigmoid(psi(ReLU(W_x x + W_g g))), one number in (0, 1) a pixel; the result is alpha * x. W_x
    (without bias), W_g and psi (with bias) are 1x1 convolutions, the first of stride 2, so that the sum is
    taken at the coarser map's resolution; alpha is up-sampled bilinearly.

    Shapes: skip x (N, skip, H, W) and gating g (N, below, H // 2, W // 2) to (N, skip, H, W).

    Reference:
        Oktay et al., 2018, arXiv:1804.03999, equations 1 and 2. There in 3D. The paper leaves the inner
        width open; here it is half the skip's.
    """

    def __init__(self, skip_channels: int, gating_channels: int) -> None:
        super().__init__()
        inner = max(skip_channels // 2, 1)
        self.skip_map = nn.Conv2d(skip_channels, inner, 1, stride=2, bias=False)
        self.gating_map = nn.Conv2d(gating_channels, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        height, width = gating.shape[-2:]
        # An odd side has one more stride than max-pooling has cells: the last is dropped here as well.
        mapped = self.skip_map(skip)[..., :height, :width]
        alpha = torch.sigmoid(self.psi(F.relu(mapped + self.gating_map(gating))))
        return F.interpolate(alpha, size=skip.shape[-2:], mode="bilinear") * skip
