"""What a worker keeps from one trial to the next: prepared data, and the memory its tensors lay in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from segbench.config.project import Project
from segbench.config.trial import TrialConfig, canonical_json
from segbench.engine.heap import return_freed_memory
from segbench.errors import DataError, message
from segbench.trial.picking import shape_of

if TYPE_CHECKING:
    from segbench.data import PreparedData


class WarmData:
    """Holds the data of the last trial: the next one with equal data starts at once.

    The memory that the process has freed stays with it while the trials have tensors of equal shapes
    (`segbench.engine.heap`); it goes back before one of another shape, whose peak it would not be.
    """

    def __init__(self, project: Project, prepare: Callable[..., PreparedData] | None = None) -> None:
        self._project = project
        self._prepare = prepare
        self._key: str | None = None
        self._shape: str | None = None
        self._data: PreparedData | None = None

    def get(self, config: TrialConfig, *, fold: int, fingerprint: str) -> PreparedData:
        """Return the prepared data of a trial.

        Raises:
            DataError: The data are not those that the sweep was planned with.
        """
        chosen = config.to_json()
        key = canonical_json([fold, fingerprint, *(chosen[name] for name in ("dataset", "split", "input"))])
        if key != self._key:
            self._key = self._data = None  # let go of the old memory map before the new one is made
            self._data = self._load(config, fold)
            if self._data.fingerprint != fingerprint:
                raise DataError(
                    message(
                        f"data set {config.dataset.name}",
                        "the files have changed since the sweep was planned",
                        got=self._data.fingerprint[:16],
                        known=[fingerprint[:16]],
                        see="Run segbench sweep again: it plans with the data as they are now",
                    )
                )
            self._key = key
        shape = shape_of(chosen)
        if shape != self._shape:
            return_freed_memory()
            self._shape = shape
        assert self._data is not None
        return self._data

    def _load(self, config: TrialConfig, fold: int) -> PreparedData:
        if self._prepare is not None:
            return self._prepare(config, self._project, fold=fold)
        from segbench.data import prepare

        return prepare(config, self._project, fold=fold)
