"""Reads a table of results made elsewhere, and says in which line it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from segbench.errors import ResultsError, message

ARM: Final = "arm"
AXIS_PREFIX: Final = "arm:"
"""`arm:norm` holds the level of the axis `norm`; several such columns make a design of several axes."""
COLUMNS: Final = ("arm", "seed", "image", "group", "metric", "value")
REQUIRED: Final = ("seed", "metric", "value")
_MOST_PROBLEMS: Final = 10


@dataclass(frozen=True)
class ForeignTable:
    """A checked table."""

    path: Path
    rows: pd.DataFrame
    """A row a value: `line` (in the file), a column an axis, `seed` (int), `image`, `group` (text, empty:
    none), `metric`, `value` (float)."""
    axes: tuple[str, ...]
    has_images: bool

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics in the order of the file."""
        return tuple(self.rows["metric"].unique())


def read_foreign_table(path: Path) -> ForeignTable:
    """Read a CSV file (`.csv`, `.csv.gz`) of the columns arm, seed, image, group, metric, value.

    `image` and `group` may be absent; `arm:AXIS` columns may stand for `arm`. Empty lines do not count.

    Raises:
        ResultsError: With the line of everything that is wrong, at most ten at once.
    """
    path = Path(path)
    frame = _read(path)
    axes = _axes(path, list(frame.columns))
    rows = frame.rename(columns={f"{AXIS_PREFIX}{axis}": axis for axis in axes})
    rows = rows[(rows.drop(columns="line") != "").any(axis=1)].reset_index(drop=True)
    if rows.empty:
        raise ResultsError(message(str(path), "there is no row below the header"))
    has_images = "image" in rows
    for name in ("image", "group"):
        if name not in rows:
            rows[name] = ""
    _raise(path, _problems(rows, axes, has_images=has_images))
    rows = rows.assign(seed=rows["seed"].astype("int64"), value=rows["value"].astype(float))
    _raise(path, _contradictions(rows, axes))
    return ForeignTable(
        path, rows[["line", *axes, "seed", "image", "group", "metric", "value"]], axes, has_images
    )


def _read(path: Path) -> pd.DataFrame:
    """Return the file's cells as text, with the number of each line."""
    see = f"The columns are {', '.join(COLUMNS)}"
    try:
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig"
        )
    except FileNotFoundError:
        raise ResultsError(message(str(path), "there is no such file")) from None
    except pd.errors.EmptyDataError:
        raise ResultsError(message(str(path), "the file is empty", see=see)) from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError) as error:
        raise ResultsError(message(str(path), f"the file cannot be read as CSV ({error})", see=see)) from None
    frame = frame.fillna("").rename(columns=str.strip)
    frame = frame.apply(lambda column: column.str.strip())
    return frame.assign(line=np.arange(len(frame)) + 2)


def _axes(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the axes, after the header was checked."""
    header = f"{path}:1"
    axes = [name.removeprefix(AXIS_PREFIX) for name in columns if name.startswith(AXIS_PREFIX)]
    if axes and ARM in columns:
        raise ResultsError(message(header, "a file has a column arm, or columns arm:AXIS, not both"))
    for name in columns:
        if name not in (*COLUMNS, "line") and not name.startswith(AXIS_PREFIX):
            raise ResultsError(
                message(header, "the column is unknown", got=name, known=[*COLUMNS, f"{AXIS_PREFIX}AXIS"])
            )
    for axis in axes:
        if axis in ("", *COLUMNS, "line", "cell", "trial", "state", "fold") or axis.startswith("test_"):
            raise ResultsError(message(header, "an axis needs a name of its own", got=f"{AXIS_PREFIX}{axis}"))
    for name in REQUIRED if axes else (ARM, *REQUIRED):
        if name not in columns:
            rule = f"the column {name} is missing"
            raise ResultsError(message(header, rule, known=[c for c in columns if c != "line"]))
    return tuple(axes) or (ARM,)


def _problems(
    rows: pd.DataFrame, axes: Sequence[str], *, has_images: bool
) -> Iterator[tuple[int, str, object]]:
    """Yield (line, rule, what was found) for each cell that is wrong by itself."""
    for name in (*axes, *(["image"] if has_images else []), "metric"):
        for line in rows.loc[rows[name] == "", "line"]:
            yield int(line), f"{name} is empty", ""
    is_whole = rows["seed"].str.fullmatch(r"\d{1,18}")
    for row in rows[~is_whole].itertuples():
        yield int(row.line), "a seed is a whole number", row.seed
    numbers = pd.to_numeric(rows["value"], errors="coerce")
    for row in rows[~np.isfinite(numbers)].itertuples():
        yield int(row.line), "a value is a finite number", row.value


def _contradictions(rows: pd.DataFrame, axes: Sequence[str]) -> Iterator[tuple[int, str, object]]:
    """Yield what is wrong between lines: repeats, images of two groups, arms of one seed."""
    keys = [*axes, "seed", "image", "metric"]
    firsts = rows.groupby(keys, sort=False)["line"].transform("first")
    for number in np.flatnonzero(rows["line"] != firsts):
        row = rows.iloc[number]
        what = ", ".join(f"{name} {row[name]}" for name in keys if row[name] != "")
        yield (
            int(row["line"]),
            f"line {int(firsts.iloc[number])} holds the same arm, seed, image and metric",
            what,
        )
    groups = rows.groupby("image", sort=False)["group"].transform("first")
    for number in np.flatnonzero(rows["group"] != groups):
        row = rows.iloc[number]
        was = groups.iloc[number] or "none"
        yield int(row["line"]), f"image {row['image']} has another group before ({was})", row["group"]
    arms = rows.groupby(list(axes), sort=False).agg(line=("line", "first"), seeds=("seed", "nunique"))
    for arm, row in arms[arms["seeds"] < 2].iterrows():
        name = arm if isinstance(arm, str) else ", ".join(map(str, arm))  # type: ignore[arg-type]
        yield int(row["line"]), "an arm needs at least two seeds", name
    if len(arms) < 2:
        yield int(rows["line"].iloc[0]), "a comparison needs at least two arms", str(rows[axes[0]].iloc[0])


def _raise(path: Path, problems: Iterator[tuple[int, str, object]]) -> None:
    found = sorted(problems, key=lambda problem: problem[0])
    if not found:
        return
    lines = [message(f"{path}:{line}", rule, got=got) for line, rule, got in found[:_MOST_PROBLEMS]]
    rest = len(found) - _MOST_PROBLEMS
    raise ResultsError("\n".join([*lines, *([f"{path}: and {rest} more."] if rest > 0 else [])]))
