"""Reads a table of results made elsewhere, and says in which line it is wrong."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from segbench.config.axes import name_problem
from segbench.config.claims import check_estimable, read_claims
from segbench.config.document import Node, Place, Problems, parse
from segbench.config.experiment import Axis, Cell, Claim, Design, Experiment, Level
from segbench.config.pairing import Pairing
from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig
from segbench.errors import ResultsError, message
from segbench.quantities import find_quantity, is_direction_known
from segbench.records import State, axis_column
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.store.layout import HASH_DIGITS
from segbench.store.results import Results

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
    """One row per value: `line` (in the file), one column per axis, `seed` (int), `image`, `group` (text,
    empty: none), `metric`, `value` (float)."""
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
    rows = frame.rename(
        columns={ARM: axis_column(ARM), **{f"{AXIS_PREFIX}{a}": axis_column(a) for a in axes}}
    )
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
        path,
        rows[["line", *map(axis_column, axes), "seed", "image", "group", "metric", "value"]],
        axes,
        has_images,
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
    stripped: pd.DataFrame = frame.apply(lambda column: column.str.strip())
    return stripped.assign(line=np.arange(len(stripped)) + 2)


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
        rule = name_problem(axis)
        if rule:
            raise ResultsError(message(header, rule, got=f"{AXIS_PREFIX}{axis}"))
    for name in REQUIRED if axes else (ARM, *REQUIRED):
        if name not in columns:
            rule = f"the column {name} is missing"
            raise ResultsError(message(header, rule, known=[c for c in columns if c != "line"]))
    return tuple(axes) or (ARM,)


def _problems(
    rows: pd.DataFrame, axes: Sequence[str], *, has_images: bool
) -> Iterator[tuple[int, str, object]]:
    """Yield (line, rule, what was found) for each cell that is wrong by itself."""
    names = {axis_column(axis): axis for axis in axes}
    names |= {name: name for name in (*(["image"] if has_images else []), "metric")}
    for column, name in names.items():
        for line in rows.loc[rows[column] == "", "line"]:
            yield int(line), f"{name} is empty", ""
    is_whole = rows["seed"].str.fullmatch(r"\d{1,18}")
    for line, seed in rows.loc[~is_whole, ["line", "seed"]].itertuples(index=False, name=None):
        yield int(line), "a seed is a whole number", seed
    numbers = pd.to_numeric(rows["value"], errors="coerce")
    for line, value in rows.loc[~np.isfinite(numbers), ["line", "value"]].itertuples(index=False, name=None):
        yield int(line), "a value is a finite number", value


def _contradictions(rows: pd.DataFrame, axes: Sequence[str]) -> Iterator[tuple[int, str, object]]:
    """Yield what is wrong between lines: repeats, images of two groups, arms of one seed."""
    names = {
        **{axis_column(axis): axis for axis in axes},
        "seed": "seed",
        "image": "image",
        "metric": "metric",
    }
    keys = list(names)
    firsts = rows.groupby(keys, sort=False)["line"].transform("first")
    for number in np.flatnonzero(rows["line"] != firsts):
        row = rows.iloc[number]
        what = ", ".join(f"{name} {row[key]}" for key, name in names.items() if row[key] != "")
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
    arms = rows.groupby([axis_column(axis) for axis in axes], sort=False).agg(
        line=("line", "first"), seeds=("seed", "nunique")
    )
    for arm, row in arms[arms["seeds"] < 2].iterrows():
        name = ", ".join(map(str, arm)) if isinstance(arm, tuple) else str(arm)
        yield int(row["line"]), "an arm needs at least two seeds", name
    if len(arms) < 2:
        yield (
            int(rows["line"].iloc[0]),
            "a comparison needs at least two arms",
            str(rows[axis_column(axes[0])].iloc[0]),
        )


def _raise(path: Path, problems: Iterator[tuple[int, str, object]]) -> None:
    found = sorted(problems, key=lambda problem: problem[0])
    if not found:
        return
    lines = [message(f"{path}:{line}", rule, got=got) for line, rule, got in found[:_MOST_PROBLEMS]]
    rest = len(found) - _MOST_PROBLEMS
    raise ResultsError("\n".join([*lines, *([f"{path}: and {rest} more."] if rest > 0 else [])]))


# Results made elsewhere as an experiment and its results: what `segbench report --from` analyses.


DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A table as an experiment with results."""

    experiment: Experiment
    results: Results
    notes: tuple[str, ...]
    """What of the table does not count, and why."""
    directions: Mapping[str, bool]
    """Outcome -> whether lower is better, where `--direction` says so (`quantities.declared`)."""


