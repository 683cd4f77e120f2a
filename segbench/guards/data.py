"""What is to be trained, and the guards that look at its data: split, pixels, batches and steps. No torch.

Nothing is decoded here: pixels are looked at where the cache of a data set is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from math import ceil
from typing import Final

import numpy as np

from segbench import registry
from segbench.config.expand import parameter_ends
from segbench.config.experiment import Axis, Cell, Experiment
from segbench.config.pairing import Pairing
from segbench.config.trial import Keys, TrialConfig, canonical_json, variant_digests
from segbench.data import build_source, find_pixels, fingerprint
from segbench.data.cache import CachedPixels
from segbench.data.prepared import (
    MAX_VALUE,
    foreground_shares,
    image_digests,
    scaling_of,
    split_samples,
    statistics,
)
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.plan.plan import Plan
from segbench.samples import PARTS, Sample
from segbench.wording import counted

_MOST_CELLS: Final = 3


def cells_of(plan: Plan) -> tuple[Cell, ...]:
    """Return the cells that a plan is about, each configuration once.

    A search has none before its sampler asks: its baseline stands for them, and the baseline with each
    parameter at its bounds or levels. A tuned design has its cells as designed.
    """
    if plan.experiment.search is not None:
        cells: Iterable[Cell] = parameter_ends(plan.experiment)
    elif plan.tunings:
        cells = [tuning.cell for tuning in plan.tunings]
    else:
        cells = [entry.trial.cell for entry in plan.entries]
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(cell.config_hash, cell)
    return tuple(found.values())


def has_work(plan: Plan) -> bool:
    """Whether something is left to train; a search is asked elsewhere whether it is over."""
    return bool(plan.to_run) or plan.experiment.search is not None or not plan.is_tuned


@dataclass(frozen=True)
class Arms:
    """What is going to be trained: cells without seeds, and the data that they share."""

    plan: Plan
    cells: tuple[Cell, ...]
    """From `cells_of`."""
    keys: Keys = field(default_factory=Keys)

    @classmethod
    def of(cls, plan: Plan) -> Arms:
        return cls(plan, cells_of(plan))

    @property
    def experiment(self) -> Experiment:
        return self.plan.experiment

    def data_key(self, config: TrialConfig) -> tuple[str, ...]:
        """Name what decides which images go into which part of the split."""
        return self.keys.of(config.dataset, config.split, config.max_images)

    @cached_property
    def by_data(self) -> Mapping[tuple[str, ...], tuple[Cell, ...]]:
        """`data_key` -> the cells that share the data and their split."""
        found: dict[tuple[str, ...], list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(self.data_key(cell.config), []).append(cell)
        return {key: tuple(cells) for key, cells in found.items()}

    @cached_property
    def num_train(self) -> Mapping[tuple[str, ...], tuple[int, ...]]:
        """`data_key` -> training images, fold by fold, from the index of every data set.

        Raises:
            DataError: A data set is missing, or cannot be split as asked.
        """
        found = {}
        for key, cells in self.by_data.items():
            config = cells[0].config
            folds = split_samples(config, build_source(config, self.experiment.project))
            found[key] = tuple(len(fold["train"]) for fold in folds)
        return found

    def facts(self) -> str:
        """Digest what decides the findings about what is trained: no seeds in it."""
        experiment = self.experiment
        known = {self.data_key(e.trial.cell.config): e.trial.data_fingerprint for e in self.plan.entries}
        for key, cells in self.by_data.items():
            if key not in known:
                known[key] = fingerprint(cells[0].config, experiment.project)
        chosen: dict[tuple[str, ...], TrialConfig] = {}
        for cell in self.cells:
            names = (choice.name for _, choice in cell.config.choices())
            chosen.setdefault((cell.config.engine, *names), cell.config)
        facts = [
            experiment.name,
            experiment.allow_flawed,
            [[axis.name, axis.baseline, list(axis.labels)] for axis in experiment.axes],
            [[dict(c.levels), c.config_hash, known[self.data_key(c.config)]] for c in self.cells],
            [variant_digests(config) for config in chosen.values()],
        ]
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()

    def sizes(self, config: TrialConfig) -> tuple[int, ...]:
        """Return how many images a configuration is trained on, fold by fold."""
        return self.num_train[self.data_key(config)]

    def steps_per_epoch(self, config: TrialConfig) -> int:
        """Return the optimiser's steps in an epoch of the first fold."""
        return ceil(ceil(self.sizes(config)[0] / config.batch_size) / config.accumulate)

    def steps(self, config: TrialConfig) -> int:
        return config.epochs * self.steps_per_epoch(config)


