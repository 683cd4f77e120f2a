"""Which mask belongs to which image, and to which group."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from segbench.axes.dataset._images import SUFFIXES
from segbench.errors import DataError, message

_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Pair:
    """An image, its mask and its name: the path below the folder without extension and suffix."""

    name: str
    image: Path
    mask: Path
    group: str | None = None


def pair_files(
    images: Path, masks: Path, *, pattern: str = "**/*", image_suffix: str = "", mask_suffix: str = "_mask"
) -> list[Pair]:
    """Pair images and masks by name, in the order of the names.

    `a/b.jpg` belongs to `a/b.png`, `a/b_mask.png` or any other extension. Both folders may be one; then the
    suffix tells masks from images.

    Args:
        images: Folder of the images, with subfolders.
        masks: Folder of the masks, with the same subfolders.
        pattern: Which files below `images` are images (a glob).
        image_suffix: End of the images' names that masks lack.
        mask_suffix: End of the masks' names that images lack; masks may also do without it.

    Raises:
        DataError: A folder is missing or empty, an image has no mask, or two files claim one name; names up
            to 20.
    """
    for folder, what in ((images, "images"), (masks, "masks")):
        if not folder.is_dir():
            raise DataError(message(f"dataset.folder.{what}", "there is no such folder", got=str(folder)))
    images, masks = images.absolute(), masks.absolute()
    is_one_folder = images.resolve() == masks.resolve()
    if is_one_folder and not mask_suffix:
        raise DataError(
            message("dataset.folder.mask_suffix", "images and masks in one folder need one", got="")
        )
    image_files, mask_files = _files(images, pattern), _files(masks, "**/*")
    if is_one_folder:
        image_files = [file for file in image_files if not file.stem.endswith(mask_suffix)]
        mask_files = [file for file in mask_files if file.stem.endswith(mask_suffix)]
    elif masks.is_relative_to(images):
        image_files = [file for file in image_files if not file.is_relative_to(masks)]
    elif images.is_relative_to(masks):
        mask_files = [file for file in mask_files if not file.is_relative_to(images)]
    if not image_files:
        raise DataError(
            message(
                "dataset.folder.images", f"no image matches {pattern} in", got=str(images), known=SUFFIXES
            )
        )
    problems: list[str] = []
    by_name = _by_name(image_files, images, image_suffix, problems)
    masks_by_name = _by_name(mask_files, masks, mask_suffix, problems)
    pairs = []
    for name, image in sorted(by_name.items()):
        mask = masks_by_name.get(name)
        if mask is None:
            wanted = f"{name}{mask_suffix}.*" if is_one_folder else f"{name}.* or {name}{mask_suffix}.*"
            problems.append(message(str(image), f"the image has no mask: no {wanted} in {masks}"))
        else:
            pairs.append(Pair(name, image, mask))
    if problems:
        raise DataError(_first(problems, "If masks carry a suffix, set `mask_suffix`"))
    return pairs


def group_pairs(pairs: Iterable[Pair], group: str, project: Path) -> list[Pair]:
    """Give every pair its group, by a pattern on its name or from a table.

    Args:
        pairs: Images and masks.
        group: `table.csv:column`, whose first column holds the images' names, or a regular expression with
            one group that is searched in the name, such as `^(patient\\d+)_`.
        project: Where a relative path of the table starts.

    Raises:
        DataError: The pattern or table is wrong, or an image has no group; names up to 20.
    """
    table = re.fullmatch(r"(?s)(.+\.csv):([^:]+)", group)
    if table:
        return _group_by_table(list(pairs), project / table[1], table[2])
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise DataError(
            message("dataset.folder.group", f"the pattern is wrong ({error})", got=group)
        ) from error
    if pattern.groups != 1:
        raise DataError(
            message("dataset.folder.group", "the pattern needs exactly one group in parentheses", got=group)
        )
    found, problems = [], []
    for pair in pairs:
        match = pattern.search(pair.name)
        if match is None or match[1] is None:
            problems.append(
                message("dataset.folder.group", f"the pattern {group!r} finds no group in", got=pair.name)
            )
        else:
            found.append(Pair(pair.name, pair.image, pair.mask, match[1]))
    if problems:
        raise DataError(_first(problems))
    return found


def _group_by_table(pairs: list[Pair], table: Path, column: str) -> list[Pair]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            message("dataset.folder.group", f"the table cannot be read ({error})", got=str(table))
        ) from error
    columns = list(rows[0]) if rows else []
    if column not in columns:
        raise DataError(message(str(table), "there is no column of this name", got=column, known=columns))
    groups: dict[str, str] = {}
    for row in rows:
        name = row[columns[0]]
        groups[name] = groups[str(Path(name).with_suffix("").as_posix())] = row[column]
    found, problems = [], []
    for pair in pairs:
        keys = (pair.name, pair.image.name, pair.image.stem, Path(pair.name).name)
        value = next((groups[key] for key in keys if groups.get(key)), None)
        if value is None:
            problems.append(message(str(table), f"no {column} is given for the image", got=pair.name))
        else:
            found.append(Pair(pair.name, pair.image, pair.mask, value))
    if problems:
        raise DataError(_first(problems, f"The first column, {columns[0]}, holds the images' names"))
    return found


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        file
        for file in folder.glob(pattern)
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def _by_name(files: Iterable[Path], folder: Path, suffix: str, problems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in files:
        relative = file.relative_to(folder)
        name = (relative.parent / relative.stem.removesuffix(suffix)).as_posix()
        if name in found:
            problems.append(message(str(file), f"another file has the name {name!r}: {found[name].name}"))
        found.setdefault(name, file)
    return found


def _first(problems: list[str], remedy: str = "") -> list[str]:
    shown = problems[:_MOST_PROBLEMS]
    if len(problems) > _MOST_PROBLEMS:
        shown.append(f"... and {len(problems) - _MOST_PROBLEMS} more like these.")
    if remedy:
        shown[-1] += f" {remedy}."
    return shown
