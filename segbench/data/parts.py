"""The split of a data set, checked whoever made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from segbench import registry
from segbench.axes.dataset import Source
from segbench.config.trial import TrialConfig
from segbench.errors import DataError, message
from segbench.samples import PARTS, Sample

Split: TypeAlias = Mapping[str, Sequence[int]]
"""Part -> sample numbers."""


def split_samples(config: TrialConfig, source: Source) -> list[Split]:
    """Divide a source's samples as the configuration says, fold by fold; at most `max_images` go into a part.

    Raises:
        DataError: A part is empty, an image is in two parts, or a group straddles two.
    """
    samples = source.samples()
    choice = config.split
    folds = registry.build("split", choice.name, samples, source.own_split(), **choice.knobs)
    for number, split in enumerate(folds):
        where = f"split.{choice.name}" + (f" (fold {number})" if len(folds) > 1 else "")
        problems = check_split(split, samples, where)
        if problems:
            raise DataError(problems)
    return [{part: _spread(fold[part], config.max_images) for part in PARTS} for fold in folds]


def check_split(split: Split, samples: Sequence[Sample], where: str) -> list[str]:
    """Return what is wrong with one fold, one message each."""
    problems = []
    part_of_image: dict[int, str] = {}
    part_of_group: dict[str, str] = {}
    for part in PARTS:
        numbers = split[part]
        if not len(numbers):
            sizes = {p: len(split[p]) for p in PARTS}
            problems.append(
                message(
                    where,
                    f"no image is left for {part}",
                    got=sizes,
                    see="Give more images or other fractions",
                )
            )
        for number in numbers:
            sample = samples[number]
            other = part_of_image.setdefault(number, part)
            if other != part:
                rule = f"an image is in both {other} and {part} (SB121)"
                problems.append(message(where, rule, got=sample.name))
            if sample.group is None:
                continue
            other = part_of_group.setdefault(sample.group, part)
            if other != part:
                problems.append(
                    message(
                        where,
                        f"a group straddles {other} and {part} (SB121)",
                        got=sample.group,
                        see="`fraction` and `folds` keep groups together",
                    )
                )
                part_of_group[sample.group] = part
    return problems[:10]


def _spread(numbers: Sequence[int], most: int | None) -> Sequence[int]:
    """Return at most `most` numbers, evenly spread: neighbours in a list are often of one kind."""
    if most is None or len(numbers) <= most:
        return numbers
    return [numbers[i * len(numbers) // most] for i in range(most)]
