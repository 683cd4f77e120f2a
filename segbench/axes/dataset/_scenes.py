"""Scenes of animal-like creatures on clutter, drawn with numpy from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GENERATOR_VERSION = 2
"""Raised whenever a scene's pixels change; part of the data's fingerprint."""


_LEAST_VISIBLE = 0.04
"""Share of the picture; a creature hidden behind its decoys but for a paw is no fair question."""


@dataclass(frozen=True)
class Scene:
    image: np.ndarray
    """(S,S,3) uint8."""
    mask: np.ndarray
    """(S,S) uint8 in {0, 1}: visible parts of creatures."""
    num_creatures: int
    is_dark: bool


def draw_scene(seed: int, size_px: int) -> Scene:
    """Draw one scene.

    Creatures have a body, head, ears, legs and tail in a warm, striped or spotted coat. Their decoys share
    what a shallow network would go by: boulders have the coat's colours without its pattern, cloths have the
    pattern in other colours, and stalks pass in front. Light falls off across the picture, and the sensor
    adds noise.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    while (scene := _draw_once(draw, size_px)).mask.mean() < _LEAST_VISIBLE:
        pass
    return scene


def _draw_once(draw: np.random.Generator, size_px: int) -> Scene:
    canvas = _Canvas(draw, size_px)
    for _ in range(draw.integers(5, 10)):
        canvas.paint_clutter()
    num_creatures = int(draw.choice([1, 1, 1, 2, 2, 3]))
    things = ["creature"] * num_creatures
    things += ["boulder"] * draw.integers(0, 3) + ["cloth"] * draw.integers(0, 3)
    draw.shuffle(things)
    mask = np.zeros((size_px, size_px), dtype=bool)
    for thing in things:
        covered = getattr(canvas, f"paint_{thing}")()
        mask = mask | covered if thing == "creature" else mask & ~covered
    for _ in range(draw.integers(0, 3)):
        mask &= ~canvas.paint_stalk()
    is_dark = canvas.light()
    return Scene(canvas.to_uint8(), mask.astype(np.uint8), num_creatures, is_dark)


