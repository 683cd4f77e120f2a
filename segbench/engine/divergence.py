"""A loss that is no number any more."""

from __future__ import annotations

from segbench.errors import TrialError, message


class Diverged(TrialError):
    """A loss was NaN or infinite: an outcome of the trial, not a defect of the program."""

    def __init__(self, epoch: int, step: int, what: str, value: float) -> None:
        """Name the moment.

        Args:
            epoch: Epoch, from 1.
            step: Batch within the epoch, from 1: the first whose loss is not finite.
            what: The loss: `train_loss`, `val_loss` or `test_loss`.
            value: NaN or an infinity.
        """
        self.epoch = epoch
        self.step = step
        self.what = what
        self.value = value
        super().__init__(message(f"epoch {epoch}, step {step}", f"{what} is not finite", got=value))

    def __reduce__(self) -> tuple[type, tuple[int, int, str, float]]:
        return type(self), (self.epoch, self.step, self.what, self.value)
