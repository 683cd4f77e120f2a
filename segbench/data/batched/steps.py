"""A list of transforms as leaves in order, each with the draws that say which images it changes; no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from segbench.data.batched import parameters
from segbench.errors import ExperimentError, message

Parameters = Mapping[str, np.ndarray]
"""Name -> a row an image: (N,) or (N,k) float32."""


@dataclass(frozen=True)
class Kind:
    """What is drawn for one transform."""

    num_draws: int
    """Uniform numbers an image."""
    draw: Callable[[np.ndarray, Mapping[str, Any], tuple[int, int]], Parameters]
    """(N,num_draws) in [0,1), the transform's options, (H,W) of the images -> its parameters."""
    only: Mapping[str, tuple[Any, ...]]
    """Option -> the values that whole batches can be given; others need the CPU."""
    is_geometric: bool = False


_WARP: Final[Mapping[str, tuple[Any, ...]]] = {
    "interpolation": (1,),
    "border_mode": (0,),
    "fill": (0,),
    "fill_mask": (0,),
}

KINDS: Final[Mapping[str, Kind]] = {
    "HorizontalFlip": Kind(0, parameters.nothing, {}, True),
    "VerticalFlip": Kind(0, parameters.nothing, {}, True),
    "D4": Kind(1, parameters.symmetry, {}, True),
    "Rotate": Kind(1, parameters.rotation, {**_WARP, "crop_border": (False,)}, True),
    "Affine": Kind(
        7,
        parameters.affine,
        {**_WARP, "translate_px": (None,), "fit_output": (False,), "balanced_scale": (False,)},
        True,
    ),
    "RandomResizedCrop": Kind(
        parameters.CROP_DRAWS,
        parameters.crop,
        {"size": ("size_px",), "interpolation": (1,), "area_for_downscale": (None,)},
        True,
    ),
    "ElasticTransform": Kind(0, parameters.nothing, {**_WARP, "approximate": (False,)}, True),
    "RandomBrightnessContrast": Kind(2, parameters.brightness_contrast, {"ensure_safe_range": (False,)}),
    "HueSaturationValue": Kind(3, parameters.hue_saturation_value, {}),
    "RGBShift": Kind(3, parameters.rgb_shift, {}),
    "RandomGamma": Kind(1, parameters.gamma, {}),
    "ColorJitter": Kind(5, parameters.colour_jitter, {}),
    "GaussNoise": Kind(2, parameters.noise, {"noise_scale_factor": (1,)}),
    "GaussianBlur": Kind(1, parameters.blur, {"blur_limit": ([0, 0], 0)}),
}
"""The transforms that whole batches can be given, by albumentations' names."""

_GROUPS: Final = ("OneOf", "Sequential")


@dataclass(frozen=True)
class Interval:
    """Holds for an image where its draw in a column lies in [low, high)."""

    column: int
    low: float
    high: float


@dataclass(frozen=True)
class Leaf:
    """One transform of the list."""

    name: str
    options: Mapping[str, Any]
    gates: tuple[Interval, ...]
    """It changes the images for which all of them hold."""
    first: int
    """Column of its first draw."""

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    def is_on(self, draws: np.ndarray) -> np.ndarray:
        """Return which images it changes, (N,) bool, given (N,K) draws."""
        on = np.ones(len(draws), dtype=bool)
        for gate in self.gates:
            on &= (gate.low <= draws[:, gate.column]) & (draws[:, gate.column] < gate.high)
        return on

    def parameters(self, draws: np.ndarray, size_px: tuple[int, int]) -> Parameters:
        """Return the parameters of each image, drawn whether it is changed or not."""
        own = draws[:, self.first : self.first + self.kind.num_draws]
        return self.kind.draw(own, self.options, size_px)


@dataclass(frozen=True)
class Steps:
    """The leaves of a list and how many draws an image takes."""

    leaves: tuple[Leaf, ...]
    num_draws: int


def read_steps(steps: Sequence[Mapping[str, Any]]) -> Steps:
    """Lay out a list of transforms.

    A transform is on with its `p`; of `OneOf`, with its own `p`, one is drawn, as likely as its share of the
    inner ones' `p`, and is then on; those of `Sequential` are drawn each by itself where it is on.

    Args:
        steps: As `axes.augment.resolve_steps` returns them.

    Raises:
        ExperimentError: Some transform, or option of one, is for the CPU alone; holds all problems.
    """
    reader = _Reader()
    reader.read(steps, ())
    if reader.problems:
        raise ExperimentError(reader.problems)
    return Steps(tuple(reader.leaves), reader.num_columns)


class _Reader:
    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.problems: list[str] = []
        self.num_columns = 0

    def read(self, steps: Sequence[Mapping[str, Any]], gates: tuple[Interval, ...]) -> None:
        for step in steps:
            ((name, options),) = step.items()
            self._read_one(name, options, (*gates, self._gate(0.0, float(options["p"]))))

    def _read_one(self, name: str, options: Mapping[str, Any], gates: tuple[Interval, ...]) -> None:
        """Read a step that is on where the gates hold; its own `p` is among them or does not count."""
        if name == "NoOp":
            return
        if name == "Sequential":
            self.read(options["transforms"], gates)
        elif name == "OneOf":
            self._read_one_of(options["transforms"], gates)
        elif name in KINDS:
            self._check(name, options)
            self.leaves.append(Leaf(name, options, gates, self.num_columns))
            self.num_columns += KINDS[name].num_draws
        else:
            self.problems.append(
                message(
                    "augment_backend",
                    "whole batches cannot be given this transform",
                    got=name,
                    known=sorted([*KINDS, *_GROUPS]),
                    see="`augment_backend: cpu` takes every transform",
                )
            )

    def _read_one_of(self, steps: Sequence[Mapping[str, Any]], gates: tuple[Interval, ...]) -> None:
        shares = [float(options["p"]) for step in steps for options in step.values()]
        ends = np.cumsum(shares) / sum(shares)
        ends[-1] = 1.0
        column = self._column()
        for step, low, high in zip(steps, [0.0, *ends[:-1]], ends, strict=True):
            ((name, options),) = step.items()
            self._read_one(name, options, (*gates, Interval(column, float(low), float(high))))

    def _check(self, name: str, options: Mapping[str, Any]) -> None:
        for option, allowed in KINDS[name].only.items():
            if option in options and options[option] not in allowed:
                self.problems.append(
                    message(
                        f"augment.{name}.{option}",
                        "whole batches cannot be given this",
                        got=options[option],
                        known=allowed,
                        see="`augment_backend: cpu` takes it",
                    )
                )

    def _gate(self, low: float, high: float) -> Interval:
        return Interval(self._column(), low, high)

    def _column(self) -> int:
        self.num_columns += 1
        return self.num_columns - 1
