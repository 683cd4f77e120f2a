"""Guards that look at decoded pixels and at the split. No torch; nothing is decoded here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from segbench import registry
from segbench.config.trial import TrialConfig, canonical_json
from segbench.data import build_source
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
from segbench.guards.subjects import DataSubject
from segbench.samples import PARTS

_MOST_NAMED = 3


@guard("SB100", Severity.NOTE)
def pixels_are_decoded(subject: DataSubject) -> Iterator[str]:
    """The images are decoded, so that guards can look at their pixels."""
    if subject.pixels is None:
        yield (
            f"not looked at yet: the pixels of {subject.config.dataset.name}, which are not decoded. "
            f"`segbench sweep {subject.experiment.name}` decodes them once and looks before it trains."
        )


@guard("SB121", Severity.WARNING)
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


@guard("SB122", Severity.ERROR)
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


@guard("SB122", Severity.WARNING)
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
