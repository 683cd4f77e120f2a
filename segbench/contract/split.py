"""The contract of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segbench.contract import Broken, Subject
from segbench.samples import PARTS, Sample

_OWN = {"train": range(0, 60), "val": range(60, 70), "test": range(70, 100)}


def divides_the_samples(subject: Subject) -> None:
    """Every fold has a train, val and test part, none empty, without a common image."""
    for number, fold in enumerate(_split(subject, _images())):
        if set(fold) != set(PARTS):
            raise Broken(f"fold {number}: the parts are {sorted(fold)}")
        numbers = [n for part in PARTS for n in fold[part]]
        if len(set(numbers)) != len(numbers):
            raise Broken(f"fold {number}: an image is in two parts")
        if not all(len(fold[part]) for part in PARTS):
            raise Broken(f"fold {number}: a part is empty")
        if not set(numbers) <= set(range(100)):
            raise Broken(f"fold {number}: a number is that of no sample")


def keeps_groups_together(subject: Subject) -> None:
    """A group is in one part alone."""
    groups = [Sample(f"image_{n}", group=f"patient_{n // 10}") for n in range(100)]
    for number, fold in enumerate(_split(subject, groups)):
        homes: dict[str | None, str] = {}
        for part in PARTS:
            for n in fold[part]:
                if homes.setdefault(groups[n].group, part) != part:
                    raise Broken(
                        f"fold {number}: {groups[n].group} is in {homes[groups[n].group]} and {part}"
                    )


def is_repeatable(subject: Subject) -> None:
    """Asked again, it divides the samples in the same way."""
    once, again = (_plain(_split(subject, _images())) for _ in range(2))
    if once != again:
        raise Broken("a second call gives other folds")


def _images() -> list[Sample]:
    return [Sample(f"image_{n}") for n in range(100)]


def _split(subject: Subject, samples: Sequence[Sample]) -> list[Mapping[str, Sequence[int]]]:
    folds: Any = subject.build(samples, _OWN)
    if not isinstance(folds, list) or not folds:
        raise Broken(f"the factory must return a list of folds, got {type(folds).__name__}")
    return folds


def _plain(folds: Sequence[Mapping[str, Sequence[int]]]) -> list[dict[str, list[int]]]:
    return [{part: [int(n) for n in fold[part]] for part in PARTS} for fold in folds]
