"""What is drawn for each image of a batch: its transforms and their parameters. No torch.

Every function of parameters takes (N,k) uniform numbers in [0,1), the transform's options as albumentations
names them and (H,W) of the images, and returns one row per image, as albumentations 2.0 draws them. Affine
maps lead from places in the changed image to places in the image before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from segbench.errors import ExperimentError, message

Options = Mapping[str, Any]
Size = tuple[int, int]

_CROP_TRIES: Final = 10
CROP_DRAWS: Final = 2 * _CROP_TRIES + 2


def nothing(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Nothing but whether it happens is drawn."""
    return {}


def symmetry(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return `symmetry`: quarter turns in 0..3, plus 4 where mirrored afterwards."""
    return {"symmetry": np.floor(draws[:, 0] * 8).astype(np.float32)}


def rotation(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the inverse `map` of a turn about the centre."""
    angle = _between(draws[:, 0], options["limit"])
    ones, none = np.ones_like(angle), np.zeros((len(angle), 2))
    return {"map": _inverse(angle, np.stack([ones, ones], 1), none, none, size_px)}


def affine(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the inverse `map` of scaling, turning, shearing and moving, in this order, about the centre."""
    angle = _between(draws[:, 0], options["rotate"])
    scale = np.stack([_between(draws[:, 1 + k], options["scale"][axis]) for k, axis in enumerate("xy")], 1)
    if options["keep_ratio"]:
        scale[:, 1] = scale[:, 0]
    shear = -np.stack([_between(draws[:, 3 + k], options["shear"][axis]) for k, axis in enumerate("xy")], 1)
    shift = np.zeros((len(draws), 2))
    if options["translate_percent"] is not None:
        share = [_between(draws[:, 5 + k], options["translate_percent"][axis]) for k, axis in enumerate("xy")]
        shift = np.trunc(np.stack(share, 1) * np.array(size_px[::-1]))
    return {"map": _inverse(angle, scale, shear, shift, size_px)}


def crop(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the `box` of a crop: left, top, width, height in pixels.

    Area and ratio are drawn up to ten times until the box fits; else it is the largest in the middle whose
    ratio is allowed.
    """
    height_px, width_px = size_px
    tries = draws[:, : 2 * _CROP_TRIES].reshape(len(draws), _CROP_TRIES, 2)
    area = _between(tries[:, :, 0], options["scale"]) * height_px * width_px
    ratio = np.exp(_between(tries[:, :, 1], np.log(options["ratio"])))
    widths, heights = np.round(np.sqrt(area * ratio)), np.round(np.sqrt(area / ratio))
    fits = (widths > 0) & (widths <= width_px) & (heights > 0) & (heights <= height_px)
    first = fits.argmax(1)[:, None]
    width, height = (np.take_along_axis(values, first, 1)[:, 0] for values in (widths, heights))
    left = np.floor((width_px - width + 1) * draws[:, -1])
    top = np.floor((height_px - height + 1) * draws[:, -2])
    drawn = np.stack([left, top, width, height], 1)
    box = np.where(fits.any(1)[:, None], drawn, _middle(options["ratio"], size_px))
    return {"box": box.astype(np.float32)}


def brightness_contrast(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return `factor` and `added`: of the full range, or of the image's mean."""
    factor = 1 + _between(draws[:, 0], options["contrast_limit"])
    added = _between(draws[:, 1], options["brightness_limit"])
    return _floats(factor=factor, added=added)


def hue_saturation_value(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the shifts `hue` (of 180), `saturation` and `value` (of 255)."""
    limits = (options["hue_shift_limit"], options["sat_shift_limit"], options["val_shift_limit"])
    hue, saturation, value = (_between(draws[:, k], limit) for k, limit in enumerate(limits))
    return _floats(hue=hue, saturation=saturation, value=value)


def rgb_shift(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return `shift` (N,3) in levels; limits within +-1 are shares of the range."""
    shifts = []
    for k, channel in enumerate("rgb"):
        limit = np.asarray(options[f"{channel}_shift_limit"], dtype=np.float64)
        shifts.append(_between(draws[:, k], limit if np.abs(limit).max() > 1 else limit * 255))
    return _floats(shift=np.stack(shifts, 1))


def gamma(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the exponent `gamma`."""
    return _floats(gamma=_between(draws[:, 0], options["gamma_limit"]) / 100)


def colour_jitter(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the factors `brightness`, `contrast`, `saturation`, the turn `hue`, and their `order` (N,4)."""
    names = ("brightness", "contrast", "saturation", "hue")
    values = {name: _between(draws[:, k], options[name]) for k, name in enumerate(names)}
    return _floats(**values, order=_ORDERS[np.floor(draws[:, 4] * len(_ORDERS)).astype(int)])


def noise(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return `sd` and `mean` in levels; the noise itself is drawn on the device."""
    sd = 255 * _between(draws[:, 0], options["std_range"])
    return _floats(sd=sd, mean=255 * _between(draws[:, 1], options["mean_range"]))


def blur(draws: np.ndarray, options: Options, size_px: Size) -> dict[str, np.ndarray]:
    """Return the Gaussian's `sigma` in pixels."""
    return _floats(sigma=_between(draws[:, 0], options["sigma_limit"]))


def _orders() -> np.ndarray:
    from itertools import permutations

    return np.array(list(permutations(range(4))))


_ORDERS: Final = _orders()


def _between(draws: np.ndarray, limits: Any) -> np.ndarray:
    low, high = float(limits[0]), float(limits[1])
    return low + (high - low) * draws


def _floats(**values: np.ndarray) -> dict[str, np.ndarray]:
    return {name: value.astype(np.float32) for name, value in values.items()}


def _inverse(
    angle: np.ndarray, scale: np.ndarray, shear: np.ndarray, shift: np.ndarray, size_px: Size
) -> np.ndarray:
    """Return the inverse maps of turns and shears (degrees), scales and shifts (pixels), x before y."""
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    slant = np.tan(np.deg2rad(shear))
    ones = np.ones(len(angle))
    sheared = np.stack([np.stack([ones, slant[:, 0]], -1), np.stack([slant[:, 1], ones], -1)], -2)
    back = np.linalg.inv(sheared @ turned * scale[:, None, :])
    centre = np.array([size_px[1], size_px[0]]) / 2 - 0.5
    offset = centre - np.einsum("nij,nj->ni", back, centre + shift)
    return np.concatenate([back, offset[:, :, None]], -1).astype(np.float32)


def _middle(ratios: Any, size_px: Size) -> np.ndarray:
    height_px, width_px = size_px
    width, height = float(width_px), float(height_px)
    if width_px / height_px < ratios[0]:
        height = round(width_px / ratios[0])
    elif width_px / height_px > ratios[1]:
        width = round(height_px * ratios[1])
    return np.array([(width_px - width) // 2, (height_px - height) // 2, width, height])


Parameters = Mapping[str, np.ndarray]
"""Name -> one row per image: (N,) or (N,k) float32."""


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
    "HorizontalFlip": Kind(0, nothing, {}, True),
    "VerticalFlip": Kind(0, nothing, {}, True),
    "D4": Kind(1, symmetry, {}, True),
    "Rotate": Kind(1, rotation, {**_WARP, "crop_border": (False,)}, True),
    "Affine": Kind(
        7,
        affine,
        {**_WARP, "translate_px": (None,), "fit_output": (False,), "balanced_scale": (False,)},
        True,
    ),
    "RandomResizedCrop": Kind(
        CROP_DRAWS,
        crop,
        {"size": ("size_px",), "interpolation": (1,), "area_for_downscale": (None,)},
        True,
    ),
    "ElasticTransform": Kind(0, nothing, {**_WARP, "approximate": (False,)}, True),
    "RandomBrightnessContrast": Kind(2, brightness_contrast, {"ensure_safe_range": (False,)}),
    "HueSaturationValue": Kind(3, hue_saturation_value, {}),
    "RGBShift": Kind(3, rgb_shift, {}),
    "RandomGamma": Kind(1, gamma, {}),
    "ColorJitter": Kind(5, colour_jitter, {}),
    "GaussNoise": Kind(2, noise, {"noise_scale_factor": (1,)}),
    "GaussianBlur": Kind(1, blur, {"blur_limit": ([0, 0], 0)}),
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
