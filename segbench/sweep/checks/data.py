"""Guards that look at decoded pixels and at the split. No torch; nothing is decoded here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from segbench.data.measured import foreground_shares, image_digests
from segbench.errors import message
from segbench.samples import PARTS
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.checks.subjects import DataSubject

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
