"""`history.csv`: a line whenever a sweep ended with its design complete, so that what came after is known.

Claims, margins and numbers of seeds that were changed once results could be seen are another thing than those
that were planned: the report says so, and this file is how it knows.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, Final

from segbench.config.experiment import Claim, Experiment
from segbench.config.trial import canonical_json, config_hash
from segbench.errors import ResultsError, message
from segbench.store.atomic import write_bytes
from segbench.store.layout import ExperimentFolder

DIGITS: Final = 12
"""Hexadecimal digits of a digest."""


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One line, as text; empty where there is nothing to say."""

    ended: str
    """When: UTC, ISO 8601."""
    commit: str
    """Git commit of the project."""
    cells: str
    """Number of cells."""
    seeds: str
    """The seeds that were complete, such as `0 1 2`; at a look those of the look."""
    looks: str
    """The planned looks, such as `3 5 10`."""
    unresolved: str
    """At a look: members of the family that were not resolved."""
    outcome: str
    margin: str
    claims: str
    """Digest of what is claimed, by what levels set, not by what they are called."""
    baseline: str
    """Digest of the baseline's configuration."""
    design: str
    """Digest of all cells' configurations and the folds."""
    changed: str = ""
    """Columns that differ from those of the line before."""

    @property
    def num_seeds(self) -> int:
        return len(self.seeds.split())

    @property
    def date(self) -> str:
        return self.ended[:10]


COLUMNS: Final = tuple(f.name for f in fields(HistoryRow))
_FREE: Final = ("ended", "commit", "changed")
"""Columns that make no difference to whether a line says something new."""


def describe(
    experiment: Experiment, *, ended: str, commit: str | None, unresolved: int | None = None
) -> HistoryRow:
    """Return the line of an experiment whose seeds (at a look: those of the look) are complete."""
    return HistoryRow(
        ended=ended,
        commit=commit or "",
        cells=str(len(experiment.cells)),
        seeds=_joined(experiment.seeds),
        looks=_joined(experiment.looks),
        unresolved="" if unresolved is None else str(unresolved),
        outcome=experiment.outcome,
        margin="" if experiment.margin is None else f"{experiment.margin:g}",
        claims=_claims_digest(experiment),
        baseline=config_hash(experiment.baseline)[:DIGITS],
        design=_digest([sorted({cell.config_hash for cell in experiment.cells}), experiment.num_folds]),
    )


def append_history(folder: ExperimentFolder, row: HistoryRow) -> bool:
    """Add a line, atomically, where it says another thing than the last one; return whether it did.

    Raises:
        ResultsError: The file is damaged, or the disk refuses.
    """
    rows = read_history(folder)
    if rows and _facts(rows[-1]) == _facts(row):
        return False
    if rows:
        before, now = _facts(rows[-1]), _facts(row)
        row = replace(row, changed=" ".join(name for name in now if now[name] != before[name]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(each) for each in [*rows, row])
    write_bytes(folder.history, text.getvalue().encode("utf-8"))
    return True


def read_history(folder: ExperimentFolder) -> list[HistoryRow]:
    """Read the lines; none where there is no file. Columns that this version does not know are passed over.

    Raises:
        ResultsError: The file is damaged.
    """
    where = str(folder.history)
    see = "Take it back from version control, or delete it: then what changed after results is not known"
    try:
        with folder.history.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            lines, header = list(reader), reader.fieldnames or ()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ResultsError(message(where, f"the history cannot be read ({error})", see=see)) from error
    if not set(COLUMNS) <= set(header) or any(None in line.values() for line in lines):
        raise ResultsError(message(where, f"each line must have the columns {', '.join(COLUMNS)}", see=see))
    return [HistoryRow(**{name: line[name] for name in COLUMNS}) for line in lines]


def judged_looks(rows: list[HistoryRow], experiment: Experiment) -> Mapping[int, int]:
    """Return seeds of a look -> members unresolved at it, of the design and claims as they are now."""
    now = _question(describe(experiment, ended="", commit=None))
    return {r.num_seeds: int(r.unresolved) for r in rows if r.unresolved.isdigit() and _question(r) == now}


def reached_look(rows: list[HistoryRow], experiment: Experiment) -> int:
    """Return the most seeds at which this baseline was looked at under the same looks; 0: never."""
    now = describe(experiment, ended="", commit=None)
    same = [r for r in rows if (r.baseline, r.looks) == (now.baseline, now.looks)]
    return max((r.num_seeds for r in same), default=0)


def _question(row: HistoryRow) -> dict[str, str]:
    """Return what decides a judgement, apart from the seeds it was made at."""
    facts = _facts(row)
    return {name: facts[name] for name in facts if name not in ("seeds", "unresolved")}


def _facts(row: HistoryRow) -> dict[str, str]:
    return {name: getattr(row, name) for name in COLUMNS if name not in _FREE}


def _claims_digest(experiment: Experiment) -> str:
    """Digest the claims that can be judged; empty: there are none, and every level is asked about."""
    levels = {
        (axis.name, level.label): canonical_json(dict(level.changes))
        for axis in experiment.axes
        for level in axis.levels
    }

    def content(claim: Claim) -> list[Any]:
        def meant(axis: str | None, label: str | None) -> str:
            return levels.get((str(axis), str(label)), str(label))

        return [
            [meant(claim.axis, claim.left), claim.op, meant(claim.axis, claim.right)],
            sorted(meant(axis, label) for axis, label in claim.at.items()),
            [claim.metric, claim.on, claim.between, sorted(claim.among.items())],
        ]

    claims = [content(claim) for claim in experiment.claims if claim.axis is not None]
    return _digest(sorted(claims, key=canonical_json)) if claims else ""


def _digest(content: Any) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:DIGITS]


def _joined(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
