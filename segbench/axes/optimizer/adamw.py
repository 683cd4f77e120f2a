"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval
from torch import optim

from segbench.axes.optimizer import variant
from segbench.axes.optimizer.placement import parameters_and_kernel


@variant
def adamw(
    parameters: Iterable[Any],
    *,
    lr: Annotated[float, Gt(0)] = 1e-3,
    weight_decay: Annotated[float, Ge(0)] = 1e-2,
    beta1: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Interval(ge=0, lt=1)] = 0.999,
    eps: Annotated[float, Gt(0)] = 1e-8,
) -> optim.Optimizer:
    """Adam with decoupled weight decay.

    w <- (1 - lr * weight_decay) * w - lr * m / (sqrt(v) + eps), m and v bias-corrected running averages of
    the gradient and its square.

    Args:
        parameters: Parameters to change.
        lr: Learning rate before the schedule's factor.
        weight_decay: Share of the weights taken away each step, times the learning rate.
        beta1: Memory of m.
        beta2: Memory of v.
        eps: Added to the root of v.

    Reference:
        Loshchilov & Hutter, 2019, arXiv:1711.05101; the decay is multiplied by the learning rate, as in
        PyTorch.
    """
    listed, on_cuda = parameters_and_kernel(parameters)
    return optim.AdamW(
        listed,
        lr=lr,
        betas=(beta1, beta2),
        eps=eps,
        weight_decay=weight_decay,
        fused=on_cuda or None,
        capturable=on_cuda,
    )