def place(experiment: Experiment, what: str, cells: Sequence[Cell], *, of: Sequence[Cell]) -> str:
    """Name a field as messages do: of the experiment where all cells are meant, else of these."""
    if len(cells) == len(of):
        return f"{experiment.name}: {what}"
    names = [_name(experiment, cell) for cell in cells]
    more = f" and {len(names) - _MOST_CELLS} more" if len(names) > _MOST_CELLS else ""
    return f"{experiment.name}: {what} ({'; '.join(names[:_MOST_CELLS])}{more})"


def _name(experiment: Experiment, cell: Cell) -> str:
    """Name a cell; in a search by what it sets."""
    if experiment.search is None:
        return cell.label
    return ", ".join(f"{name} = {value}" for name, value in cell.levels.items()) or cell.label


def distinct_data(plan: Plan) -> tuple[TrialConfig, ...]:
    """Return one configuration for each data set of what is left to train."""
    if plan.experiment.search is not None or not plan.is_tuned:
        configs = [cell.config for cell in cells_of(plan)]
    else:
        configs = [entry.trial.cell.config for entry in plan.to_run]
    keys = Keys()
    return tuple({keys.of(config.dataset): config for config in configs}.values())


@dataclass(frozen=True)
class DataSubject:
    """A data set with its split, as the cells that share them see it."""

    experiment: Experiment
    cells: tuple[Cell, ...]
    samples: tuple[Sample, ...]
    folds: tuple[Mapping[str, np.ndarray], ...]
    """Part -> sample numbers, fold by fold."""
    pixels: CachedPixels | None
    """None: not decoded yet."""

    @classmethod
    def of(cls, experiment: Experiment, cells: tuple[Cell, ...]) -> DataSubject:
        """Read the index of the data set that cells share; pixels are decoded by no guard.

        Raises:
            DataError: The data set is missing, or cannot be split as asked.
        """
        config = cells[0].config
        source = build_source(config, experiment.project)
        folds = split_samples(config, source)
        return cls(
            experiment=experiment,
            cells=cells,
            samples=source.samples(),
            folds=tuple({p: np.asarray(fold[p], dtype=np.int64) for p in PARTS} for fold in folds),
            pixels=find_pixels(config, experiment.project),
        )

    @property
    def config(self) -> TrialConfig:
        """A configuration that has this data set and split."""
        return self.cells[0].config

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"{self.experiment.name}: dataset.{self.config.dataset.name}"


_MOST_NAMED = 3


@guard("SB100", Severity.NOTE, asks="data")
def pixels_are_decoded(subject: DataSubject) -> Iterator[str]:
    """The images are decoded, so that guards can look at their pixels."""
    if subject.pixels is None:
        yield (
            f"not looked at yet: the pixels of {subject.config.dataset.name}, which are not decoded. "
            f"`segbench sweep {subject.experiment.name}` decodes them once and looks before it trains."
        )