def make_foreign(
    table: ForeignTable,
    *,
    name: str,
    project: Project,
    question: str = "",
    baseline: Sequence[str] = (),
    metric: str | None = None,
    direction: str | None = None,
    margin: float | None = None,
    claims: Sequence[str] = (),
) -> Foreign:
    """Turn a table into an experiment whose cells are its arms.

    Args:
        table: What was read.
        name: Of the experiment.
        project: Where its report goes.
        question: What the report answers; empty: which arm differs from the baseline.
        baseline: `ARM`, or `AXIS=LEVEL` for each axis; what is not named is the first in the file.
        metric: The outcome, with or without `test_`; None: the first in the file.
        direction: `maximize` or `minimize`, for metrics that segbench does not know.
        margin: Largest difference that does not matter.
        claims: As in an experiment file, each without its braces: `arm: a > b, on: new_images`.

    Raises:
        ExperimentError: A claim is wrong. Holds all problems found.
        ResultsError: An arm or metric is not in the table, or a direction is missing or wrong.
    """
    chosen = _metric(table, metric)
    outcome = f"test_{chosen.removeprefix('test_')}"
    directions = _directions(table, outcome, direction)
    axes = _read_axes(table, baseline)
    cells = _read_cells(table, axes)
    experiment = Experiment(
        name=name,
        question=question or f"Which {axes[0].name} differs from {axes[0].baseline}?"
        if len(axes) == 1
        else question or f"What do {' and '.join(axis.name for axis in axes)} change?",
        project=project,
        source=table.path,
        document={},
        baseline=_CONFIG,
        axes=axes,
        cells=cells,
        seeds=tuple(sorted(int(seed) for seed in table.rows["seed"].unique())),
        num_folds=1,
        margin=margin,
        outcome=outcome,
        claims=(),
        design=Design(kind="factorial" if len(cells) == np.prod([len(a.labels) for a in axes]) else "cells"),
        foreign=table.path.name,
    )
    experiment = replace(experiment, claims=_read_claims(claims, experiment, table))
    return _with_results(table, experiment, directions)


def analyse_foreign(foreign: Foreign, command: str) -> Analysis:
    """Work out the report; `command` is what makes it again."""
    analysis = analyse(foreign.experiment, foreign.results, project=foreign.experiment.project)
    return replace(
        analysis,
        notes=(*analysis.notes, *foreign.notes),
        provenance={**analysis.provenance, "command": command},
    )


def _metric(table: ForeignTable, metric: str | None) -> str:
    if metric is None:
        return table.metrics[0]
    for name in table.metrics:
        if name.removeprefix("test_") == metric.removeprefix("test_"):
            return name
    raise ResultsError(
        message(str(table.path), "the metric is not in the file", got=metric, known=table.metrics)
    )


def _directions(table: ForeignTable, outcome: str, direction: str | None) -> dict[str, bool]:
    known = find_quantity(outcome)
    assert known is not None
    if direction is None:
        if is_direction_known(outcome):
            return {}
        rule = f"segbench does not know whether {outcome.removeprefix('test_')} is better high or low"
        raise ResultsError(message(str(table.path), rule, see="Say --direction maximize or minimize"))
    if direction not in DIRECTIONS:
        raise ResultsError(
            message("--direction", "the direction is unknown", got=direction, known=DIRECTIONS)
        )
    is_lower = direction == "minimize"
    if is_direction_known(outcome) and known.is_lower_better != is_lower:
        way = "lower" if known.is_lower_better else "higher"
        raise ResultsError(message("--direction", f"of {outcome} the {way} is better", got=direction))
    return {outcome: is_lower}


