"""What is simulated: the grid that must hold, and the cases that are reported as measured."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

LOOKS: Final = (3, 5, 10)
NUM_LEVELS: Final = 4
"""Of a family: as many contrasts, which share the baseline's noise."""

SD_SEED: Final = 0.005
"""Of a trial's mean over seeds, in units of Dice."""
SD_NOISE: Final = 0.03
"""Of an image's value from trial to trial, beyond the trial's own mean."""
SD_DIFFICULTY: Final = 0.1
"""Of the images' difficulty, which all arms share."""
MARGIN: Final = 0.05
"""Wide against the noise, so that equivalence is wrongly shown as often as it can be: a narrow margin asks
both one-sided tests at once, and errs less."""
DROP: Final = 0.3
"""What a collapsed trial loses."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One kind of experiment. Level 1 is the arm with an effect, with the wider spread, that collapses."""

    num_seeds: int
    num_images: int
    effect: float = 0.0
    """True difference of level 1; the other levels are like the baseline."""
    sd_image: float = 0.0
    """Of what an image adds to an arm, for good: image by arm."""
    correlation: float = 0.0
    """Between arms, of a seed's share in their means."""
    sd_ratio: float = 1.0
    """Spread of level 1 over seeds and images' noise, against the others'."""
    is_skewed: bool = False
    """Seeds' and images' shares of an arm are negatively exponential (skewness -2) instead of normal."""
    collapse: float = 0.0
    """Probability that a trial at level 1 ends `DROP` lower, as a completed trial."""
    divergence: tuple[float, float] = (0.0, 0.0)
    """Probability that a trial diverges: at level 1, at the other arms."""
    num_groups: int = 0
    """Images lie in so many groups (patients) of unequal sizes that share what they add; 0: none."""
    sizes: str = "1:2:3"
    """Of the groups: `1:2:3` again and again, `log-normal` (sd 1 of the logarithm), or `half` of all images
    in one group, the others alike."""
    level: float = 0.8
    """Mean of the baseline; images' values end at 1 where it is above .9."""
    decimals: int | None = None
    """A trial's mean is rounded to so many; None: it is not."""
    sd_seed: float = SD_SEED
    """Of a trial's mean over seeds; 0: seeds change nothing, images' noise neither."""

    @property
    def is_diverging(self) -> bool:
        return any(self.divergence)

    @property
    def has_looks(self) -> bool:
        """Whether it has the seeds of the last planned look."""
        return self.num_seeds == LOOKS[-1]


def grid() -> list[Scenario]:
    """Return the scenarios of which coverage and errors are required."""
    return [
        Scenario(
            num_seeds=seeds, num_images=images, effect=effect, sd_image=sd, correlation=rho, sd_ratio=ratio
        )
        for seeds, images, sd, rho, ratio, effect in itertools.product(
            LOOKS, (30, 300), (0.0, 0.02, 0.05), (0.0, 0.5), (1.0, 3.0), (0.0, 0.01)
        )
    ]


def skewed() -> list[Scenario]:
    """Return those with skewed effects: measured, nothing required."""
    return [
        Scenario(num_seeds=seeds, num_images=images, sd_image=0.05, sd_ratio=ratio, is_skewed=True)
        for seeds, images, ratio in itertools.product(LOOKS, (30, 300), (1.0, 3.0))
    ]


def grouped() -> list[Scenario]:
    """Return those whose images lie in patients of unequal sizes."""
    return [
        Scenario(num_seeds=seeds, num_images=300, sd_image=sd, num_groups=groups, sizes=sizes)
        for seeds, groups, sd, sizes in itertools.product(
            LOOKS, (10, 30), (0.02, 0.05), ("1:2:3", "log-normal", "half")
        )
    ]


def rounded() -> list[Scenario]:
    """Return those whose scores were rounded before they came here, or do not vary with the seed at all."""
    scores = [
        Scenario(num_seeds=seeds, num_images=100, decimals=decimals)
        for seeds, decimals in itertools.product((2, *LOOKS), (2, 3))
    ]
    return [*scores, Scenario(num_seeds=3, num_images=30, effect=0.0, sd_seed=0.0)]


def at_the_ceiling() -> list[Scenario]:
    """Return those whose images' values pile up at 1."""
    return [
        Scenario(num_seeds=seeds, num_images=images, level=level)
        for seeds, images, level in itertools.product(LOOKS, (30, 300), (0.95, 1.0))
    ]


def collapsing() -> list[Scenario]:
    """Return those where some trials of an arm end far below: measured, nothing required."""
    return [
        Scenario(num_seeds=seeds, num_images=300, sd_image=0.02, collapse=share)
        for seeds, share in itertools.product(LOOKS, (0.1, 0.3))
    ]


def diverging() -> list[Scenario]:
    """Return those where trials diverge, at level 1 alone or in all arms."""
    return [
        Scenario(num_seeds=seeds, num_images=300, sd_image=0.02, divergence=(share, others))
        for seeds, share, is_all in itertools.product(LOOKS, (0.1, 0.3), (True, False))
        for others in [share if is_all else 0.0]
    ]