@guard("SB121", Severity.WARNING, asks="data")
def parts_share_no_image(subject: DataSubject) -> Iterator[str]:
    """No image of one part of the split is in another part too, pixel for pixel under another name."""
    if subject.pixels is None:
        return
    alike: dict[str, list[int]] = {}
    for number, digest in enumerate(image_digests(subject.pixels)):
        alike.setdefault(digest, []).append(number)
    copies = [numbers for numbers in alike.values() if len(numbers) > 1]
    for one, other in combinations(PARTS, 2):
        pairs = dict.fromkeys(
            (a, b)
            for fold in subject.folds
            for numbers in copies
            for a in set(numbers).intersection(fold[one].tolist())
            for b in set(numbers).intersection(fold[other].tolist())
        )
        if not pairs:
            continue
        names = [f"{subject.samples[a].name} = {subject.samples[b].name}" for a, b in sorted(pairs)]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        num_images = len({b for _, b in pairs})
        yield message(
            subject.place,
            f"{num_images} image{'s' * (num_images > 1)} of {other} {'are' if num_images > 1 else 'is'} in "
            f"{one} too, pixel for pixel ({', '.join(names[:_MOST_NAMED])}{more})",
            see="Leave one of each out, or give copies one group, which no split divides",
        )


@guard("SB122", Severity.ERROR, asks="data")
def training_shows_both_classes(subject: DataSubject) -> Iterator[str]:
    """Training masks have foreground and background."""
    for fold, shares in _shares(subject):
        absent = _absent(shares["train"])
        if absent is None:
            continue
        if all(_absent(each) == absent for each in shares.values()):
            yield message(
                subject.place,
                f"no mask of the whole data set has any {absent}",
                see="Give the values that mean foreground by the data set's knob, as `segbench init` would",
            )
            return
        yield message(
            subject.place + fold,
            f"no training mask has any {absent}: there is nothing to learn",
            see="Divide the images otherwise (`split:`)",
        )


@guard("SB122", Severity.WARNING, asks="data")
def evaluation_shows_both_classes(subject: DataSubject) -> Iterator[str]:
    """Validation and test masks have foreground and background."""
    for fold, shares in _shares(subject):
        if _absent(shares["train"]) is not None:
            continue
        for part in PARTS[1:]:
            absent = _absent(shares[part])
            if absent is not None:
                yield message(
                    subject.place + fold,
                    f"no mask of {part} has any {absent}: its metrics do not test telling the two apart",
                    see="Divide the images otherwise (`split:`), or take more of them",
                )


def _shares(subject: DataSubject) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    """Yield every fold's name and its parts' shares of foreground."""
    if subject.pixels is None:
        return
    shares = foreground_shares(subject.pixels)
    for number, fold in enumerate(subject.folds):
        name = f" (fold {number})" if len(subject.folds) > 1 else ""
        yield name, {part: shares[fold[part]] for part in PARTS}


def _absent(shares: np.ndarray) -> str | None:
    """Return which class no mask has; masks of ignored pixels alone do not count."""
    known = shares[~np.isnan(shares)]
    if known.size and known.max() == 0:
        return "foreground"
    return "background" if known.size and known.min() == 1 else None


# Guards about the constants that pixels are scaled by: they must not know the test images. No torch.


_MOST_DIGITS = 6
_WRITTEN = 1e-9
"""A value that is so near to one of few decimals was written with them."""

_EXACT = 1e-6
"""Constants of more digits were computed: they agree up to rounding, in 0..1."""


@dataclass(frozen=True)
class Match:
    """Constants of an `input`, and whose means they are."""

    input: str
    means: tuple[float, ...]
    """In 0..1."""
    digits: int | None
    """Decimals to which they are given; None: all."""
    of: tuple[str, ...]
    """Whose means they equal to that many digits: `train` comes first, then words for other images."""


@guard("SB114", Severity.WARNING, asks="data")
def constants_know_training_images_alone(subject: DataSubject) -> Iterator[str]:
    """Constants that scale the input are not the statistics of validation or test images."""
    for match in _matches(subject):
        if match.of and "train" not in match.of:
            yield message(
                f"{subject.experiment.name}: input.{match.input}",
                f"the means are those of {match.of[0]}, not those of the training images",
                got=_shown(match),
                see="`input: dataset` measures the training images of each split",
            )


