"""Which trial of the queue a worker tries next, and what it keeps from one trial to the next."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from segbench.config.project import Project
from segbench.config.trial import TrialConfig, canonical_json, parts
from segbench.engine.heap import return_freed_memory
from segbench.errors import DataError, message
from segbench.store.queue import QueuedTrial

if TYPE_CHECKING:
    from segbench.data import PreparedData


LOOK_AGAIN_S: Final = 10.0
"""How often a busy worker looks at trials that others held: their claims go stale under its eyes alone."""


def shape_of(config: Mapping[str, Any]) -> str:
    """Name what decides a trial's tensors and memory: the fields' mark `shapes`.

    Args:
        config: `TrialConfig.to_json()`.
    """
    return canonical_json(parts(config, "shapes"))


class Picker:
    """Hands out the trials of a queue, in order, each until it has ended.

    Within one seed a worker goes on with the shape it has just run, so that what is warm in it stays warm; a
    trial of a later seed never comes before one of an earlier seed that is free. Numbers do not depend on the
    order, since no random stream has a state (`segbench.streams`). The trials of a search are taken as they
    were asked for.

    A trial is looked at once, and again only while somebody else holds it: a pick costs what has changed
    since the one before, not the length of the queue.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._trials: Sequence[QueuedTrial] = ()
        self._blocks: list[_Block] = []
        self._ended: set[str] = set()
        self._seen: dict[str, tuple[QueuedTrial, float]] = {}
        """Looked at and not ended: trials that are held, or that this worker left."""
        self._shape: str | None = None

    def update(self, trials: Sequence[QueuedTrial]) -> None:
        """Take the queue as it is now; the same object again costs nothing."""
        if trials is self._trials:
            return
        self._trials = trials
        present = {trial.hash: trial for trial in trials}
        self._seen = {h: (present[h], at) for h, (_, at) in self._seen.items() if h in present}
        self._blocks, last = [], None
        for trial in present.values():
            if trial.hash in self._ended or trial.hash in self._seen:
                continue
            key = trial.seed if trial.search is None else trial.hash
            if not self._blocks or key != last:
                self._blocks.append(_Block())
                last = key
            self._blocks[-1].trials[trial.hash] = trial

    @property
    def is_empty(self) -> bool:
        """Whether every trial of the queue has ended."""
        return not self._seen and not any(block.trials for block in self._blocks)

    def candidates(self) -> Iterator[QueuedTrial]:
        """Yield the trials to try, each at most once; whoever finds that one has ended calls `drop`."""
        tried = set()
        for trial in self._held(older_than_s=LOOK_AGAIN_S):
            tried.add(trial.hash)
            yield trial
        while self._blocks:
            found = self._blocks[0].take(self._shape)
            if found is None:
                del self._blocks[0]
                continue
            tried.add(found.hash)
            self._seen[found.hash] = (found, self._clock())
            yield found
        for trial in self._held(older_than_s=0.0):
            if trial.hash not in tried:
                yield trial

    def drop(self, trial_hash: str) -> None:
        """Never hand the trial out again: it has ended."""
        self._ended.add(trial_hash)
        self._seen.pop(trial_hash, None)

    def went_on_with(self, trial: QueuedTrial) -> None:
        """Remember what this worker is warm for."""
        self._shape = _shape(trial)

    def _held(self, *, older_than_s: float) -> Iterator[QueuedTrial]:
        for trial, looked_s in list(self._seen.values()):
            now = self._clock()
            if now - looked_s >= older_than_s:
                self._seen[trial.hash] = (trial, now)
                yield trial


class _Block:
    """Trials of one seed, in order."""

    def __init__(self) -> None:
        self.trials: OrderedDict[str, QueuedTrial] = OrderedDict()
        self._by_shape: dict[str, OrderedDict[str, QueuedTrial]] | None = None

    def take(self, shape: str | None) -> QueuedTrial | None:
        """Remove and return the first trial of a shape, without one the first of all; None: there is none."""
        if not self.trials:
            return None
        if self._by_shape is None:
            self._by_shape = {}
            for trial in self.trials.values():
                self._by_shape.setdefault(_shape(trial), OrderedDict())[trial.hash] = trial
        alike = self._by_shape.get(shape) if shape is not None else None
        trial = next(iter((alike or self.trials).values()))
        del self.trials[trial.hash]
        del self._by_shape[_shape(trial)][trial.hash]
        return trial


def _shape(trial: QueuedTrial) -> str:
    return canonical_json([trial.fold, trial.data_fingerprint]) + shape_of(trial.config)


class WarmData:
    """Holds the data of the last trial: the next one with equal data starts at once.

    The memory that the process has freed stays with it while the trials have tensors of equal shapes
    (`segbench.engine.heap`); it goes back before one of another shape, whose peak it would not be.
    """

    def __init__(self, project: Project, prepare: Callable[..., PreparedData] | None = None) -> None:
        self._project = project
        self._prepare = prepare or _prepare
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
            self._data = self._prepare(config, self._project, fold=fold)
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


def _prepare(config: TrialConfig, project: Project, *, fold: int) -> PreparedData:
    from segbench.data import prepare

    return prepare(config, project, fold=fold)
