"""Oxford-IIIT Pet: photographs of cats and dogs with trimaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from segbench.axes.dataset import IGNORED, Sample, Source, variant
from segbench.axes.dataset._contents import content_hashes
from segbench.axes.dataset._images import read_labels, read_pixels
from segbench.axes.dataset._source import digest
from segbench.config.project import Project
from segbench.errors import DataError, message

FOLDER = "oxford_pet/oxford-iiit-pet"
"""Below the data folder; torchvision's own layout below `oxford_pet`."""

_PET, _BACKGROUND, _BORDER = 1, 2, 3


@variant
def oxford_pet(
    project: Project,
    *,
    size_px: Annotated[int, Ge(1)] = 256,
    border: Literal["foreground", "background", "ignore"] = "foreground",
) -> Source:
    """Read Oxford-IIIT Pet (Parkhi et al., CVPR 2012): pet against background, 37 breeds.

    Its own split (`course`) validates on every tenth line of the official trainval list (index % 10 == 0),
    trains on the rest and tests on the official test list: 3,312 / 368 / 3,669 images. 14 trimaps hold no pet
    and are kept.

    Args:
        project: Where `data/` is.
        size_px: Images are resized to this many pixels a side.
        border: What the trimap's border (value 3) counts as; `ignore`: its pixels count neither in the loss
            nor in a metric.
    """
    return _OxfordPet(project, size_px=size_px, border=border)


class _OxfordPet(Source):
    def __init__(self, project: Project, *, size_px: int, border: str) -> None:
        self.size_px = size_px
        self._memory = project.data / ".cache" / "hashes"
        self._root = project.data / FOLDER
        self._foreground = (_PET, _BORDER) if border == "foreground" else (_PET,)
        self._is_border_ignored = border == "ignore"

    def samples(self) -> tuple[Sample, ...]:
        return self._index[0]

    def own_split(self) -> Mapping[str, Sequence[int]]:
        return self._index[1]

    def folders(self) -> tuple[Path, ...]:
        return (self._root,)

    @cached_property
    def _index(self) -> tuple[tuple[Sample, ...], dict[str, tuple[int, ...]]]:
        trainval, test = (
            read_list(self._root / "annotations" / f"{part}.txt") for part in ("trainval", "test")
        )
        last = len(trainval)
        split = {
            "train": tuple(i for i in range(last) if i % 10 != 0),
            "val": tuple(range(0, last, 10)),
            "test": tuple(range(last, last + len(test))),
        }
        return (*trainval, *test), split

    def decode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        image = read_pixels(self._image(sample))
        file = self._trimap(sample)
        trimap = read_labels(file)
        if trimap.shape != image.shape[:2]:
            raise DataError(
                message(
                    str(file),
                    f"image and mask differ in size: the image is {image.shape[1]}x{image.shape[0]}",
                    got=f"{trimap.shape[1]}x{trimap.shape[0]}",
                )
            )
        odd = set(np.unique(trimap).tolist()) - {_PET, _BACKGROUND, _BORDER}
        if odd:
            raise DataError(
                message(str(file), "a trimap holds 1 (pet), 2 (background) and 3 (border)", got=sorted(odd))
            )
        mask = np.isin(trimap, self._foreground).astype(np.uint8)
        if self._is_border_ignored:
            mask[trimap == _BORDER] = IGNORED
        return image, mask

    def fingerprint(self) -> str:
        samples = self.samples()
        files = [path for s in samples for path in (self._image(s), self._trimap(s))]
        hashes = content_hashes(files, self._memory)
        return digest([[s.name, hashes[self._image(s)], hashes[self._trimap(s)]] for s in samples])

    def _image(self, sample: Sample) -> Path:
        return self._root / "images" / f"{sample.name}.jpg"

    def _trimap(self, sample: Sample) -> Path:
        return self._root / "annotations" / "trimaps" / f"{sample.name}.png"


def read_list(file: Path) -> list[Sample]:
    """Read `trainval.txt` or `test.txt`: lines of name, class 1..37, species 1 (cat) or 2 (dog), breed.

    Raises:
        DataError: The data set is missing or a line has another form.
    """
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError as error:
        raise DataError(
            message(
                "dataset",
                f"oxford_pet is not there: no {file}",
                see="`segbench data fetch oxford_pet` fetches it",
            )
        ) from error
    samples = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 4 or words[2] not in ("1", "2"):
            raise DataError(message(f"{file}:{number}", "a line is `name class species breed`", got=line))
        name, pet_class, species, _ = words
        attributes = {
            "species": "cat" if species == "1" else "dog",
            "breed": name.rpartition("_")[0],
            "class": pet_class,
        }
        samples.append(Sample(name, attributes=attributes))
    return samples
