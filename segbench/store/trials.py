"""One trial's folder: `trial.json`, `epochs.csv` and `images.csv.gz`.

Text is UTF-8 with `\\n`, floats have nine significant digits, and the same content gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from segbench.errors import ResultsError, message
from segbench.records import (
    DECIMALS,
    RESULTS_FORMAT,
    EpochRecord,
    FailureKind,
    SearchPlace,
    State,
    TrialRecord,
)
from segbench.store.atomic import write_bytes, write_errors, write_text
from segbench.store.layout import TrialFolder
from segbench.store.lease import Lease

if TYPE_CHECKING:
    import pandas as pd

_KEYS: Final = {f.name: None for f in fields(TrialRecord)}
"""Of `trial.json`, in their order."""

_EXACT_KEYS: Final = frozenset({"config", "search"})
"""Keys whose floats keep every digit: they are settings, part of the identity, not measurements."""


class ImageValue(NamedTuple):
    """One row of `images.csv.gz`."""

    image: str
    group: str
    split: str
    class_: str
    metric: str
    value: float


IMAGE_COLUMNS: Final = ("image", "group", "split", "class", "metric", "value")


def format_number(value: float) -> str:
    """Write a number as records do: integers plain, floats with nine significant digits, NaN as `nan`."""
    if isinstance(value, int):
        return str(int(value))
    return format(float(value), f".{DECIMALS}g")


def write_trial(folder: TrialFolder, record: TrialRecord) -> None:
    """Put `trial.json` into the folder (made if it is missing), atomically.

    Raises:
        ResultsError: The folder holds another identity, or the disk refuses.
    """
    open_trial(folder, record.identity)
    with write_errors(folder.record):
        folder.path.mkdir(parents=True, exist_ok=True)
    content = record_to_json(record)
    write_text(folder.record, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def rewrite_if_free(folder: TrialFolder, record: TrialRecord) -> bool:
    """Write a record under a claim of its own; return whether it was written: False while somebody holds it.

    Raises:
        ResultsError: The folder holds another identity, or the disk refuses.
    """
    lease = Lease.acquire(folder)
    if lease is None:
        return False
    with lease:
        lease.check()
        write_trial(folder, record)
    return True


def record_to_json(record: TrialRecord) -> dict[str, Any]:
    """Return what `trial.json` holds: plain types, floats of nine digits but for settings."""
    return {name: _to_json(name, getattr(record, name)) for name in _KEYS}


def read_trial(folder: TrialFolder) -> TrialRecord:
    """Read `trial.json`; keys that this version does not know are passed over.

    Raises:
        ResultsError: It is missing, truncated, not a record, or of a newer format.
    """
    record = find_trial(folder)
    if record is None:
        raise ResultsError(message(str(folder.record), "there is no record in this trial's folder"))
    return record


def find_trial(folder: TrialFolder) -> TrialRecord | None:
    """Read `trial.json` as `read_trial` does; None where there is none.

    Raises:
        ResultsError: It is truncated, not a record, or of a newer format.
    """
    where = str(folder.record)
    try:
        with open(where, "rb") as file:  # noqa: PTH123 - ten thousand records in a second
            content = json.loads(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultsError(message(where, f"the record cannot be read: {error.strerror}")) from error
    except ValueError as error:
        raise ResultsError(message(where, f"the record is truncated or not JSON ({error})")) from error
    record = _record(where, content)
    if record.hash != folder.hash:
        raise ResultsError(message(where, "the record is of another trial than its folder", got=record.hash))
    return record


def peek_trial(folder: TrialFolder) -> TrialRecord | None:
    """Return the record; None where there is none that can be read."""
    try:
        return find_trial(folder)
    except ResultsError:
        return None


def open_trial(folder: TrialFolder, identity: str) -> TrialRecord | None:
    """Return the record in the folder, or None where there is none yet, if it is the trial of that identity.

    Raises:
        ResultsError: The folder holds another identity, or a record that cannot be read.
    """
    if not folder.record.exists():
        return None
    record = read_trial(folder)
    if record.identity != identity:
        raise ResultsError(
            message(
                str(folder.path),
                f"the folder holds another trial than {identity[:16]}...; nothing was overwritten",
                got=f"{record.identity[:16]}...",
                see="Move the folder away, then run the same command again",
            )
        )
    return record


def append_epoch(folder: TrialFolder, epoch: EpochRecord) -> None:
    """Add one row to `epochs.csv` and wait until it is on the disk.

    Raises:
        ResultsError: The columns differ from the file's, or the disk refuses.
    """
    row = epoch.row()
    line = ",".join(map(format_number, row.values())) + "\n"
    header = ",".join(row) + "\n"
    with write_errors(folder.epochs), folder.epochs.open("a+b") as file:
        file.seek(0)
        present = file.readline()
        if not present.endswith(b"\n"):
            file.truncate(0)
            line = header + line
        elif present.decode("utf-8", "replace") != header:
            raise ResultsError(
                message(
                    str(folder.epochs),
                    "an epoch's columns differ from those of the file",
                    got=header.strip(),
                    known=present.decode("utf-8", "replace").strip().split(","),
                )
            )
        else:
            _drop_torn_line(file)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def rewrite_epochs(folder: TrialFolder, history: Sequence[EpochRecord]) -> None:
    """Make `epochs.csv` hold exactly `history`, as a resume does with the rows in `last.pt`.

    Without an epoch the file is removed.

    Raises:
        ResultsError: The disk refuses.
    """
    if not history:
        with write_errors(folder.epochs):
            folder.epochs.unlink(missing_ok=True)
        return
    lines = [",".join(history[0].row())]
    lines += [",".join(map(format_number, epoch.row().values())) for epoch in history]
    write_text(folder.epochs, "\n".join(lines) + "\n")


def read_epochs(folder: TrialFolder) -> pd.DataFrame:
    """Read `epochs.csv`: one row per epoch. A torn last line, left by a crash, is dropped.

    Raises:
        ResultsError: The file is missing or holds something else.
    """
    where = str(folder.epochs)
    try:
        content = folder.epochs.read_bytes()
    except OSError as error:
        raise ResultsError(message(where, f"the epochs cannot be read: {error.strerror}")) from error
    return parse_epochs(where, *split_epochs(where, content))


def parse_epochs(where: str, header: str, body: str) -> pd.DataFrame:
    """Parse the lines of one or more `epochs.csv`; for more, a first column `trial` tells them apart.

    Raises:
        ResultsError: A value is no number, or epochs are missing.
    """
    import pandas as pd

    columns = header.split(",")
    types = dict.fromkeys(columns, "float64") | {"epoch": "int64", "trial": "str"}
    try:
        frame = pd.read_csv(
            io.BytesIO(body.encode()),  # a StringIO would hold four bytes a character
            names=columns,
            dtype=types,
            keep_default_na=False,
            na_values={name: ["nan"] for name in columns[1:]},
            index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise ResultsError(message(where, f"the epochs cannot be read ({error})")) from error
    expected = frame.groupby("trial").cumcount() + 1 if "trial" in frame else pd.RangeIndex(1, len(frame) + 1)
    if (frame["epoch"] != expected).any():
        raise ResultsError(
            message(where, "epochs must count from 1 without a gap", got=frame["epoch"].tolist()[:20])
        )
    return frame


def split_epochs(where: str, content: bytes) -> tuple[str, str]:
    """Return the header line and the whole lines under it of an `epochs.csv`; a torn last line is dropped.

    Raises:
        ResultsError: The content is no such file.
    """
    try:
        text = content[: content.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ResultsError(message(where, f"the epochs are not text ({error.reason})")) from error
    header, _, body = text.partition("\n")
    columns = header.split(",")
    if columns[0] != "epoch":
        raise ResultsError(
            message(where, "the first line must name the columns, epoch first", got=header[:60])
        )
    num_commas = len(columns) - 1
    if any(line.count(",") != num_commas for line in body.splitlines()):
        raise ResultsError(message(where, f"each line must hold {len(columns)} values"))
    return header, body


def read_rows(folder: TrialFolder) -> list[dict[str, float]]:
    """Return the rows of `epochs.csv` without pandas; none where there is no such file that can be read."""
    try:
        header, body = split_epochs(str(folder.epochs), folder.epochs.read_bytes())
        columns = header.split(",")
        return [dict(zip(columns, map(float, line.split(",")), strict=True)) for line in body.splitlines()]
    except (OSError, ValueError, ResultsError):
        return []


def count_epochs(folder: TrialFolder) -> int:
    """Return the number of whole rows in `epochs.csv`; 0 without one."""
    try:
        return max(folder.epochs.read_bytes().count(b"\n") - 1, 0)
    except OSError:
        return 0


def write_images(folder: TrialFolder, rows: Iterable[ImageValue]) -> None:
    """Put the per-image values into `images.csv.gz`, atomically; equal rows give equal bytes.

    Raises:
        ResultsError: The disk refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(IMAGE_COLUMNS)
    for row in rows:
        writer.writerow((*row[:-1], format_number(float(row.value))))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as file:
        file.write(text.getvalue().encode("utf-8"))
    write_bytes(folder.images, packed.getvalue())


