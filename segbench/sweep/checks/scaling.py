"""Guards about the constants that pixels are scaled by: they must not know the test images. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segbench import registry
from segbench.config.trial import TrialConfig, canonical_json
from segbench.data import build_source
from segbench.data.cache import CachedPixels
from segbench.data.measured import statistics
from segbench.data.parts import split_samples
from segbench.data.prepared import MAX_VALUE, scaling_of
from segbench.errors import message
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.checks.subjects import DataSubject

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


@guard("SB114", Severity.WARNING)
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


@guard("SB114", Severity.NOTE)
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