class _Canvas:
    """A picture in 0..1 and the coordinates that shapes are written in (-1..1, y downwards)."""

    def __init__(self, draw: np.random.Generator, size_px: int) -> None:
        self._draw = draw
        self._size = size_px
        line = (np.arange(size_px) + 0.5) / size_px * 2 - 1
        self._x, self._y = np.meshgrid(line, line)
        ground = _hsv(draw.uniform(0.05, 0.55), draw.uniform(0.1, 0.5), draw.uniform(0.35, 0.75))
        relief = 0.22 * self._noise(4) + 0.16 * self._noise(12) + 0.10 * self._noise(size_px // 3)
        self._pixels = np.clip(
            ground + relief[..., None] + 0.05 * self._noise(8)[..., None] * ground[::-1], 0, 1
        )

    def paint_clutter(self) -> None:
        """A patch of any colour and grain: leaf, stone, plank."""
        draw = self._draw
        u, v = self._frame(draw.uniform(-1, 1), draw.uniform(-1, 1), draw.uniform(0, np.pi))
        long, short = draw.uniform(0.15, 0.7), draw.uniform(0.05, 0.35)
        power = draw.choice([2.0, 2.0, 6.0])
        inside = np.abs(u / long) ** power + np.abs(v / short) ** power + 0.35 * self._noise(6) < 1
        colour = _hsv(draw.uniform(0, 1), draw.uniform(0.05, 0.6), draw.uniform(0.2, 0.9))
        self._cover(inside, colour + 0.15 * self._noise(int(draw.integers(4, 24)))[..., None])

    def paint_creature(self) -> np.ndarray:
        draw = self._draw
        scale = draw.uniform(0.34, 0.62)
        u, v = self._frame(draw.uniform(-0.55, 0.55), draw.uniform(-0.5, 0.5), draw.normal(0, 0.25))
        u, v = u / scale * draw.choice([-1, 1]), v / scale
        u, v = u + 0.07 * self._noise(5), v + 0.07 * self._noise(5)
        body_height = draw.uniform(0.36, 0.52)
        inside = _ellipse(u, v, 0, 0, 0.85, body_height)
        head_x, head_y, head = 0.85, -draw.uniform(0.25, 0.6), draw.uniform(0.28, 0.38)
        inside |= _ellipse(u, v, head_x, head_y, head * 1.15, head)
        inside |= _capsule(u, v, (0.5, -0.1), (head_x, head_y), 0.2)
        for ear in (-0.16, 0.16):
            inside |= _capsule(u, v, (head_x + ear, head_y), (head_x + 1.6 * ear, head_y - head - 0.14), 0.08)
        stride = draw.uniform(-0.25, 0.25, 4)
        for hip, step in zip((-0.6, -0.4, 0.4, 0.6), stride, strict=True):
            inside |= _capsule(u, v, (hip, 0.1), (hip + step, draw.uniform(0.85, 1.05)), 0.1)
        tip = (-draw.uniform(1.1, 1.5), -draw.uniform(-0.3, 0.8))
        inside |= _capsule(u, v, (-0.75, -0.1), tip, 0.07)
        shade = 1 - 0.25 * np.clip(v / (body_height * 2), -1, 1)
        self._cover(inside, self._coat(u, v) * shade[..., None])
        return inside

    def paint_boulder(self) -> np.ndarray:
        """The coat's colours without its pattern."""
        draw = self._draw
        radius = draw.uniform(0.18, 0.4)
        u, v = self._frame(draw.uniform(-0.9, 0.9), draw.uniform(-0.9, 0.9), draw.uniform(0, np.pi))
        inside = _ellipse(u + 0.08 * self._noise(5), v + 0.08 * self._noise(5), 0, 0, radius * 1.3, radius)
        grain = 0.75 + 0.1 * self._noise(6) + 0.08 * self._noise(self._size // 3)
        self._cover(inside, self._warm() * grain[..., None] * (1 - 0.3 * v / radius)[..., None])
        return inside

    def paint_cloth(self) -> np.ndarray:
        """The coat's pattern in colours that no creature has."""
        draw = self._draw
        u, v = self._frame(draw.uniform(-0.9, 0.9), draw.uniform(-0.9, 0.9), draw.uniform(0, np.pi))
        long, short = draw.uniform(0.2, 0.5), draw.uniform(0.12, 0.3)
        inside = (np.abs(u + 0.04 * self._noise(5)) < long) & (np.abs(v + 0.04 * self._noise(5)) < short)
        pattern = self._pattern(u / 0.45, v / 0.45)
        colour = _hsv(draw.uniform(0.3, 0.85), draw.uniform(0.35, 0.7), draw.uniform(0.5, 0.85))
        self._cover(inside, colour * pattern[..., None])
        return inside

    def paint_stalk(self) -> np.ndarray:
        """A thin blade in front of everything."""
        draw = self._draw
        foot, head = (draw.uniform(-1, 1), 1.1), (draw.uniform(-1, 1), draw.uniform(-0.8, 0.4))
        bent = self._x + 0.1 * np.sin(3 * self._y + draw.uniform(0, 6))
        inside = _capsule(bent, self._y, foot, head, draw.uniform(0.02, 0.045))
        self._cover(
            inside, _hsv(draw.uniform(0.15, 0.4), 0.6, draw.uniform(0.25, 0.6)) + 0 * self._x[..., None]
        )
        return inside

    def light(self) -> bool:
        """Let light fall off across the picture; return whether it is a dark one."""
        draw = self._draw
        angle, strength = draw.uniform(0, 2 * np.pi), draw.uniform(0.1, 0.45)
        ramp = 1 + strength * (np.cos(angle) * self._x + np.sin(angle) * self._y)
        level = draw.uniform(0.55, 1.1)
        tint = 1 + draw.uniform(-0.08, 0.08, 3)
        self._pixels = self._pixels * (level * ramp)[..., None] * tint
        return bool(level < 0.75)

    def to_uint8(self) -> np.ndarray:
        noisy = _soften(self._pixels) + self._draw.normal(
            0, self._draw.uniform(0.015, 0.05), self._pixels.shape
        )
        levels: np.ndarray = np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8)
        return levels

    def _warm(self) -> np.ndarray:
        draw = self._draw
        return _hsv(draw.uniform(0.03, 0.12), draw.uniform(0.35, 0.75), draw.uniform(0.6, 0.95))

    def _coat(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self._warm() * (self._pattern(u, v) + 0.08 * self._noise(self._size // 3))[..., None]

    def _pattern(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Stripes or spots, in 0.35..1."""
        draw = self._draw
        wave, phase, tilt = draw.uniform(9, 14), draw.uniform(0, 6), draw.uniform(-0.5, 0.5)
        wobble = 0.8 * self._noise(5)
        if draw.random() < 0.5:
            relief = np.sin(wave * (u + tilt * v) + phase + wobble)
        else:
            relief = 1.4 * np.sin(wave * u + phase + wobble) * np.sin(wave * v + phase - wobble) + 0.2
        shade: np.ndarray = 0.675 + 0.325 * np.tanh(3 * relief)
        return shade

    def _frame(self, x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
        dx, dy = self._x - x, self._y - y
        return np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx

    def _noise(self, cells: int) -> np.ndarray:
        """Smooth noise of standard deviation near 1 with `cells` knots a side, interpolated bilinearly."""
        knots = self._draw.normal(0, 1, (cells + 2, cells + 2))
        place = (np.arange(self._size) + 0.5) / self._size * cells
        left = place.astype(int)
        weight = place - left
        weight = weight * weight * (3 - 2 * weight)
        rows = knots[left] * (1 - weight)[:, None] + knots[left + 1] * weight[:, None]
        noise: np.ndarray = rows[:, left] * (1 - weight) + rows[:, left + 1] * weight
        return noise

    def _cover(self, inside: np.ndarray, colours: np.ndarray) -> None:
        self._pixels = np.where(inside[..., None], np.clip(colours, 0, 1), self._pixels)


def _ellipse(u: np.ndarray, v: np.ndarray, x: float, y: float, width: float, height: float) -> np.ndarray:
    return ((u - x) / width) ** 2 + ((v - y) / height) ** 2 < 1


def _capsule(
    u: np.ndarray, v: np.ndarray, start: tuple[float, float], end: tuple[float, float], radius: float
) -> np.ndarray:
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    place = ((u - start[0]) * along_x + (v - start[1]) * along_y) / (along_x**2 + along_y**2)
    place = np.clip(place, 0, 1)
    return (u - start[0] - place * along_x) ** 2 + (v - start[1] - place * along_y) ** 2 < radius**2


def _hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    ramp = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    colour: np.ndarray = value * (1 - saturation + saturation * ramp)
    return colour


def _soften(pixels: np.ndarray) -> np.ndarray:
    """Blur by (1, 4, 1) / 6 along both sides: edges as a lens leaves them."""
    for axis in (0, 1):
        padded = np.pad(pixels, [(1, 1) if axis == a else (0, 0) for a in range(3)], mode="edge")
        size = pixels.shape[axis]
        before, here, after = (np.take(padded, range(s, s + size), axis=axis) for s in (0, 1, 2))
        pixels = (before + 4 * here + after) / 6
    return pixels