def _read_axes(table: ForeignTable, baseline: Sequence[str]) -> tuple[Axis, ...]:
    labels = {axis: [str(label) for label in table.rows[axis_column(axis)].unique()] for axis in table.axes}
    chosen = {axis: found[0] for axis, found in labels.items()}
    for text in baseline:
        axis, label = _read_baseline(table, labels, text)
        chosen[axis] = label
    for axis, found in labels.items():
        if len(found) < 2:
            raise ResultsError(message(str(table.path), f"the axis {axis} has one level", got=found[0]))
    return tuple(
        Axis(axis, tuple(Level(label, {}) for label in labels[axis]), chosen[axis]) for axis in labels
    )


def _read_baseline(table: ForeignTable, labels: Mapping[str, Sequence[str]], text: str) -> tuple[str, str]:
    only = next(iter(labels))
    if len(labels) == 1 and text in labels[only]:
        return only, text
    axis, found, label = text.partition("=")
    if not found or axis not in labels:
        if len(labels) == 1:
            raise ResultsError(
                message("--baseline", f"there is no such {only}", got=text, known=labels[only])
            )
        known = [f"{name}=LEVEL" for name in labels]
        raise ResultsError(message("--baseline", "a baseline is written AXIS=LEVEL", got=text, known=known))
    if label not in labels[axis]:
        raise ResultsError(message("--baseline", f"there is no such {axis}", got=label, known=labels[axis]))
    return axis, label


def _read_cells(table: ForeignTable, axes: Sequence[Axis]) -> tuple[Cell, ...]:
    """Return the arms in the order of the axes' levels; of several axes those that the table holds."""
    there = set(table.rows[[axis_column(axis.name) for axis in axes]].itertuples(index=False, name=None))
    return tuple(
        Cell(
            levels=dict(zip((axis.name for axis in axes), labels, strict=True)),
            config=_CONFIG,
            config_hash=_digest(*labels),
        )
        for labels in itertools.product(*(axis.labels for axis in axes))
        if labels in there
    )


def _read_claims(texts: Sequence[str], experiment: Experiment, table: ForeignTable) -> tuple[Claim, ...]:
    """Read what is claimed by the grammar of experiment files.

    Raises:
        ExperimentError: A text is no claim that these arms can judge.
    """
    problems, place = Problems(), Place("--claim")
    nodes = []
    for text in texts:
        written = text if text.strip().startswith("{") else f"{{{text}}}"
        node = parse(written, "--claim", problems, is_positioned=False)
        if node.is_mapping and node.value:
            nodes.append(node)
        else:
            problems.add(place, "a claim is written AXIS: A > B", got=text)
    claims = Node(place, tuple(nodes))
    metrics = [f"test_{name.removeprefix('test_')}" for name in table.metrics]
    read = read_claims(
        claims,
        experiment.axes,
        problems,
        outcome=experiment.outcome,
        has_margin=experiment.margin is not None,
        metrics=metrics,
    )
    if not problems:
        pairing = Pairing.of(experiment)
        check_estimable(claims, read, experiment.cells, pairing, experiment.design, problems)
    for claim in read:
        if claim.on == "new_images" and not table.has_images:
            problems.add(place, "on: new_images needs the column image", got=claim.source)
    problems.raise_any()
    return read


