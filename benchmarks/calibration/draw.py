"""Draws simulated experiments: every image's value in every trial."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from benchmarks.calibration.scenarios import (
    DROP,
    SD_DIFFICULTY,
    SD_NOISE,
    Scenario,
)

CHUNK = 300_000
"""Values drawn at once."""


@dataclass(frozen=True)
class Runs:
    """Simulated experiments of one scenario. Arm 0 is the baseline."""

    dice: np.ndarray
    """(runs, arms, seeds, images)."""
    has_diverged: np.ndarray | None
    """(runs, arms, seeds); None: no trial diverges."""
    truth: np.ndarray
    """(runs, levels) difference on these images, expected over seeds; of trials that complete."""
    truth_new: np.ndarray
    """(runs, levels) difference expected over seeds and images."""
    groups: np.ndarray | None
    """(images,) number of each image's group."""
    decimals: int | None = None
    """What the means of trials are rounded to."""


def draw(scenario: Scenario, num_levels: int, num_runs: int, seed: tuple[int, ...]) -> Iterator[Runs]:
    """Draw the runs of a scenario, some at a time.

    value[arm, seed, image] = level + effect[arm] + difficulty[image] + image[arm, image] + seed[arm, seed]
    + noise[arm, seed, image], and with probability `collapse` less `DROP` at level 1.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // ((1 + num_levels) * scenario.num_seeds * scenario.num_images))
    groups = group_numbers(scenario)
    for start in range(0, num_runs, at_once):
        yield _draw(scenario, num_levels, min(at_once, num_runs - start), rng, groups)


def group_numbers(scenario: Scenario) -> np.ndarray | None:
    """Return the group of each image; every group has one at least."""
    number = scenario.num_groups
    if not number:
        return None
    if scenario.sizes == "half":
        share = np.array([number - 1, *[1] * (number - 1)], float)
    elif scenario.sizes == "log-normal":
        share = np.exp(special.ndtri((np.arange(number) + 0.5) / number))
    else:
        share = np.arange(number) % 3 + 1.0
    ends = np.cumsum(share) / share.sum() * scenario.num_images
    return np.searchsorted(np.round(ends), np.arange(scenario.num_images), side="right")


def _draw(
    scenario: Scenario, levels: int, runs: int, rng: np.random.Generator, groups: np.ndarray | None
) -> Runs:
    arms = 1 + levels
    seeds, images = scenario.num_seeds, scenario.num_images
    spread = np.ones((arms, 1))
    spread[1] = scenario.sd_ratio
    effect = np.zeros(arms)
    effect[1] = scenario.effect

    rho = scenario.correlation
    common = _deviates(rng, (runs, 1, seeds), scenario.is_skewed)
    own = _deviates(rng, (runs, arms, seeds), scenario.is_skewed)
    of_seed = scenario.sd_seed * spread * (np.sqrt(rho) * common + np.sqrt(1 - rho) * own)
    collapsed = rng.random((runs, seeds)) < scenario.collapse
    of_seed[:, 1] -= DROP * collapsed
    units = images if groups is None else scenario.num_groups
    of_image = scenario.sd_image * _deviates(rng, (runs, arms, units), scenario.is_skewed)
    if groups is not None:
        of_image = of_image[..., groups]

    values = rng.standard_normal((runs, arms, seeds, images))
    values *= (SD_NOISE if scenario.sd_seed else 0.0) * spread[:, :, None]
    values += scenario.level + effect[:, None, None] + of_seed[..., None]
    values += (of_image + SD_DIFFICULTY * rng.standard_normal((runs, 1, images)))[:, :, None, :]
    if scenario.level > 0.9:
        np.minimum(values, 1.0, out=values)

    has_diverged = None
    if scenario.is_diverging:
        chance = np.full((arms, 1), scenario.divergence[1])
        chance[1] = scenario.divergence[0]
        has_diverged = rng.random((runs, arms, seeds)) < chance
    truth_new = effect[1:] - DROP * scenario.collapse * (np.arange(levels) == 0)
    by_arm = of_image.mean(axis=-1)
    truth = truth_new + by_arm[:, 1:] - by_arm[:, :1]
    return Runs(
        values, has_diverged, truth, np.broadcast_to(truth_new, truth.shape), groups, scenario.decimals
    )


def _deviates(rng: np.random.Generator, shape: tuple[int, ...], is_skewed: bool) -> np.ndarray:
    """Return deviates of mean 0 and variance 1."""
    return 1 - rng.standard_exponential(shape) if is_skewed else rng.standard_normal(shape)
