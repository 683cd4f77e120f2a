"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval
from torch import optim

from segbench.axes.optimizer import variant
from segbench.axes.optimizer.placement import parameters_and_kernel
from segbench.errors import ExperimentError, message


@variant
def sgd(
    parameters: Iterable[Any],
    *,
    lr: Annotated[float, Gt(0)] = 1e-2,
    weight_decay: Annotated[float, Ge(0)] = 0.0,
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
    nesterov: bool = False,
) -> optim.Optimizer:
    """Gradient descent with momentum.

    v <- momentum * v + g and w <- w - lr * v, where g = gradient + weight_decay * w; with `nesterov`
    w <- w - lr * (g + momentum * v).

    Args:
        parameters: Parameters to change.
        lr: Learning rate before the schedule's factor.
        weight_decay: L2 penalty: added to the gradient.
        momentum: Memory of v; 0: plain descent.
        nesterov: Whether the step looks ahead; needs momentum.

    Raises:
        ExperimentError: `nesterov` without momentum.

    Reference:
        Sutskever et al., 2013, ICML, in PyTorch's form (the learning rate multiplies v, not g).
    """
    if nesterov and momentum == 0:
        raise ExperimentError(message("optimizer.nesterov", "it needs a momentum above 0", got=momentum))
    listed, on_cuda = parameters_and_kernel(parameters)
    return optim.SGD(
        listed,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov,
        fused=on_cuda or None,
    )
