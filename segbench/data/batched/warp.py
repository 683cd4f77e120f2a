"""Geometric changes of a batch: places traced back step by step, and pixels read once at the end.

Places are pixels, x to the right and y down, the middle of the first pixel at 0; (N,2,H,W) holds x and y of
where each pixel of the changed images lies in the images before.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from segbench.data.sending import constants


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
