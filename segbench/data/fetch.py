"""Fetching public data sets: from the network or from a copy that is there already."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segbench.axes.dataset.oxford_pet import FOLDER, read_list
from segbench.config.project import Project
from segbench.errors import DataError, message

OnProgress = Callable[[int, int], None]
"""Told (files done, files in all)."""

_NAME = "oxford-iiit-pet"
_WHOLE = {"trainval": 3680, "test": 3669}


@dataclass(frozen=True)
class FoundPets:
    """What is in a copy of Oxford-IIIT Pet."""

    folder: Path
    num_trainval: int
    num_test: int
    num_breeds: int
    is_new: bool
    """Whether it was fetched just now."""

    @property
    def is_whole(self) -> bool:
        return (self.num_trainval, self.num_test) == (_WHOLE["trainval"], _WHOLE["test"])


def fetch_oxford_pet(
    project: Project, *, source: Path | None = None, on_progress: OnProgress | None = None
) -> FoundPets:
    """Bring Oxford-IIIT Pet into the project's data folder; it appears there when it is whole.

    Args:
        project: Where `data/` is.
        source: A folder or a tar (also .gz, .xz) to copy from; None: torchvision downloads it (800 MB).
        on_progress: Told (files done, files in all) while files are copied or unpacked.

    Raises:
        DataError: The source is no copy of the data set, files are missing from it, or the download failed.
    """
    folder = project.data / FOLDER
    if folder.exists():
        if source is not None:
            raise DataError(
                message(
                    "data fetch",
                    "there is a copy already, which is not replaced",
                    got=str(folder),
                    see="Remove it first",
                )
            )
        return verify_pets(folder, is_new=False)
    staging = folder.parent / ".incomplete"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        if source is None:
            root = _download(staging)
        elif source.is_dir():
            root = _copy(source, staging, on_progress)
        else:
            root = _unpack(source, staging, on_progress)
        verify_pets(root, is_new=True)
        root.rename(folder)
    except OSError as error:
        raise DataError(
            message(
                "data fetch", f"the data set cannot be brought to {folder.parent} ({error.strerror or error})"
            )
        ) from error
    finally:
        if (
            source is not None or folder.exists()
        ):  # a finished part of a download is kept for the next attempt
            shutil.rmtree(staging, ignore_errors=True)
    return verify_pets(folder, is_new=True)


def verify_pets(folder: Path, *, is_new: bool) -> FoundPets:
    """Check that the lists are there, and every image and trimap that they name.

    Raises:
        DataError: Something is missing.
    """
    lists = {}
    for part in _WHOLE:
        file = folder / "annotations" / f"{part}.txt"
        if not file.is_file():
            raise DataError(
                message(str(folder), "this is no copy of Oxford-IIIT Pet", got=f"no annotations/{part}.txt")
            )
        lists[part] = read_list(file)
    images = {path.name for path in (folder / "images").glob("*.jpg")}
    trimaps = {path.name for path in (folder / "annotations" / "trimaps").glob("*.png")}
    samples = [sample for part in lists.values() for sample in part]
    missing = [f"images/{s.name}.jpg" for s in samples if f"{s.name}.jpg" not in images]
    missing += [f"annotations/trimaps/{s.name}.png" for s in samples if f"{s.name}.png" not in trimaps]
    if missing:
        raise DataError(message(str(folder), f"{len(missing)} listed files are missing", got=missing[:3]))
    breeds = {sample.attributes["breed"] for sample in samples}
    return FoundPets(folder, len(lists["trainval"]), len(lists["test"]), len(breeds), is_new)


def _download(staging: Path) -> Path:
    from torchvision.datasets import OxfordIIITPet

    try:
        OxfordIIITPet(staging, download=True)
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        raise DataError(
            message(
                "data fetch",
                f"the download failed ({error})".replace("\n", " "),
                see="`segbench data fetch oxford_pet --from DIR|TAR` takes a copy that is there already",
            )
        ) from error
    for archive in (staging / _NAME).glob("*.tar.gz"):
        archive.unlink()
    return staging / _NAME


def _copy(source: Path, staging: Path, on_progress: OnProgress | None) -> Path:
    root = _root_in(source)
    files = [
        file
        for part in ("images", "annotations")
        for file in sorted((root / part).rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    ]
    for done, file in enumerate(files, start=1):
        target = staging / _NAME / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
        if on_progress is not None:
            on_progress(done, len(files))
    return staging / _NAME


def _unpack(source: Path, staging: Path, on_progress: OnProgress | None) -> Path:
    try:
        with tarfile.open(source) as tar:
            members = tar.getmembers()
            for done, member in enumerate(members, start=1):
                tar.extract(member, staging, filter="data")
                if on_progress is not None:
                    on_progress(done, len(members))
    except FileNotFoundError as error:
        raise DataError(message("data fetch", "there is no such file or folder", got=str(source))) from error
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise DataError(message(str(source), f"the file is no readable tar ({error})")) from error
    return _root_in(staging)


def _root_in(folder: Path) -> Path:
    """Return the data set's folder: this one, or one or two levels below."""
    for candidate in (
        folder,
        folder / _NAME,
        *sorted(p for p in folder.glob("*/*") if p.name == _NAME),
        *sorted(folder.iterdir()),
    ):
        if (candidate / "annotations").is_dir() and (candidate / "images").is_dir():
            return candidate
    raise DataError(
        message(str(folder), "this is no copy of Oxford-IIIT Pet", got="no folders images and annotations")
    )