def _with_results(table: ForeignTable, experiment: Experiment, directions: Mapping[str, bool]) -> Foreign:
    """Make a trial of each cell and seed; its value is the mean over the images that all trials have."""
    axes = [axis_column(axis) for axis in table.axes]
    rows = table.rows.assign(
        trial=[
            _digest(*row)[:HASH_DIGITS]
            for row in table.rows[[*axes, "seed"]].itertuples(index=False, name=None)
        ],
        metric=table.rows["metric"].str.removeprefix("test_"),
    )
    outcome = experiment.outcome.removeprefix("test_")
    rows, notes = _common_images(table, rows, outcome) if table.has_images else (rows, [])
    means = rows.pivot_table(index="trial", columns="metric", values="value", aggfunc="mean", sort=False)
    records, missing = [], []
    for cell in experiment.cells:
        for seed in experiment.seeds:
            trial = _digest(*cell.levels.values(), seed)[:HASH_DIGITS]
            is_there = trial in means.index and np.isfinite(means[outcome].loc[trial])
            if not is_there:
                missing.append(f"{cell.label}, seed {seed}")
            records.append(_record(cell, seed, trial, experiment.foreign, is_there=bool(is_there)))
    if missing:
        shown = "; ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        notes.append(
            f"Without {outcome} in the file: {shown}. Effects are over the seeds that both arms have."
        )
    trials = pd.DataFrame(records).merge(means.add_prefix("test_"), on="trial", how="left")
    nothing = pd.DataFrame({"folder": pd.Series(dtype="str"), "reason": pd.Series(dtype="str")})
    results = Results(
        trials=trials.assign(data_fingerprint=_digest(*map(str, rows["value"]))),
        epochs=pd.DataFrame({"trial": pd.Series(dtype="str"), "epoch": pd.Series(dtype="int64")}),
        images=_images(rows) if table.has_images else _images(rows.iloc[:0]),
        left_out=nothing,
    )
    return Foreign(experiment=experiment, results=results, notes=tuple(notes), directions=directions)


def _common_images(table: ForeignTable, rows: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, list[str]]:
    """Keep of each metric the images that all of its trials have: means over others would differ by them."""
    trials = rows.groupby("metric")["trial"].transform("nunique")
    seen = rows.groupby(["metric", "image"])["trial"].transform("nunique")
    kept = rows[seen == trials]
    notes = []
    for name, group in rows.groupby("metric", sort=False):
        metric = str(name)
        num_all = group["image"].nunique()
        num_kept = kept.loc[kept["metric"] == metric, "image"].nunique()
        if num_kept == 0 and metric == outcome:
            raise ResultsError(message(str(table.path), f"no image has {metric} in every arm and seed"))
        if num_kept < num_all:
            notes.append(
                f"{metric}: {num_all - num_kept} of {num_all} images are left out, since not every arm and "
                "seed has them; means over different images cannot be compared."
            )
    return kept, notes


def _record(cell: Cell, seed: int, trial: str, file: str, *, is_there: bool) -> dict[str, object]:
    return {
        "trial": trial,
        "config_hash": cell.config_hash,
        "seed": seed,
        "fold": 0,
        "state": (State.COMPLETE if is_there else State.FAILED).value,
        "failure": "",
        "reason": "" if is_there else f"not in {file}",
        "selected_epoch": float("nan"),
        "objective": float("nan"),
        "finished": "",
        "folder": "",
        **{axis_column(axis): label for axis, label in cell.levels.items()},
    }


def _images(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["trial", "image", "group", "split", "class", "metric", "value"]
    images = rows.assign(split="test", **{"class": "foreground"})[columns].reset_index(drop=True)
    return images.astype({"split": "str", "class": "str"})


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


_CONFIG = TrialConfig(
    dataset=Choice("shapes"),
    split=Choice("course"),
    input=Choice("unit"),
    model=Choice("unet"),
    norm=Choice("none"),
    init=Choice("default"),
    augment=Choice("none"),
    loss=(),
    optimizer=Choice("adam"),
    schedule=Choice("constant"),
    grad_clip=None,
    batch_size=1,
    epochs=1,
    precision="fp32",
)
"""Stands where a cell needs a configuration; nothing of it is true of these results."""
