"""`index.csv`: the trials of the present design, one a line, regenerated from the plan and the disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from segbench.errors import ResultsError, message
from segbench.records import AXIS_SPACE, State, axis_column, written_columns
from segbench.store.atomic import write_bytes
from segbench.store.layout import ExperimentFolder

_ASKED: Final = "asked"
_ROLE: Final = "role"
_OWN: Final = ("hash", _ROLE, _ASKED, "seed", "fold", "state", "folder")


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One trial of the design."""

    hash: str
    levels: Mapping[str, str]
    seed: int
    fold: int
    state: State
    is_later: bool = False
    """Whether only a later look asks for it."""
    role: str = ""
    """Of a tuned design: `tuning` or `tuned`."""


def write_index(
    experiment: ExperimentFolder,
    axes: Sequence[str],
    rows: Iterable[IndexRow],
    *,
    has_looks: bool = False,
    has_roles: bool = False,
) -> None:
    """Write `index.csv`: `hash`, one column per axis, `seed`, `fold`, `state`, `folder`.

    Before `seed` stand `role` in a tuned design, then, with looks, `asked`: `now` or `later`. An axis with
    the name of one of these columns is written `axis:NAME`.

    Equal rows give equal bytes; the file is left alone where it holds exactly this already.

    Raises:
        ResultsError: The disk refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = written_columns([axis_column(axis) for axis in axes], _OWN)
    own = [*([_ROLE] if has_roles else []), *([_ASKED] if has_looks else [])]
    writer.writerow(["hash", *names, *own, "seed", "fold", "state", "folder"])
    for row in rows:
        labels = [row.levels.get(axis, "") for axis in axes]
        labels += [row.role] if has_roles else []
        labels += ["later" if row.is_later else "now"] if has_looks else []
        folder = experiment.trial(row.hash).path.relative_to(experiment.root).as_posix()
        writer.writerow([row.hash, *labels, row.seed, row.fold, row.state.value, folder])
    content = text.getvalue().encode("utf-8")
    if not experiment.index.is_file() or experiment.index.read_bytes() != content:
        write_bytes(experiment.index, content)


def read_index(experiment: ExperimentFolder) -> list[IndexRow]:
    """Read `index.csv`; an empty list where there is none.

    Raises:
        ResultsError: It holds something else.
    """
    where = str(experiment.index)
    try:
        with experiment.index.open(encoding="utf-8", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ResultsError(message(where, f"the index cannot be read ({error})")) from error
    if header[:1] != ["hash"] or header[-4:] != ["seed", "fold", "state", "folder"]:
        raise ResultsError(
            message(where, "the first line must name the columns", got=",".join(header)[:60], see="Delete it")
        )
    has_looks = header[-5:-4] == [_ASKED]
    end = len(header) - (5 if has_looks else 4)
    has_roles = header[end - 1] == _ROLE
    end -= has_roles
    axes = [name.removeprefix(AXIS_SPACE) for name in header[1:end]]
    try:
        return [
            IndexRow(
                hash=line[0],
                levels={axis: label for axis, label in zip(axes, line[1:end], strict=True) if label},
                is_later=has_looks and line[-5] == "later",
                role=line[end] if has_roles else "",
                seed=int(line[-4]),
                fold=int(line[-3]),
                state=State(line[-2]),
            )
            for line in lines
        ]
    except (ValueError, IndexError) as error:
        raise ResultsError(
            message(where, f"a line of the index is damaged ({error})", see="segbench sweep writes it anew")
        ) from error
