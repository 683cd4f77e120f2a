"""The running average of a network's weights over the steps of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from segbench.engine.state import check_fits, to_cpu


class WeightAverage:
    """Exponential running average of parameters and buffers, updated after every step of the optimiser.

    average <- d average + (1 - d) weights, with d = min(decay, (1 + t) / (10 + t)) after t earlier updates:
    until the decay is reached, the window 1 / (1 - d) is about a ninth of the steps done, so the first
    weights are soon forgotten. The first update (t = 0) takes the weights as they are. Buffers of floats,
    such as the running statistics of batch norm, are averaged as the parameters are, since copied ones would
    belong to the newest weights alone; buffers of whole numbers are copied.

    `torch.optim.swa_utils.AveragedModel` is not used, because each of its updates waits for a GPU.

    Reference:
        Polyak & Juditsky, 1992, SIAM J. Control Optim. 30(4); the rise of d is that of TensorFlow's
        `ExponentialMovingAverage(num_updates)`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start with the network's weights; no update is done yet.

        Args:
            model: The network that is trained; it is looked at in each update.
            decay: Share of the average that an update keeps, in (0, 1).
        """
        self._model = model
        self._decay = decay
        self._num_updates = 0
        self._average = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """The average by name, on the network's device; the next update changes these tensors."""
        return self._average

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights. It waits for no device."""
        weights = self._model.state_dict()
        is_first = self._num_updates == 0
        averaged = [] if is_first else [name for name, value in weights.items() if value.is_floating_point()]
        if averaged:
            rising = (1 + self._num_updates) / (10 + self._num_updates)
            take = get_ema_multi_avg_fn(min(self._decay, rising))
            take([self._average[name] for name in averaged], [weights[name] for name in averaged], 0)
        for name in weights.keys() - set(averaged):
            self._average[name].copy_(weights[name])
        self._num_updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that later updates depend on, on the CPU."""
        return {"num_updates": self._num_updates, "weights": to_cpu(self._average)}

    def load_state_dict(self, saved: Mapping[str, Any], where: str = "last.pt") -> None:
        """Stand where `saved` was taken.

        Raises:
            ResultsError: It is of another network.
        """
        check_fits(saved["weights"], self._model, where)
        self._num_updates = int(saved["num_updates"])
        for name, value in self._average.items():
            value.copy_(saved["weights"][name])
