"""`last.pt` and `best.pt`: the only files of a trial that need torch.

After each epoch `last.pt` is renamed into place first, `best.pt` second, the row of `epochs.csv` last. If the
process dies in between, `last.pt` alone decides: where its last epoch is the selected one its own weights are
the best ones, and otherwise `best.pt` was written at an earlier epoch and is whole. `best.pt` names its
epoch, so a file that does not belong to the state is noticed, and both name their trial.
"""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

import torch

from segbench.errors import ResultsError, message
from segbench.store.atomic import replacing, write_errors
from segbench.store.layout import TRIAL_KEY, TrialFolder

FORMAT: Final = 1

_PLAIN = (type(None), bool, int, float, str, bytes, torch.Tensor)
_RETRAIN = "Remove last.pt and best.pt and run `segbench sweep` again to train the trial from its start"
_FETCH = "Copy best.pt from where it was trained, or remove the trial's folder and run `segbench sweep` again"


class DamagedWeights(ResultsError):
    """A saved state cannot be used: it is truncated, of another trial, or does not fit its network."""


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


def _no_check() -> None:
    return


def save_run(folder: TrialFolder, run: Saved, *, before_write: Callable[[], None] = _no_check) -> None:
    """Save a run that stands at an epoch's end: `last.pt`, then `best.pt` where this epoch is the selected
    one.

    Args:
        folder: The trial's folder.
        run: What to save.
        before_write: Called before each file, such as a lease's check.

    Raises:
        ResultsError: The disk refuses, or the state holds something else than tensors and plain types.
    """
    before_write()
    write_last(folder, run.state_dict())
    _save_selected(folder, run, before_write)


def restore_run(folder: TrialFolder, run: Saved, *, before_write: Callable[[], None] = _no_check) -> bool:
    """Bring a run to where `save_run` left it; return False where there is no `last.pt`.

    `run.history` holds the epochs done afterwards. A `best.pt` that a crash kept from being written is
    written now.

    Raises:
        DamagedWeights: A file is damaged, or `best.pt` is missing or of another epoch than the state
            selected. The run may be half restored: make another one.
        ResultsError: The disk refuses.
    """
    state = read_last(folder)
    if state is None:
        return False
    try:
        run.load_state_dict(state)
    except ResultsError as error:
        raise DamagedWeights(f"{folder.last}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        rule = f"the state does not fit this trial ({type(error).__name__}: {error})"
        raise DamagedWeights(message(str(folder.last), rule, see=_RETRAIN)) from error
    if run.selected_epoch is not None and not _save_selected(folder, run, before_write):
        best = read_best(folder, epoch=run.selected_epoch)
        try:
            run.load_selected(best.weights)
        except ResultsError as error:
            raise DamagedWeights(f"{folder.best}: {error}") from error
    return True


def set_aside(folder: TrialFolder) -> None:
    """Rename `last.pt` and `best.pt` to `*.damaged.pt`, so that the trial starts from its beginning.

    Raises:
        ResultsError: The disk refuses.
    """
    for path in (folder.last, folder.best):
        if path.exists():
            with write_errors(path):
                path.replace(path.with_suffix(".damaged.pt"))


def write_last(folder: TrialFolder, state: Mapping[str, Any]) -> None:
    """Put a training state into `last.pt`, atomically.

    Raises:
        ResultsError: The disk refuses, or the state holds something that could not be read back.
    """
    _save(folder.last, {**state, TRIAL_KEY: folder.hash})


def read_last(folder: TrialFolder) -> dict[str, Any] | None:
    """Read the training state onto the CPU; None where there is none.

    Raises:
        DamagedWeights: The file is damaged, or of another trial.
    """
    return _load(folder, folder.last, _RETRAIN) if folder.last.exists() else None


def write_best(
    folder: TrialFolder, weights: Mapping[str, torch.Tensor], *, epoch: int, input_spec: Mapping[str, Any]
) -> None:
    """Put the selected epoch's weights, and what they expect of an image, into `best.pt`, atomically.

    Raises:
        ResultsError: The disk refuses.
    """
    content = {"format": FORMAT, "epoch": epoch, "weights": dict(weights), "input": dict(input_spec)}
    _save(folder.best, {**content, TRIAL_KEY: folder.hash})


def read_best(folder: TrialFolder, *, epoch: int | None = None) -> Best:
    """Read the selected weights onto the CPU.

    Args:
        folder: The trial's folder.
        epoch: The epoch they must be of; None: whichever they are of.

    Raises:
        DamagedWeights: The file is missing, damaged or of another trial, epoch or format; the text says how
            to get it.
    """
    where = str(folder.best)
    if not folder.best.exists():
        rule = "there are no saved weights (they are not committed with the results)"
        raise DamagedWeights(message(where, rule, see=_FETCH))
    content = _load(folder, folder.best, _FETCH)
    if content.get("format") != FORMAT or not {"epoch", "weights", "input"} <= content.keys():
        got = content.get("format")
        raise DamagedWeights(message(where, f"weights must be of format {FORMAT}", got=got, see=_FETCH))
    if epoch is not None and content["epoch"] != epoch:
        rule = f"the weights must be those of the selected epoch {epoch}"
        raise DamagedWeights(message(where, rule, got=content["epoch"], see=_RETRAIN))
    return Best(epoch=content["epoch"], weights=content["weights"], input_spec=content["input"])


def _save_selected(folder: TrialFolder, run: Saved, before_write: Callable[[], None]) -> bool:
    """Write `best.pt` if the last epoch done is the selected one; return whether it is."""
    epoch = run.selected_epoch
    if epoch is None or epoch != run.history[-1].epoch:
        return False
    before_write()
    write_best(folder, run.weights("selected"), epoch=epoch, input_spec=run.input_spec)
    return True


def _save(path: Path, content: Mapping[str, Any]) -> None:
    _check_plain(content, path.name)
    with replacing(path) as temporary, temporary.open("wb") as opened:
        file = _Witness(opened)
        try:
            torch.save(content, cast("IO[bytes]", file))  # needs write and flush only
        except RuntimeError:
            if file.refusal is not None:
                raise file.refusal from None
            raise


class _Witness:
    """A file that remembers why it could not be written: torch's own writer hides that."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.refusal: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.refusal = self.refusal or error
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self.refusal = self.refusal or error
            raise


def _load(folder: TrialFolder, path: Path, see: str) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # torch's word for a cut-off archive
            # the disk or the share may be at fault, and the file whole
            raise ResultsError(message(str(path), f"the file cannot be read: {error.strerror}")) from error
        reason = str(error).strip().partition("\n")[0][:120] or type(error).__name__
        rule = f"the file is truncated or damaged ({reason})"
        raise DamagedWeights(message(str(path), rule, see=see)) from error
    if not isinstance(content, dict):
        rule = "the file must hold a dictionary"
        raise DamagedWeights(message(str(path), rule, got=type(content).__name__, see=see))
    trial = content.pop(TRIAL_KEY, folder.hash)
    if trial != folder.hash:
        raise DamagedWeights(message(str(path), "the file is of another trial", got=trial, see=see))
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
