"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval
from torch import optim

from segbench.axes.optimizer import variant
from segbench.axes.optimizer.placement import parameters_and_kernel


@variant
def rmsprop(
    parameters: Iterable[Any],
    *,
    lr: Annotated[float, Gt(0)] = 1e-2,
    weight_decay: Annotated[float, Ge(0)] = 0.0,
    alpha: Annotated[float, Interval(ge=0, lt=1)] = 0.99,
    eps: Annotated[float, Gt(0)] = 1e-8,
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    centered: bool = False,
) -> optim.Optimizer:
    """Steps of the gradient over the root of its running square.

    v <- alpha * v + (1 - alpha) * g^2 and w <- w - lr * b, where b <- momentum * b + g / (sqrt(v) + eps) and
    g = gradient + weight_decay * w; with `centered` the running mean of g, squared, is taken off v under the
    root. The averages start at 0 and are not corrected for it.

    Args:
        parameters: Parameters to change.
        lr: Learning rate before the schedule's factor.
        weight_decay: L2 penalty: added to the gradient, so it is rescaled with it.
        alpha: Memory of v.
        eps: Added to the root of v.
        momentum: Memory of b; 0: none.
        centered: Whether v is the running variance instead of the running square.

    Reference:
        Tieleman & Hinton, 2012, Neural Networks for Machine Learning, lecture 6.5; centered: Graves, 2013,
        arXiv:1308.0850. PyTorch's form, with eps outside the root; it has no fused kernel.
    """
    listed, on_cuda = parameters_and_kernel(parameters)
    return optim.RMSprop(
        listed,
        lr=lr,
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
        momentum=momentum,
        centered=centered,
        foreach=on_cuda or None,
        capturable=on_cuda,
    )
