"""The tables of many trials as one frame, parsed in one go: one by one, a thousand files take a minute."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import ResultsError, message
from segbench.store.layout import TrialFolder
from segbench.store.trials import IMAGE_COLUMNS, parse_epochs, parse_images, split_epochs, unpack_images

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Parse = Callable[[str, str, str], pd.DataFrame]
    """From (where, header line, lines under it) to a frame."""


def read_all_epochs(folders: Iterable[TrialFolder]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read `epochs.csv` of many trials; a trial without the file has no rows.

    Returns:
        One row per epoch, the column `trial` first, and hash -> reason for files of another form.
    """

    def tables(folder: TrialFolder) -> tuple[str, str]:
        return split_epochs(str(folder.epochs), folder.epochs.read_bytes())

    return _read_all(folders, tables, parse_epochs, lambda folder: folder.epochs, ["epoch"])


def read_all_images(folders: Iterable[TrialFolder]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read `images.csv.gz` of many trials; a trial without the file has no rows.

    The trials of an experiment see the same images, so what stands before the values is parsed once for all
    that agree in it; texts are categories, a million of which fit into a few megabytes.

    Returns:
        One row per value, the column `trial` first, and hash -> reason for files of another form.
    """
    import numpy as np
    import pandas as pd

    bad: dict[str, str] = {}
    layouts: dict[str, pd.DataFrame] = {}
    parts: list[tuple[str, pd.DataFrame, np.ndarray]] = []
    for folder in folders:
        if not folder.images.exists():
            continue
        try:
            keys, values = _split_images(folder)
            if keys not in layouts:
                layouts[keys] = _layout(folder, keys, len(values))
        except ResultsError as error:
            bad[folder.hash] = str(error)
            continue
        parts.append((folder.hash, layouts[keys], values))
    if not parts:
        return _no_images(), bad
    columns: dict[str, Any] = {}
    hashes = pd.Index([trial for trial, _, _ in parts], dtype="str")
    places = np.repeat(np.arange(len(parts)), [len(values) for _, _, values in parts])
    columns["trial"] = pd.Categorical.from_codes(places, categories=hashes)
    for name in IMAGE_COLUMNS[:-1]:
        of_layout = {id(layout): layout[name] for _, layout, _ in parts}
        texts = pd.Index(pd.unique(pd.concat(list(of_layout.values()))), dtype="str")
        codes = {key: texts.get_indexer(text).astype(np.int32) for key, text in of_layout.items()}
        chosen = np.concatenate([codes[id(layout)] for _, layout, _ in parts])
        columns[name] = pd.Categorical.from_codes(chosen, categories=texts)
    columns["value"] = np.concatenate([values for _, _, values in parts])
    return pd.DataFrame(columns), bad


def _no_images() -> pd.DataFrame:
    import pandas as pd

    texts = {name: pd.Series(dtype="str") for name in ("trial", *IMAGE_COLUMNS[:-1])}
    return pd.DataFrame({**texts, "value": pd.Series(dtype="float64")})


def _split_images(folder: TrialFolder) -> tuple[str, np.ndarray]:
    """Return what stands before the values, line by line, and the values.

    Raises:
        ResultsError: The file is damaged.
    """
    import numpy as np

    text = unpack_images(folder)
    header, _, body = text.partition("\n")
    if '"' in body:  # a name with a comma or a line end
        frame = parse_images(str(folder.images), header, body)
        keys = frame[list(IMAGE_COLUMNS[:-1])].to_csv(index=False, header=False, lineterminator="\n")
        return keys, frame["value"].to_numpy()
    cut = [line.rpartition(",") for line in body.removesuffix("\n").split("\n") if body]
    try:
        values = np.array([float(value) for _, _, value in cut], float)
    except ValueError as error:
        rule = f"the values per image are damaged ({error})"
        raise ResultsError(message(str(folder.images), rule)) from error
    return "".join(f"{key}\n" for key, _, _ in cut), values


def _layout(folder: TrialFolder, keys: str, num_rows: int) -> pd.DataFrame:
    import pandas as pd

    names = IMAGE_COLUMNS[:-1]
    try:
        rows = list(csv.reader(io.StringIO(keys, newline="")))
    except csv.Error as error:
        rule = f"the values per image are damaged ({error})"
        raise ResultsError(message(str(folder.images), rule)) from error
    if len(rows) != num_rows or any(len(row) != len(names) for row in rows):
        rule = f"the values per image are damaged (each line must hold {len(IMAGE_COLUMNS)} values)"
        raise ResultsError(message(str(folder.images), rule))
    return pd.DataFrame(rows, columns=list(names), dtype="str")


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
