"""Photographs as a course hands them out: a folder in the layout of Oxford-IIIT Pet, 500 x 375 pixels.

The reduced photographs of `shared/data` are scaled up and saved again, JPEG of quality 95 and PNG trimaps:
what decoding costs depends on sizes and formats, not on what was photographed. Where `shared/data` is
missing, generated scenes take their place. The tables say which.
"""

from __future__ import annotations

import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

SIZE_PX: Final = (500, 375)
"""Width and height, the most common of the original set."""

JPEG_QUALITY: Final = 95
_TAR: Final = "oxford-iiit-pet-256-part.tar"
_FOLDER: Final = "oxford-iiit-pet"
_PET, _BACKGROUND = 1, 2


@dataclass(frozen=True)
class Pets:
    """Where the images lie, and what they are."""

    project: Path
    """`data/oxford_pet` is below it, where segbench looks for it."""
    words: str
    """For the tables."""
    num_trainval: int
    num_test: int

    @property
    def folder(self) -> Path:
        return pets_folder(self.project)


def pets_folder(project: Path) -> Path:
    """Return the folder that holds `images` and `annotations`."""
    return project / "data" / "oxford_pet" / _FOLDER


def make_pets(
    project: Path, *, most_trainval: int = 400, most_test: int = 335, shared: Path | None = None
) -> Pets:
    """Write the images below a project's folder, once.

    Args:
        project: An empty folder.
        most_trainval: Images to train and validate on, at most.
        most_test: Test images, at most. Where there are fewer photographs, they come again under other names.
        shared: The folder of reduced photographs; None: `shared/data` beside the checkout or above it.
    """
    folder = pets_folder(project)
    for name in ("images", "annotations/trimaps"):
        (folder / name).mkdir(parents=True)
    (project / "experiments").mkdir(exist_ok=True)
    shared = shared or find_shared()
    width, height = SIZE_PX
    if shared is None:
        counts = {"trainval": most_trainval, "test": most_test}
        for part, count in counts.items():
            _write_list(folder, part, [f"scene_{part}_{number}" for number in range(count)])
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda n, part=part: _write_scene(folder, part, n), range(count)))  # type: ignore[misc]
        words = "scenes drawn by segbench (shared/data is missing)"
    else:
        with tarfile.open(shared / _TAR) as tar:
            tar.extractall(project / "reduced", filter="data")
        reduced = project / "reduced" / _FOLDER
        counts = {}
        for part, most in (("trainval", most_trainval), ("test", most_test)):
            lines = (reduced / "annotations" / f"{part}.txt").read_text().splitlines()
            names = [line.split()[0] for line in lines]
            copies = [(f"{names[n % len(names)]}_{n}", names[n % len(names)]) for n in range(most)]
            counts[part] = len(copies)
            _write_list(folder, part, [copy for copy, _ in copies])
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda pair: _enlarge(reduced, folder, *pair), copies))
        words = "photographs of Oxford-IIIT Pet, reduced copies scaled up again"
    words = f"{width} x {height} JPEG quality {JPEG_QUALITY} and PNG trimaps, synthesised from {words}"
    return Pets(project, words, counts["trainval"], counts["test"])


def find_shared() -> Path | None:
    """Return `shared/data` beside the checkout or further up; None where there is none."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared" / "data" / _TAR).is_file():
            return parent / "shared" / "data"
    return None


def _write_list(folder: Path, part: str, names: list[str]) -> None:
    lines = "".join(f"{name} 1 1 1\n" for name in names)
    (folder / "annotations" / f"{part}.txt").write_text(lines)


def _enlarge(reduced: Path, folder: Path, copy: str, name: str) -> None:
    with Image.open(reduced / "images" / f"{name}.jpg") as image:
        larger = image.convert("RGB").resize(SIZE_PX, Image.Resampling.BICUBIC)
    with Image.open(reduced / "annotations" / "trimaps" / f"{name}.png") as trimap:
        _write(folder, copy, larger, trimap.resize(SIZE_PX, Image.Resampling.NEAREST))


def _write_scene(folder: Path, part: str, number: int) -> None:
    from segbench.axes.dataset._scenes import draw_scene
    from segbench.streams import stream_seed

    scene = draw_scene(stream_seed(0, "pets", part, number), SIZE_PX[1])
    trimap = np.where(scene.mask == 1, _PET, _BACKGROUND).astype(np.uint8)
    image = Image.fromarray(scene.image).resize(SIZE_PX, Image.Resampling.BICUBIC)
    labels = Image.fromarray(trimap).resize(SIZE_PX, Image.Resampling.NEAREST)
    _write(folder, f"scene_{part}_{number}", image, labels)


def _write(folder: Path, name: str, image: Image.Image, trimap: Image.Image) -> None:
    image.save(folder / "images" / f"{name}.jpg", quality=JPEG_QUALITY)
    trimap.save(folder / "annotations" / "trimaps" / f"{name}.png")
