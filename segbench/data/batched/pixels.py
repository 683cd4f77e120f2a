"""What transforms do to a batch: changes of levels, and geometric changes.

Levels: (N,C,H,W) float32 in 0..255, parameters (N,) or (N,k). They are whole numbers before and after each
change, as those of 8-bit images are: rounded, rounded down, or with whole shifts, whichever albumentations
2.0 does in the same place.

Geometry: places are pixels, x to the right and y down, the middle of the first pixel at 0; (N,2,H,W) holds
x and y of where each pixel of the changed images lies in the images before. Places are traced back step by
step, and pixels are read once at the end.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from segbench.data.batches import constants

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""

_ALMOST = 1e-3
"""A level this close below a whole one is that, before rounding down."""


def brightness_contrast(
    images: torch.Tensor, factor: torch.Tensor, added: torch.Tensor, *, by_max: bool
) -> torch.Tensor:
    """Return images * factor + added, of 255 or of each image's mean."""
    of = 255.0 if by_max else images.mean((1, 2, 3), keepdim=True)
    return (images * _wide(factor) + _wide(added) * of).clamp_(0, 255).floor_()


def gamma(images: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """Raise shares of the range to a power."""
    return ((images / 255).pow(_wide(gamma)) * 255 + _ALMOST).floor_()


def shift(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Add (N,3) levels to the channels; one channel gets the first."""
    return (images + shift[:, : images.shape[1], None, None].trunc()).clamp_(0, 255)


def hue_saturation_value(
    images: torch.Tensor, hue: torch.Tensor, saturation: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """Shift hue by 2 degrees a unit, saturation and value by levels; greys stay grey.

    One channel has a value alone.
    """
    if images.shape[1] == 1:
        return (images + _wide(value).trunc()).clamp_(0, 255)
    h, s, v = to_hsv(images)
    coloured = (s + _plane(saturation).trunc()).clamp_(0, 255)
    return from_hsv(
        torch.remainder(h + _plane(hue) / 180, 1.0),
        torch.where(s == 0, s, coloured),
        (v + _plane(value).trunc()).clamp_(0, 255),
    )


def brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply levels."""
    return (images * _wide(factor)).clamp_(0, 255).floor_()


def contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply distances from the mean brightness of each image."""
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _wide(factor)).add_(_ALMOST).clamp_(0, 255).floor_()


def saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply distances from each pixel's brightness."""
    return torch.lerp(_grey(images).round_(), images, _wide(factor)).clamp_(0, 255).round_()


def hue(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Turn the hue by a share of the circle."""
    if images.shape[1] == 1:
        return images
    h, s, v = to_hsv(images)
    return from_hsv(torch.remainder(h + _plane(turn), 1.0), s, v)


def noise(
    images: torch.Tensor,
    sd: torch.Tensor,
    mean: torch.Tensor,
    generator: torch.Generator,
    *,
    per_channel: bool,
) -> torch.Tensor:
    """Add Gaussian noise, of its own to every channel or the same to all."""
    num_images, channels, height, width = images.shape
    shape = (num_images, channels if per_channel else 1, height, width)
    drawn = torch.randn(shape, generator=generator, device=images.device)
    return (images + (drawn * _wide(sd) + _wide(mean)).trunc_()).clamp_(0, 255)


def blur(images: torch.Tensor, sigma: torch.Tensor, *, largest: float) -> torch.Tensor:
    """Blur by a Gaussian that ends int(3.5 sigma) pixels from its middle; beyond the frame it is mirrored.

    Args:
        images: (N,C,H,W).
        sigma: (N,) in pixels.
        largest: The largest that sigma may be.
    """
    reach = int(3.5 * largest)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-0.5 * (places / sigma[:, None]) ** 2)
    kernel = kernel * (places.abs() <= torch.floor(3.5 * sigma)[:, None])
    return convolve(images, kernel / kernel.sum(1, keepdim=True), border="reflect").round_().clamp_(0, 255)


def convolve(images: torch.Tensor, kernels: torch.Tensor, *, border: str) -> torch.Tensor:
    """Convolve each image's planes along rows and columns with its kernel (N,2r+1).

    Args:
        images: (N,C,H,W).
        kernels: Sum to 1.
        border: Beyond the frame: `reflect` (without the last pixel again) or `replicate`.
    """
    num_images, channels, height, width = images.shape
    reach = kernels.shape[1] // 2
    if border == "reflect" and reach >= min(height, width):  # torch mirrors once
        border = "replicate"
    planes = images.reshape(1, -1, height, width)
    weights = kernels.repeat_interleave(channels, 0)
    for shape, pad in (
        ((-1, 1, 1, 2 * reach + 1), (reach,) * 2 + (0, 0)),
        ((-1, 1, 2 * reach + 1, 1), (0, 0) + (reach,) * 2),
    ):
        padded = F.pad(planes, pad, mode=border)
        planes = F.conv2d(padded, weights.view(shape), groups=num_images * channels)
    return planes.view_as(images)


def elastic_field(
    num_images: int,
    size_px: tuple[int, int],
    generator: torch.Generator,
    *,
    alpha: float,
    sigma: float,
    uniform: bool,
    same: bool,
) -> torch.Tensor:
    """Return smooth random displacements (N,2,H,W) in pixels.

    Noise within +-1 (normal noise is divided by its largest value), blurred by a Gaussian of sd `sigma` as
    OpenCV cuts it off, times `alpha`; `same` moves x as y. As in albumentations x and y are blurred as one
    field, y below x.
    """
    shape = (num_images, 1 if same else 2, *size_px)
    device = generator.device
    if uniform:
        field = torch.rand(shape, generator=generator, device=device) * 2 - 1
    else:
        field = torch.randn(shape, generator=generator, device=device)
        field = field / field.abs().amax((1, 2, 3), keepdim=True).clamp_(min=1e-6)
    reach = (round(sigma * 8 + 1) | 1) // 2
    places = torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernels = (kernel / kernel.sum()).expand(num_images, -1)
    stacked = field.reshape(num_images, 1, -1, size_px[1])
    smooth = convolve(stacked, kernels, border="replicate").view_as(field)
    return (smooth * alpha).expand(-1, 2, -1, -1)


def to_hsv(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hue in [0,1), saturation and value in 0..255, (N,H,W) each."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    spread = value - least
    safe = torch.where(spread == 0, 1.0, spread)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = torch.where(spread == 0, 0.0, torch.remainder(sector / 6, 1.0))
    return hue, torch.where(value == 0, 0.0, 255 * spread / torch.where(value == 0, 1.0, value)), value


def from_hsv(hue: torch.Tensor, saturation: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return (N,3,H,W) of hue, saturation and value (N,H,W)."""
    shift = constants((5.0, 3.0, 1.0), hue.device).view(1, 3, 1, 1)
    sector = torch.remainder(shift + hue.unsqueeze(1) * 6, 6.0)
    away = torch.minimum(sector, 4 - sector).clamp_(0, 1)
    return (value.unsqueeze(1) * (1 - saturation.unsqueeze(1) / 255 * away)).round_()


def _grey(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] == 1:
        return images
    return (images * constants(_GREY, images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]


def _plane(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]


class Warp:
    """Where each pixel of the changed images comes from, traced from the last change back to the first."""

    def __init__(self, num_images: int, size_px: tuple[int, int], device: torch.device) -> None:
        self.height, self.width = size_px
        rows, columns = (torch.arange(n, dtype=torch.float32, device=device) for n in size_px)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        self._places = torch.stack([x, y]).expand(num_images, 2, self.height, self.width)
        self._share = torch.ones((), device=device)
        self._is_inside = torch.ones((), dtype=torch.bool, device=device)

    def through_map(self, maps: torch.Tensor, *, fills: bool) -> None:
        """Go back through an affine change.

        Args:
            maps: (N,2,3), from places in the changed images to places before.
            fills: Whether what comes from outside the frame is black and background.
        """
        flat = self._places.reshape(len(maps), 2, -1)
        back = torch.baddbmm(maps[:, :, 2:], maps[:, :, :2], flat)
        self._places = back.view(-1, 2, self.height, self.width)
        if fills:
            self._fill()

    def through_crop(self, boxes: torch.Tensor) -> None:
        """Go back through crops (N,4: left, top, width, height) that were brought to the frame's size."""
        corner, size = boxes[:, :2, None, None], boxes[:, 2:, None, None]
        frame = constants((self.width, self.height), boxes.device).view(1, 2, 1, 1)
        inside = (self._places + 0.5) * (size / frame) - 0.5
        self._places = torch.minimum(inside.clamp(min=0), size - 1) + corner

    def through_field(self, field: torch.Tensor) -> None:
        """Go back through displacements (N,2,H,W) of the changed images' pixels."""
        self._places = self._places + read(field, self._places)
        self._fill()

    def read(self, images: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the changed images, between pixels bilinear and in whole levels, and masks (nearest)."""
        warped = (read(images, self._places) * self._share).round_().clamp_(0, 255)
        nearest = read(masks.float(), self._places, mode="nearest").to(masks.dtype)
        return warped, nearest * self._is_inside

    def _fill(self) -> None:
        """Mark what lies outside the frame, as the fill and the last pixel share it between their middles."""
        x, y = self._places[:, 0:1], self._places[:, 1:2]
        share = _share(x, self.width) * _share(y, self.height)
        self._share = self._share * share
        is_near = (x >= -0.5) & (x <= self.width - 0.5) & (y >= -0.5) & (y <= self.height - 0.5)
        self._is_inside = self._is_inside & is_near


def read(values: torch.Tensor, places: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Return values (N,C,H,W) at places (N,2,H,W); beyond the frame those of its last pixels."""
    height, width = values.shape[2:]
    size = constants((width, height), places.device).view(1, 2, 1, 1)
    grid = ((places * 2 + 1) / size - 1).permute(0, 2, 3, 1)
    return F.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=False)


def mirror_maps(on: torch.Tensor, size_px: tuple[int, int], *, axis: int) -> torch.Tensor:
    """Return (N,2,3) maps that mirror x (axis 0) or y (axis 1) where `on` (N,) holds."""
    maps = _same(on.to(torch.float32))
    last = float(size_px[1 - axis] - 1)
    maps[:, axis, axis] = torch.where(on, -1.0, 1.0)
    maps[:, axis, 2] = torch.where(on, last, 0.0)
    return maps


def symmetry_maps(on: torch.Tensor, symmetries: torch.Tensor, size_px: tuple[int, int]) -> torch.Tensor:
    """Return (N,2,3) maps of the square's symmetries (0..7), where `on` holds; mirrored last."""
    maps = _same(symmetries)
    centre = (size_px[1] - 1) / 2
    turns = torch.where(on, symmetries % 4, 0.0) * (torch.pi / 2)
    cos, sin = torch.cos(turns).round(), torch.sin(turns).round()
    sign = torch.where(on & (symmetries >= 4), -1.0, 1.0)
    maps[:, 0, 0], maps[:, 0, 1] = sign * cos, -sin
    maps[:, 1, 0], maps[:, 1, 1] = sign * sin, cos
    maps[:, :, 2] = centre - maps[:, :, :2].sum(2) * centre
    return maps


def maps_where(on: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Return the maps where `on` (N,) holds and elsewhere those that change nothing."""
    return torch.where(on[:, None, None], maps, _same(maps))


def _same(like: torch.Tensor) -> torch.Tensor:
    return torch.eye(2, 3, device=like.device).repeat(len(like), 1, 1)


def _share(place: torch.Tensor, length: int) -> torch.Tensor:
    return torch.minimum(place + 1, length - place).clamp_(0, 1)
