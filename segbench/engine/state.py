"""A run's state as tensors and plain types, which `torch.load(weights_only=True)` reads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from segbench.errors import ResultsError, message
from segbench.quantities import VAL_METRICS
from segbench.records import DECIMALS, EpochRecord

FORMAT: Final = 1

_KERNEL_FLAGS: Final = ("fused", "foreach", "capturable")

_CURE: Final = "Remove last.pt and best.pt to train the trial from its start"


def write(
    model: nn.Module,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    history: Sequence[EpochRecord],
    selected_epoch: int | None,
) -> dict[str, Any]:
    """Copy everything that later epochs depend on to the CPU.

    The random streams are functions of the epoch and the schedule is one of the history, so these stand for
    them. `model` holds the weights that the optimiser moves; their average is in `average`, a key that is
    there only where a run keeps one.
    """
    stepped = to_cpu(optimizer.state_dict())
    for group in stepped["param_groups"]:
        group["lr"] = float(group["lr"])
    written = {
        "format": FORMAT,
        "epochs_done": len(history),
        "selected_epoch": selected_epoch,
        "history": [asdict(record) for record in history],
        "model": to_cpu(model.state_dict()),
        "criterion": to_cpu(criterion.state_dict()),
        "optimizer": stepped,
    }
    return written if average is None else {**written, "average": average.state_dict()}


def read(
    saved: Mapping[str, Any],
    model: nn.Module,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
) -> list[EpochRecord]:
    """Put a written state into model, loss, optimiser and average; return the epochs done.

    Raises:
        ResultsError: It is of another format or network.
    """
    where = "last.pt"
    if saved.get("format") != FORMAT:
        raise ResultsError(
            message(
                where,
                f"this segbench reads training states of format {FORMAT}",
                got=saved.get("format"),
                see=_CURE,
            )
        )
    try:
        check_fits(saved["model"], model, where)
        model.load_state_dict(saved["model"])
        criterion.load_state_dict(saved["criterion"])
        _load_optimizer(optimizer, saved["optimizer"])
        if average is not None:
            average.load_state_dict(saved["average"])
        return [_with_columns_of_today(EpochRecord(**record)) for record in saved["history"]]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        rule = f"the training state does not fit this trial ({_first_line(error)})"
        raise ResultsError(message(where, rule, see=_CURE)) from error


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Load a state into the tensors that are there, whose addresses a recorded step may know.

    How the optimiser steps (`placement.parameters_and_kernel`) is this machine's affair, not the file's.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    before = {parameter: dict(state) for parameter, state in optimizer.state.items()}
    groups = [
        {**theirs, **{name: ours[name] for name in _KERNEL_FLAGS if name in ours}}
        for theirs, ours in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(rate, torch.Tensor):
            group["lr"] = rate.fill_(float(group["lr"]))
    for parameter, held in before.items():
        loaded = optimizer.state[parameter]
        for name, value in held.items():
            if isinstance(value, torch.Tensor):
                loaded[name] = value.copy_(loaded[name]) if name in loaded else value.zero_()


def check_fits(weights: Mapping[str, torch.Tensor], model: nn.Module, where: str = "best.pt") -> None:
    """Refuse weights of another network.

    Raises:
        ResultsError: Names or shapes differ; the first difference is named.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(w[name].shape) if name in w else None for w in (own, weights)]
        if shapes[0] != shapes[1]:
            raise ResultsError(
                message(
                    where,
                    f"the weights are of another network: {name} must have shape {shapes[0]}",
                    got=shapes[1],
                    see="The variant's code may have changed; check out the commit in trial.json",
                )
            )


def to_cpu(value: Any) -> Any:
    """Copy nested dicts, lists and tuples with every tensor on the CPU, sharing no memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: to_cpu(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_cpu(inner) for inner in value)
    return value


def rounded(record: EpochRecord) -> EpochRecord:
    """Return the record as files hold it, so that what is selected now is what a reader of the file would
    select."""
    numbers = {name: _round(value) for name, value in asdict(record).items() if isinstance(value, float)}
    return replace(record, **numbers, val={name: _round(value) for name, value in record.val.items()})


def set_lr(group: dict[str, Any], lr: float) -> None:
    """Set a group's learning rate, in place where the optimiser keeps it as a tensor."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def _round(value: float) -> float:
    return float(f"{value:.{DECIMALS}g}")


def _with_columns_of_today(record: EpochRecord) -> EpochRecord:
    """Give an epoch of an older version NaN where metrics were added: `epochs.csv` has one header."""
    names = [name.removeprefix("val_") for name in VAL_METRICS]
    return replace(record, val={**dict.fromkeys(names, float("nan")), **record.val})


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


# The running average of a network's weights over the steps of training.


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
