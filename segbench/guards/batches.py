"""Guards that need the number of training images: batches, steps and epochs. No torch, no pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from segbench.config.experiment import Axis, Cell, Experiment
from segbench.config.pairing import Pairing
from segbench.config.trial import TrialConfig
from segbench.data import build_source
from segbench.data.prepared import split_samples
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.guards.subjects import cells_of, data_key, place
from segbench.plan.plan import Plan
from segbench.wording import counted

_EQUAL_STEPS = 0.01
"""Arms whose numbers of steps differ by no more than this share are trained equally long."""


@dataclass(frozen=True)
class Arms:
    """The cells of a design, and how many images each is trained on."""

    experiment: Experiment
    cells: tuple[Cell, ...]
    num_train: Mapping[str, tuple[int, ...]]
    """`data_key` -> training images, fold by fold."""

    @classmethod
    def of(cls, plan: Plan) -> Arms:
        """Read the index of every data set of a plan.

        Raises:
            DataError: A data set is missing, or cannot be split as asked.
        """
        found: dict[str, tuple[int, ...]] = {}
        for cell in cells_of(plan):
            key = data_key(cell.config)
            if key not in found:
                folds = split_samples(cell.config, build_source(cell.config, plan.experiment.project))
                found[key] = tuple(len(fold["train"]) for fold in folds)
        return cls(plan.experiment, cells_of(plan), found)

    def sizes(self, config: TrialConfig) -> tuple[int, ...]:
        """Return how many images a configuration is trained on, fold by fold."""
        return self.num_train[data_key(config)]

    def steps_per_epoch(self, config: TrialConfig) -> int:
        """Return the optimiser's steps in an epoch of the first fold."""
        return ceil(ceil(self.sizes(config)[0] / config.batch_size) / config.accumulate)

    def steps(self, config: TrialConfig) -> int:
        return config.epochs * self.steps_per_epoch(config)


@guard("SB110", Severity.WARNING)
def batch_norm_has_batches(arms: Arms) -> Iterator[str]:
    """Batch normalisation sees more than one image at every step."""
    alone: list[Cell] = []
    last: dict[tuple[int, int], list[Cell]] = {}
    for cell in arms.cells:
        if cell.config.norm.name != "batch":
            continue
        batch_size = cell.config.batch_size
        if batch_size == 1:
            alone.append(cell)
        for size in dict.fromkeys(arms.sizes(cell.config)):
            if batch_size > 1 and size % batch_size == 1:
                last.setdefault((size, batch_size), []).append(cell)
    if alone:
        yield message(
            place(arms.experiment, "batch_size", alone, of=arms.cells),
            "batch normalisation at one image a batch trains by that image's own statistics and is evaluated "
            "by running averages",
            got=1,
            see="Take `norm: group` or `norm: instance`, or a larger batch_size",
        )
    for (size, batch_size), cells in last.items():
        yield message(
            place(arms.experiment, "batch_size", cells, of=arms.cells),
            f"the last batch of an epoch holds one of {size} training images, which batch normalisation then "
            "takes for the whole batch",
            got=batch_size,
            see=f"Take batch_size: {_without_rest(size, batch_size)}",
        )


@guard("SB119", Severity.WARNING)
def arms_train_equally_long(arms: Arms) -> Iterator[str]:
    """The levels of an axis train for as many epochs and steps, unless the epochs are the axis."""
    if arms.experiment.search is not None:
        return
    for axis in arms.experiment.axes:
        for level, baseline in _pairs(arms, axis):
            if _targets(arms, axis, level, baseline) == {"epochs"}:
                continue
            ours, theirs = arms.steps(level.config), arms.steps(baseline.config)
            if abs(ours - theirs) <= _EQUAL_STEPS * theirs:
                continue
            epochs = max(1, round(theirs / arms.steps_per_epoch(level.config)))
            what = [
                f"{cell.levels[axis.name]} trains for {_length(arms, cell)}" for cell in (level, baseline)
            ]
            yield message(
                f"{arms.experiment.name}: {axis.name}",
                f"{', '.join(what)}: the effect of {axis.name} is mixed with that of the training's length",
                see=f"With `epochs: {epochs}` the level takes as many steps"
                if epochs != level.config.epochs
                else "Give the levels the same epochs and steps",
            )


@guard("SB119", Severity.NOTE)
def arms_end_together(arms: Arms) -> Iterator[str]:
    """No arm ends early by a rule that another arm may meet later."""
    cells = [cell for cell in arms.cells if cell.config.early_stopping is not None]
    if cells and len(arms.cells) > 1 and arms.experiment.search is None:
        yield message(
            place(arms.experiment, "early_stopping", cells, of=arms.cells),
            "arms may end at different epochs, and one that learns slowly look like one that learns little",
            see="Leave early_stopping out where arms are compared; the objective selects the weights anyway",
        )


def _pairs(arms: Arms, axis: Axis) -> Iterator[tuple[Cell, Cell]]:
    """Yield, for every level, one cell of it and the cell of the baseline level that is alike otherwise."""
    pairing = Pairing.of(arms.experiment)
    if pairing.is_fraction or pairing.group(axis.name)[0] != axis.name:
        return  # cells of a fraction differ in other axes too; zipped axes are looked at once
    for label in axis.labels:
        if label != axis.baseline:
            yield from pairing.pairs(arms.cells, axis.name, label, axis.baseline)[:1]


def _targets(arms: Arms, axis: Axis, *cells: Cell) -> set[str]:
    """Return what the levels of an axis, and those of axes zipped with it, set in these cells."""
    return {
        target
        for each in arms.experiment.axes
        if each.name in Pairing.of(arms.experiment).group(axis.name)
        for level in each.levels
        if level.label in {cell.levels[each.name] for cell in cells}
        for target in level.changes
    }


def _length(arms: Arms, cell: Cell) -> str:
    return f"{counted(cell.config.epochs, 'epoch')} of {arms.steps_per_epoch(cell.config):,} steps"


def _without_rest(size: int, batch_size: int) -> int:
    """Return the nearest batch size that leaves no batch of one image."""
    nearby = (batch_size + sign * away for away in range(1, size) for sign in (-1, 1))
    return next(other for other in nearby if other > 1 and size % other != 1)
