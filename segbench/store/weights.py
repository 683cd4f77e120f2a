"""`last.pt` and `best.pt`: the only files of a trial that need torch.

After each epoch `last.pt` is renamed into place first, `best.pt` second, the row of `epochs.csv` last. If the
process dies in between, `last.pt` alone decides: where its last epoch is the selected one its own weights are
the best ones, and otherwise `best.pt` was written at an earlier epoch and is whole. `best.pt` names its
epoch, so a file that does not belong to the state is noticed.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from segbench.errors import ResultsError, message
from segbench.store.atomic import replacing
from segbench.store.layout import TrialFolder

FORMAT: Final = 1

_PLAIN = (type(None), bool, int, float, str, bytes, torch.Tensor)
_RETRAIN = "Remove last.pt and best.pt and run `segbench sweep` again to train the trial from its start"


@dataclass(frozen=True)
class Best:
    """The content of `best.pt`."""

    epoch: int
    """The selected epoch, from 1."""
    weights: Mapping[str, torch.Tensor]
    """Parameters and buffers, on the CPU."""
    input_spec: Mapping[str, Any]
    """What the network expects of an image: `size_px` (H, W), `channels`, `mean`, `std` in pixel units."""


class Saved(Protocol):
    """What is kept of a run (`segbench.engine.protocol.TrainingRun`)."""

    history: list[Any]
    selected_epoch: int | None

    @property
    def input_spec(self) -> dict[str, Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, saved: Mapping[str, Any], /) -> None: ...
    def weights(self, which: str = "selected") -> dict[str, torch.Tensor]: ...
    def load_selected(self, weights: Mapping[str, torch.Tensor], /) -> None: ...


def save_run(folder: TrialFolder, run: Saved) -> None:
    """Save a run that stands at an epoch's end: `last.pt`, then `best.pt` where this epoch is the selected
    one.

    Raises:
        ResultsError: The disk refuses, or the state holds something else than tensors and plain types.
    """
    save_last(folder.last, run.state_dict())
    if run.history and run.selected_epoch == run.history[-1].epoch:
        save_best(folder.best, Best(run.selected_epoch, run.weights("selected"), run.input_spec))


def restore_run(folder: TrialFolder, run: Saved) -> bool:
    """Bring a run to where `save_run` left it; return False where there is no `last.pt`.

    `run.history` holds the epochs done afterwards. A `best.pt` that was lost between the two writes is
    written again.

    Raises:
        ResultsError: A file is damaged, or `best.pt` is missing or of another epoch than the state selected.
    """
    if not folder.last.exists():
        return False
    run.load_state_dict(load_last(folder.last))
    if run.selected_epoch is None:
        return True
    if run.selected_epoch == run.history[-1].epoch:
        save_best(folder.best, Best(run.selected_epoch, run.weights("selected"), run.input_spec))
        return True
    best = load_best(folder.best)
    if best.epoch != run.selected_epoch:
        rule = f"the weights must be those of epoch {run.selected_epoch}, which last.pt selected"
        raise ResultsError(message(str(folder.best), rule, got=best.epoch, see=_RETRAIN))
    run.load_selected(best.weights)
    return True


def save_last(path: Path, state: Mapping[str, Any]) -> None:
    """Put a training state into `path`, atomically.

    Raises:
        ResultsError: The disk refuses, or the state holds something that could not be read back.
    """
    _save(path, state)


def load_last(path: Path) -> dict[str, Any]:
    """Read a training state onto the CPU.

    Raises:
        ResultsError: The file is missing or damaged.
    """
    return _load(path, missing="there is no training state to go on from", see=_RETRAIN)


def save_best(path: Path, best: Best) -> None:
    """Put the selected weights into `path`, atomically.

    Raises:
        ResultsError: The disk refuses.
    """
    _save(
        path,
        {
            "format": FORMAT,
            "epoch": best.epoch,
            "weights": dict(best.weights),
            "input": dict(best.input_spec),
        },
    )


def load_best(path: Path) -> Best:
    """Read the selected weights onto the CPU.

    Raises:
        ResultsError: The file is missing, damaged or of a newer format; the text says how to get it.
    """
    content = _load(
        path,
        missing="there are no saved weights (they are not committed with the results)",
        see="Copy best.pt from the machine that trained it, or remove the folder and sweep again",
    )
    if content.get("format") != FORMAT or not {"epoch", "weights", "input"} <= content.keys():
        raise ResultsError(
            message(str(path), f"weights must be of format {FORMAT}", got=content.get("format"), see=_RETRAIN)
        )
    return Best(epoch=content["epoch"], weights=content["weights"], input_spec=content["input"])


def _save(path: Path, content: Mapping[str, Any]) -> None:
    _check_plain(content, path.name)
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's zip writer reports a full disk so
            raise OSError(getattr(error.__cause__ or error.__context__, "errno", None), str(error)) from error


def _load(path: Path, *, missing: str, see: str) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ResultsError(message(str(path), missing, see=see)) from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0][:120] or type(error).__name__
        raise ResultsError(
            message(str(path), f"the file is truncated or damaged ({reason})", see=see)
        ) from error
    if not isinstance(content, dict):
        raise ResultsError(
            message(str(path), "the file must hold a dictionary", got=type(content).__name__, see=see)
        )
    return content


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_plain(inner, f"{where}: {key}" if ": " not in where else f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            _check_plain(inner, f"{where}[{position}]")
    elif not isinstance(value, _PLAIN):
        raise ResultsError(
            message(
                where,
                "a saved state holds tensors and plain types only",
                got=type(value).__name__,
                see="Turn it into a tensor, a number or a text in state_dict()",
            )
        )
