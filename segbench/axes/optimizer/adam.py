"""Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval
from torch import optim

from segbench.axes.optimizer import variant
from segbench.axes.optimizer.placement import parameters_and_kernel


@variant
def adam(
    parameters: Iterable[Any],
    *,
    lr: Annotated[float, Gt(0)] = 1e-3,
    weight_decay: Annotated[float, Ge(0)] = 0.0,
    beta1: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.999,
    eps: Annotated[float, Gt(0)] = 1e-8,
) -> optim.Optimizer:
    """Adam: steps of the gradient's running mean over the root of its running square.

    w <- w - lr * m / (sqrt(v) + eps), m and v bias-corrected running averages of g and g^2 where
    g = gradient + weight_decay * w.

    Args:
        parameters: Parameters to change.
        lr: Learning rate before the schedule's factor.
        weight_decay: L2 penalty: added to the gradient, so it is rescaled with it. `adamw` decouples it.
        beta1: Memory of m.
        beta2: Memory of v.
        eps: Added to the root of v.

    Reference:
        Kingma & Ba, 2015, arXiv:1412.6980.
    """
    listed, on_cuda = parameters_and_kernel(parameters)
    return optim.Adam(
        listed,
        lr=lr,
        betas=(beta1, beta2),
        eps=eps,
        weight_decay=weight_decay,
        fused=on_cuda or None,
        capturable=on_cuda,
    )
