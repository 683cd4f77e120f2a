"""The tables of many trials as one frame, parsed in one go: one by one, a thousand files take a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import ResultsError
from segbench.store.layout import TrialFolder
from segbench.store.trials import IMAGE_COLUMNS, parse_epochs, parse_images, split_epochs, unpack_images

if TYPE_CHECKING:
    import pandas as pd

    Parse = Callable[[str, str, str], pd.DataFrame]
    """From (where, header line, lines under it) to a frame."""


def read_all_epochs(folders: Iterable[TrialFolder]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read `epochs.csv` of many trials; a trial without the file has no rows.

    Returns:
        A row an epoch, the column `trial` first, and hash -> reason for the files that hold something else.
    """

    def tables(folder: TrialFolder) -> tuple[str, str]:
        return split_epochs(str(folder.epochs), folder.epochs.read_bytes())

    return _read_all(folders, tables, parse_epochs, lambda folder: folder.epochs, ["epoch"])


def read_all_images(folders: Iterable[TrialFolder]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read `images.csv.gz` of many trials; a trial without the file has no rows.

    Returns:
        A row a value, the column `trial` first, and hash -> reason for the files that hold something else.
    """

    def tables(folder: TrialFolder) -> tuple[str, str]:
        if not folder.images.exists():
            raise FileNotFoundError(folder.images)
        header, _, body = unpack_images(folder).partition("\n")
        return header, body

    return _read_all(folders, tables, parse_images, lambda folder: folder.images, list(IMAGE_COLUMNS))


def _read_all(
    folders: Iterable[TrialFolder],
    tables: Callable[[TrialFolder], tuple[str, str]],
    parse: Parse,
    where: Callable[[TrialFolder], Path],
    columns: list[str],
) -> tuple[pd.DataFrame, dict[str, str]]:
    import pandas as pd

    bad: dict[str, str] = {}
    bodies: dict[str, dict[TrialFolder, str]] = {}
    for folder in folders:
        try:
            header, body = tables(folder)
        except FileNotFoundError:
            continue
        except (OSError, ResultsError) as error:
            bad[folder.hash] = str(error)
            continue
        if body:
            bodies.setdefault(header, {})[folder] = body
    frames = [
        frame
        for header, of_header in bodies.items()
        for frame in _parse(header, of_header, parse, where, bad)
    ]
    if not frames:
        empty = {"trial": pd.Series(dtype="str"), **{name: pd.Series(dtype="float64") for name in columns}}
        return pd.DataFrame(empty), bad
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0], bad


def _parse(
    header: str,
    bodies: Mapping[TrialFolder, str],
    parse: Parse,
    where: Callable[[TrialFolder], Path],
    bad: dict[str, str],
) -> list[pd.DataFrame]:
    """Parse all bodies together; where that fails, one by one, so that the others survive a bad one."""
    plain = {folder: body for folder, body in bodies.items() if '"' not in body}
    single = {folder: body for folder, body in bodies.items() if folder not in plain}  # values with line ends
    frames = []
    if plain:
        together = "".join(_with_trial(folder.hash, body) for folder, body in plain.items())
        try:
            frames.append(parse("", f"trial,{header}", together))
        except ResultsError:
            single = dict(bodies)
    for folder, body in single.items():
        try:
            frame = parse(str(where(folder)), header, body)
        except ResultsError as error:
            bad[folder.hash] = str(error)
        else:
            frame.insert(0, "trial", folder.hash)
            frames.append(frame.astype({"trial": "str"}))
    return frames


def _with_trial(hash: str, body: str) -> str:
    """Put the trial's hash before each line."""
    return f"{hash},{body.rstrip(chr(10)).replace(chr(10), f'{chr(10)}{hash},')}\n"