@guard("SB114", Severity.NOTE, asks="data")
def constants_tell_whose_they_are(subject: DataSubject) -> Iterator[str]:
    """Constants that scale the input are given to enough digits to tell whose statistics they are."""
    for match in _matches(subject):
        if "train" in match.of and len(match.of) > 1:
            yield message(
                f"{subject.experiment.name}: input.{match.input}",
                f"to their digits the means may be those of {match.of[1]} or of the training images",
                got=_shown(match),
                see="`input: dataset` leaves no doubt",
            )


def _matches(subject: DataSubject) -> Iterator[Match]:
    """Yield what each `input` with constants of its own agrees with, in the fold that speaks against it."""
    if subject.pixels is None:
        return
    configs = {canonical_json(cell.config.input.to_json()): cell.config for cell in subject.cells}
    for config in configs.values():
        name = config.input.name
        if name == "constants" or registry.find("input", name).origin != "built-in":
            folds = [_match(subject, config, subject.pixels, fold) for fold in range(len(subject.folds))]
            found = [match for match in folds if match is not None]
            yield from sorted(found, key=lambda match: ("train" in match.of, not match.of))[:1]


def _match(subject: DataSubject, config: TrialConfig, pixels: CachedPixels, fold: int) -> Match | None:
    """Compare the means with those of each part; None where they are not one a channel, or too coarse."""
    split = subject.folds[fold]
    means = tuple(mean / MAX_VALUE for mean in scaling_of(config, pixels, split["train"]).mean)
    digits = _digits(means)
    if len(means) != pixels.images.shape[3] or digits == 1:
        return None
    tolerance = _EXACT if digits is None else 0.5 * 10.0**-digits + _EXACT
    whole = split_samples(replace(config, max_images=None), build_source(config, subject.experiment.project))
    candidates = {
        "train": [split["train"], np.asarray(whole[fold]["train"], dtype=np.int64)],
        "all images": [np.arange(len(pixels.images), dtype=np.int64)],
        "the training and validation images": [np.concatenate([split["train"], split["val"]])],
        "the test images": [split["test"]],
        "the validation images": [split["val"]],
    }

    def agrees(numbers: np.ndarray) -> bool:
        measured = np.array(statistics(pixels, numbers)[0]) / MAX_VALUE
        return bool(np.abs(measured - means).max() <= tolerance)

    return Match(
        config.input.name, means, digits, tuple(k for k, v in candidates.items() if any(map(agrees, v)))
    )


def _digits(values: Sequence[float]) -> int | None:
    """Return the decimals that values are given to; None where they end in no few."""
    fits = (d for d in range(1, _MOST_DIGITS + 1) if all(abs(round(v, d) - v) < _WRITTEN for v in values))
    return next(fits, None)


def _shown(match: Match) -> list[float]:
    return [round(mean, _MOST_DIGITS if match.digits is None else match.digits) for mean in match.means]


_EQUAL_STEPS = 0.01
"""Arms whose numbers of steps differ by no more than this share are trained equally long."""


@guard("SB110", Severity.WARNING, asks="arms")
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


@guard("SB119", Severity.WARNING, asks="arms")
def arms_train_equally_long(arms: Arms) -> Iterator[str]:
    """The levels of an axis train for as many epochs and steps, unless the epochs are the axis."""
    if arms.experiment.search is not None or len({arms.steps(cell.config) for cell in arms.cells}) < 2:
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


@guard("SB119", Severity.NOTE, asks="arms")
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
    cells: dict[str, list[Cell]] = {}
    for cell in arms.cells:
        cells.setdefault(cell.levels.get(axis.name, ""), []).append(cell)
    at_baseline = cells.get(axis.baseline, [])
    for label in axis.labels:
        if label != axis.baseline:
            both = [*cells.get(label, []), *at_baseline]
            yield from pairing.pairs(both, axis.name, label, axis.baseline)[:1]


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