def read_images(folder: TrialFolder) -> pd.DataFrame:
    """Read `images.csv.gz`: `image`, `group`, `split`, `class`, `metric` (text), `value`.

    Raises:
        ResultsError: The file is missing or damaged.
    """
    header, _, body = unpack_images(folder).partition("\n")
    return parse_images(str(folder.images), header, body)


def unpack_images(folder: TrialFolder) -> str:
    """Return the uncompressed text of `images.csv.gz`, its header checked.

    Raises:
        ResultsError: The file is missing or damaged.
    """
    where = str(folder.images)
    try:
        text = gzip.decompress(folder.images.read_bytes()).decode("utf-8")
    except FileNotFoundError:
        raise ResultsError(message(where, "there are no values per image for this trial")) from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ResultsError(message(where, f"the values per image are damaged ({error})")) from error
    header = text.partition("\n")[0]
    if header != ",".join(IMAGE_COLUMNS):
        raise ResultsError(
            message(where, f"the first line must be {','.join(IMAGE_COLUMNS)}", got=header[:60])
        )
    return text


def parse_images(where: str, header: str, body: str) -> pd.DataFrame:
    """Parse the lines of one or more `images.csv`; for more, a first column `trial` tells them apart.

    Raises:
        ResultsError: They are damaged.
    """
    import pandas as pd

    columns = header.split(",")
    try:
        return pd.read_csv(
            io.BytesIO(body.encode()),
            names=columns,
            dtype=dict.fromkeys(columns, "str") | {"value": "float64"},
            keep_default_na=False,
            na_values={"value": ["nan"]},
            index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise ResultsError(message(where, f"the values per image are damaged ({error})")) from error


def _to_json(key: str, value: Any) -> Any:
    if key in _EXACT_KEYS:
        return value.to_json() if isinstance(value, SearchPlace) else value
    if isinstance(value, Mapping):
        return {k: _to_json(key, v) for k, v in value.items()}
    if isinstance(value, float):
        return float(format_number(value)) if math.isfinite(value) else None
    return value


def _record(where: str, content: Any) -> TrialRecord:
    if not isinstance(content, Mapping):
        raise ResultsError(message(where, "a record is a JSON object", got=type(content).__name__))
    written = content.get("format")
    if not isinstance(written, int):
        raise ResultsError(message(where, "a record must say its format", got=written))
    if written > RESULTS_FORMAT:
        raise ResultsError(
            message(
                where,
                f"the record is of a newer format than this segbench reads ({RESULTS_FORMAT})",
                got=written,
                see="Upgrade segbench",
            )
        )
    values: dict[str, Any] = {k: v for k, v in content.items() if k in _KEYS}
    try:
        values["state"] = State(values["state"])
        if values.get("failure") is not None:
            values["failure"] = FailureKind(values["failure"])
        values["test"] = {k: math.nan if v is None else float(v) for k, v in values.get("test", {}).items()}
        if values.get("search") is not None:
            values["search"] = SearchPlace.from_json(values["search"])
        values["notes"] = tuple(values.get("notes", ()))
        record = TrialRecord(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultsError(message(where, f"a key of the record is missing or wrong ({error})")) from error
    if not isinstance(record.identity, str) or record.identity[:12] != record.hash:
        raise ResultsError(message(where, "hash must be the first digits of identity", got=record.hash))
    return record


def _drop_torn_line(file: Any) -> None:
    content = file.seek(0) or file.read()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        file.truncate(whole)
