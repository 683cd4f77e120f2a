"""Two experiments side by side: what differs in their files, which cells and trials they share, and outcomes.

Nothing of it was planned when either was swept, so all of it is exploratory: differences with intervals, and
no verdict but those that each experiment's own report has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import pandas as pd

from segbench.config.differences import describe_changes, differing, short
from segbench.config.experiment import Cell, Experiment
from segbench.config.pairing import Pairing
from segbench.quantities import is_lower_better
from segbench.records import State, TrialRecord, axis_column
from segbench.report.analysis import Analysis
from segbench.report.build import csv, write_changed
from segbench.report.freshness import recorded
from segbench.report.labels import Labels, Style
from segbench.report.numbers import MINUS, NONE, Numbers, count, typographic
from segbench.report.pages.content import Content, Section
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_table
from segbench.report.pages.markdown import write_markdown
from segbench.report.pages.number_files import write_numbers_json
from segbench.report.study import Estimator, Study, evidence
from segbench.report.table import Field, tone_of
from segbench.report.topics.claims import divergence_text
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, interval
from segbench.report.trace import Measured, Row, Source, Traces, show_of
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL
from segbench.stats.pairs import Contrast
from segbench.store.results import Results
from segbench.wording import counted, listed

SAME, OTHER, ONLY_A, ONLY_B = "same configuration", "same name", "only in A", "only in B"
"""How a cell stands in both: what it is, what it is called, or not at all."""

_STUDY: Final = "study"
_CELL: Final = "cell"
"""Axes that pair the trials of two experiments."""
NAN: Final = float("nan")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two."""

    analysis: Analysis
    results: Results
    records: Mapping[str, TrialRecord]
    """Hash -> record."""

    @property
    def experiment(self) -> Experiment:
        return self.analysis.experiment

    @property
    def name(self) -> str:
        return self.experiment.name

    def measured(self, cell: Cell | None) -> pd.DataFrame:
        """Return the rows of a cell, of those of its trials that are recorded."""
        frame = self.analysis.measured
        if frame is None or frame.empty or cell is None or "trial" not in frame:
            return pd.DataFrame({"trial": [], "seed": [], "fold": [], "state": []})
        return frame[(frame["cell"] == cell.label) & frame["trial"].notna()]

    def of(self, cell: Cell | None) -> list[TrialRecord]:
        """Return the complete records of a cell."""
        rows = self.measured(cell)
        complete = rows[rows["state"] == State.COMPLETE.value]
        return [self.records[trial] for trial in map(str, complete["trial"]) if trial in self.records]


@dataclass(frozen=True, kw_only=True)
class SharedCell:
    """A cell of A, of B, or of both."""

    a: Cell | None
    b: Cell | None
    kind: str
    """`SAME`, `OTHER`, `ONLY_A` or `ONLY_B`."""
    differences: Mapping[str, tuple[Any, Any]]
    """Dotted path -> value in A, value in B."""

    @property
    def label(self) -> str:
        a, b = (cell.label if cell is not None else "" for cell in (self.a, self.b))
        return f"{a} (in B: {b})" if a and b and a != b else a or b

    @property
    def differs(self) -> str:
        """Say what differs: `optimizer.adam.lr 1e-4 -> 1e-3`."""
        return "; ".join(f"{path} {_value(a)} -> {_value(b)}" for path, (a, b) in self.differences.items())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that two experiments have in common, and what they have not."""

    a: Side
    b: Side
    changes: tuple[str, ...]
    """From A's file to B's, one line per change."""
    cells: tuple[SharedCell, ...]
    same_trials: tuple[str, ...]
    """Hashes of the trials that are recorded in both."""
    other_numbers: tuple[str, ...]
    """Those of them that say something else."""
    outcomes: pd.DataFrame
    """One row per compared cell, then one for cells that differ alike, together: `cell`, `differs`, `remark`
    (why there is no difference), `n`, `mean_a`, `mean_b`, `difference`, `low`, `high`, `low_new`, `high_new`,
    `trials` and the columns of `study.EVIDENCE`."""
    refused: Mapping[str, tuple[str, ...]]
    """Why outcomes are not compared -> the cells."""
    contrasts: pd.DataFrame
    """One row per contrast that both reports show: columns of `Analysis.effects`, B's end in `_b`."""

    @property
    def is_refused(self) -> bool:
        """Whether there are cells in both and none of them may be compared."""
        return bool(self.refused) and self.outcomes.empty

    @cached_property
    def labels(self) -> Labels:
        """Return what the tables are made from: A's analysis with the frames of the comparison, unstyled."""
        rows = []
        for cell in self.cells:
            seeds = [
                {record.seed for record in side.of(of)} for side, of in ((self.a, cell.a), (self.b, cell.b))
            ]
            both = len(seeds[0] & seeds[1]) if cell.a is not None and cell.b is not None else None
            rows.append((cell.label, cell.kind, cell.differs, len(seeds[0]), len(seeds[1]), both))
        matches = pd.DataFrame(rows, columns=["cell", "match", "differs", "in_a", "in_b", "in_both"])
        own = {"matches": matches, "outcomes": self.outcomes, "contrasts": self.contrasts}
        analysis = self.a.analysis
        return Labels(replace(analysis, frames={**analysis.frames, **own}), Style())

    @cached_property
    def traces(self) -> Traces:
        """Return where the numbers of the outcomes come from: hashes and values by seed."""
        found = OUTCOMES.traces(self.labels.analysis, self.labels.style.digits)
        return Traces(tuple(trace for trace in found.all if trace.value is not None))


def compare(a: Side, b: Side) -> Comparison:
    """Set two experiments side by side; every difference is B minus A."""
    cells = tuple(_shared_cells(a, b))
    same = tuple(sorted(set(a.records) & set(b.records)))
    rows: list[dict[str, Any]] = []
    refused: dict[str, list[str]] = {}
    together: dict[str, list[SharedCell]] = {}
    for cell in cells:
        if cell.a is None or cell.b is None:
            continue
        reason = refusal(a, b, cell)
        if reason:
            refused.setdefault(reason, []).append(cell.label)
            continue
        row = _outcome(a, b, [cell])
        rows.append(row)
        if row["n"] > 1 and row["difference"] == row["difference"] and cell.differs:
            together.setdefault(cell.differs, []).append(cell)
    rows += [_outcome(a, b, alike) for alike in together.values() if len(alike) > 1]
    return Comparison(
        a=a,
        b=b,
        changes=tuple(describe_changes(a.experiment, b.experiment)),
        cells=cells,
        same_trials=same,
        other_numbers=tuple(hash for hash in same if not _say_the_same(a.records[hash], b.records[hash])),
        outcomes=pd.DataFrame(rows),
        refused={reason: tuple(labels) for reason, labels in refused.items()},
        contrasts=_contrasts(a.analysis, b.analysis),
    )


def refusal(a: Side, b: Side, cell: SharedCell) -> str:
    """Say why the outcomes of a cell cannot be set against each other; empty where they can."""
    one, other = a.experiment, b.experiment
    if one.outcome != other.outcome:
        return f"the outcome is {one.outcome} in A and {other.outcome} in B"
    mine, theirs = a.of(cell.a), b.of(cell.b)
    assert cell.a is not None
    assert cell.b is not None
    first, second = cell.a.config, cell.b.config
    if first.objective != second.objective:
        said = [f"{each.metric} ({each.direction})" for each in (first.objective, second.objective)]
        return f"weights are selected by {said[0]} in A and by {said[1]} in B"
    if first.split != second.split or one.num_folds != other.num_folds:
        paths = [path for path in cell.differences if path.startswith("split")] or ["the number of folds"]
        return f"the split differs ({', '.join(paths)})"
    data = [sorted({record.data_fingerprint[:12] for record in side}) for side in (mine, theirs)]
    if mine and theirs and data[0] != data[1]:
        keys = "".join(f"{path}, " for path in cell.differences if path.startswith("dataset"))
        return f"the data differ ({keys}fingerprint {', '.join(data[0])} in A, {', '.join(data[1])} in B)"
    numerics = [sorted({record.numerics_version for record in side}) for side in (mine, theirs)]
    if mine and theirs and numerics[0] != numerics[1]:
        versions = [", ".join(map(str, each)) for each in numerics]
        return f"built-ins gave other numbers (numerics version {versions[0]} in A, {versions[1]} in B)"
    if "surface_dice" in one.outcome and first.surface_tolerance_px != second.surface_tolerance_px:
        return "surface_dice is measured with another tolerance (surface_tolerance_px)"
    if _test_images(a.results, mine) != _test_images(b.results, theirs) and mine and theirs:
        return "the test images are not the same"
    return ""


def _shared_cells(a: Side, b: Side) -> Iterator[SharedCell]:
    """Match cells by what they are, then by what they are called; then come those of one side alone."""
    tuned = _tune_difference(a.experiment, b.experiment)
    left = list(b.experiment.cells)
    found: dict[str, Cell] = {}
    for attribute in ("config_hash", "label"):
        key = attrgetter(attribute)
        for cell in a.experiment.cells:
            match = next((other for other in left if key(other) == key(cell)), None)
            if cell.label not in found and match is not None:
                found[cell.label] = match
                left.remove(match)
    for cell in a.experiment.cells:
        other = found.get(cell.label)
        if other is None:
            yield SharedCell(a=cell, b=None, kind=ONLY_A, differences={})
            continue
        differences = {
            **differing(cell.config.to_json(), other.config.to_json()),
            **_source_differences(a.of(cell), b.of(other)),
            **tuned,
        }
        yield SharedCell(a=cell, b=other, kind=OTHER if differences else SAME, differences=differences)
    yield from (SharedCell(a=None, b=cell, kind=ONLY_B, differences={}) for cell in left)


def _tune_difference(a: Experiment, b: Experiment) -> dict[str, tuple[Any, Any]]:
    if a.tune == b.tune:
        return {}
    words = [
        "none" if each.tune is None else counted(each.tune.search.num_trials, "trial") for each in (a, b)
    ]
    return {"tune": (words[0], words[1] if words[0] != words[1] else f"other {words[1]}")}


def _source_differences(
    mine: Sequence[TrialRecord], theirs: Sequence[TrialRecord]
) -> dict[str, tuple[Any, Any]]:
    """Return users' variants whose source is another one: the same words then mean something else."""
    if not mine or not theirs:
        return {}
    found = differing(dict(mine[0].variant_digests), dict(theirs[0].variant_digests))
    return {f"source of {name}": (str(x)[:8], str(y)[:8]) for name, (x, y) in found.items()}


def _test_images(results: Results, records: Sequence[TrialRecord]) -> set[str]:
    images = results.images
    if images.empty or not records:
        return set()
    is_tested = (images["split"] == "test") & images["trial"].isin([record.hash for record in records])
    return set(map(str, images.loc[is_tested, "image"].unique()))


def _say_the_same(one: TrialRecord, other: TrialRecord) -> bool:
    return (one.state, one.objective, dict(one.test)) == (other.state, other.objective, dict(other.test))


def _outcome(a: Side, b: Side, cells: Sequence[SharedCell]) -> dict[str, Any]:
    """Return a row of `Comparison.outcomes`: one cell, or several that differ alike, paired cell by cell."""
    outcome = a.experiment.outcome
    label = cells[0].label if len(cells) == 1 else f"all {len(cells)} cells with {cells[0].differs}"
    row: dict[str, Any] = {"cell": label, "differs": cells[0].differs, "remark": ""}
    parts, images = [], []
    for word, side in (("A", a), ("B", b)):
        own = [(cell.label, cell.a if side is a else cell.b) for cell in cells]
        frame = pd.concat([side.measured(cell).assign(cell=name) for name, cell in own], ignore_index=True)
        names = {trial: f"{word}/{trial}" for trial in map(str, frame["trial"])}
        frame["trial"] = frame["trial"].map(names)
        frame[axis_column(_STUDY)], frame[axis_column(_CELL)] = word, frame["cell"]
        parts.append(frame)
        images.append(_renamed(side.results.images, names))
    table = pd.concat(parts, ignore_index=True)
    if outcome not in table:
        table[outcome] = NAN
    known = [frame for frame in images if not frame.empty] or images[:1]
    estimator = Estimator(table, Pairing((_STUDY, _CELL)), pd.concat(known, ignore_index=True))
    effect = estimator.effect(Contrast(axis=_STUDY, level="B", baseline="A", metric=outcome))
    row |= _numbers(effect)
    remark = _why_not(a, b, cells[0], effect) if len(cells) == 1 else ""
    if remark:
        row |= {"remark": remark, "difference": NAN, "low": NAN, "high": NAN, "low_new": NAN, "high_new": NAN}
        return row
    notes = ["one seed: no interval"] if effect.n == 1 else []
    return row | {
        "remark": "; ".join([*notes, *filter(None, [effect.note]), *divergence_text(effect, LEVEL)])
    }


def _why_not(a: Side, b: Side, cell: SharedCell, effect: Effect) -> str:
    """Say why a cell has no difference: nothing measured in both, or the very same trials."""
    if not effect.n:
        return "no seed is complete in both"
    hashes = [{record.hash for record in side} for side in (a.of(cell.a), b.of(cell.b))]
    shared = hashes[0] & hashes[1]
    is_same = all(_say_the_same(a.records[hash], b.records[hash]) for hash in shared)
    return "the same trials" if is_same and len(shared) * 2 >= len(effect.trials) > 0 else ""


def _numbers(effect: Effect) -> dict[str, Any]:
    low, high = effect.interval()
    low_new, high_new = effect.interval("new_images")
    return {
        "n": effect.n,
        "mean_a": effect.baseline_mean,
        "mean_b": effect.level_mean,
        "difference": effect.difference,
        "low": low,
        "high": high,
        "low_new": low_new,
        "high_new": high_new,
        "trials": effect.trials,
        **evidence(effect),
    }


def _renamed(images: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return the values per image of some trials, under names that tell the two experiments apart."""
    if images.empty:
        return images
    kept = images[images["trial"].isin(list(names))]
    texts = {column: kept[column].astype("str") for column in ("image", "group", "split", "class", "metric")}
    return kept.assign(**texts, trial=kept["trial"].astype("str").map(names))


def _contrasts(a: Analysis, b: Analysis) -> pd.DataFrame:
    keys = ["axis", "level", "baseline", "at", "metric"]
    shown = [*keys, "n", "difference", "low", "high", "verdict", "is_family", "trials"]
    frames = [
        each.effects[shown] if not each.effects.empty else pd.DataFrame(columns=shown) for each in (a, b)
    ]
    return frames[0].merge(frames[1], on=keys, how="inner", suffixes=("", "_b"))


def _value(value: Any) -> str:
    return "none" if value is None else short(value) or "{}"


def write_answer(found: Comparison) -> str:
    """Say in a paragraph what the two have in common and what was compared."""
    kinds = {kind: [c for c in found.cells if c.kind == kind] for kind in (SAME, OTHER, ONLY_A, ONLY_B)}
    a, b = found.a.name, found.b.name
    parts = [f"A is {a}, B is {b}."]
    if found.a.experiment.search is not None or found.b.experiment.search is not None:
        parts.append("A search has no cells, so that files and trials alone are compared.")
    else:
        words = [f"{counted(len(kinds[SAME]), 'cell')} with the same configuration in both"]
        words += [f"{len(kinds[OTHER])} of the same name with another one"] if kinds[OTHER] else []
        words += [f"{len(kinds[ONLY_A])} in A alone"] if kinds[ONLY_A] else []
        words += [f"{len(kinds[ONLY_B])} in B alone"] if kinds[ONLY_B] else []
        parts.append(f"{listed(words)}.")
    parts.append(
        f"{counted(len(found.same_trials), 'trial')} {'is' if len(found.same_trials) == 1 else 'are'} "
        "in both, by identity."
    )
    if found.other_numbers:
        parts.append(f"{len(found.other_numbers)} of them say something else in B than in A.")
    parts += [f"Not compared: {reason} ({listed(labels)})." for reason, labels in found.refused.items()]
    if any(row["difference"] == row["difference"] for row in found.outcomes.to_dict("records")):
        way = "lower" if is_lower_better(found.a.experiment.outcome) else "higher"
        parts.append(
            f"Differences are B minus A in {found.a.experiment.outcome}, {way} the better, paired by seed "
            "over the seeds that both have. They are exploratory: intervals, no verdicts."
        )
    return " ".join(parts)


# The tables of `segbench compare`: cells, outcomes side by side, contrasts that both reports show.


def _plain_text(name: str, title: str) -> Text:
    return Text(name=name, title=title, text=lambda labels, row: str(row[name]) or NONE)


def _whole_number(name: str, title: str) -> Text:
    return Text(
        name=name,
        title=title,
        is_number=True,
        text=lambda labels, row: Field(text=count(row[name]), sort=row[name]),
    )


def _beside(study: Study) -> pd.DataFrame:
    """Leave a frame empty that is of two studies: `Comparison.labels` puts it beside those of A."""
    return pd.DataFrame()


MATCHES: Final = TablePart(
    name="compare-cells",
    caption="Cells of the two designs.",
    note=lambda labels, rows: (
        "Same configuration: every key that can change a number is equal, whatever the level is called. "
        "Same name: the label is equal and the configuration is not. Seeds: of complete trials."
    ),
    frame=Frame(
        name="matches",
        compute=_beside,
        columns=lambda analysis: [
            _plain_text("cell", "Cell"),
            Text(
                name="match",
                title="Match",
                text=lambda labels, row: Field(text=row["match"], is_bold=row["match"] == OTHER),
            ),
            _plain_text("differs", "Differs in (A -> B)"),
            _whole_number("in_a", "Seeds in A"),
            _whole_number("in_b", "in B"),
            Text(
                name="in_both",
                title="in both",
                is_number=True,
                text=lambda labels, row: count(row["in_both"]),
            ),
        ],
    ),
)


def _outcome_columns(analysis: Analysis) -> list[Column]:
    metric = analysis.experiment.outcome
    show = show_of(metric)
    mean = "Mean over the seeds that both have, of the means over a seed's cells and folds."
    t_interval = "Student's t-interval over the seeds' differences, 95 %"
    return [
        _plain_text("cell", "Cell"),
        _plain_text("differs", "Differs in (A -> B)"),
        _whole_number("n", "n"),
        Number(name="mean_a", title="A", words="mean in A", formula=mean, show=show, behind="in A"),
        Number(name="mean_b", title="B", words="mean in B", formula=mean, show=show, behind="in B"),
        Number(
            name="difference",
            title=f"B {MINUS} A",
            words="B minus A",
            formula="Mean over seeds of B minus A.",
            show=show_of(metric, is_difference=True),
        ),
        interval(
            "interval, this test set",
            f"{t_interval}.",
            show,
            title="95 % interval, this test set",
            behind="B minus A",
        ),
        interval(
            "interval, new images",
            f"{t_interval}, with the images' part.",
            show,
            name="interval_new",
            columns=("low_new", "high_new"),
            title="new images",
            behind="B minus A",
            is_optional=True,
        ),
        _plain_text("remark", "Remark"),
    ]


def _outcome_source(measured: Measured, row: Row, number: Number) -> Source:
    """Return the trials and values of a side, of the differences, or of all three."""
    metric, side = measured.analysis.experiment.outcome, number.behind
    by_seed = {
        f"{metric} in A": row["baseline_by_seed"],
        f"{metric} in B": row["level_by_seed"],
        "B minus A": row["difference_by_seed"],
    }
    return Source(
        trials=tuple(t for t in row["trials"] if not side.startswith("in ") or t[0] == side[-1]),
        seeds=tuple(row["seeds"]),
        by_seed={name: values for name, values in by_seed.items() if name.endswith(side)},
    )


OUTCOMES: Final = Frame(
    name="outcomes",
    compute=_beside,
    subject=lambda analysis, row: str(row["cell"]),
    columns=_outcome_columns,
    source=_outcome_source,
)

OUTCOMES_TABLE: Final = TablePart(
    name="compare-outcomes",
    caption=lambda labels: f"{labels.analysis.experiment.outcome} of the cells in both, exploratory.",
    note=lambda labels, rows: (
        "Means over the n seeds that both have; the difference is paired by seed. Exploratory: "
        "intervals without correction, no verdicts. The same trials: both experiments report the same ones."
    ),
    frame=OUTCOMES,
)


def _contrast(labels: Labels, row: Row) -> str:
    at = f" ({row['at']})" if row["at"] else ""
    return f"{row['axis']}: {row['level']} {MINUS} {row['baseline']}{at}"


def _of_side(side: str, ending: str) -> list[Text]:
    """Return what the report of a side says of a contrast."""

    def difference(labels: Labels, row: Row) -> Field:
        value = row[f"difference{ending}"]
        text = Numbers(labels.style.digits).of(row["metric"], value, is_difference=True)
        return Field(text=text, sort=value)

    def ends(labels: Labels, row: Row) -> Field:
        low, high = row[f"low{ending}"], row[f"high{ending}"]
        text = Numbers(labels.style.digits).interval_of(row["metric"], low, high)
        return Field(text=text, sort=low, high=high)

    def verdict(labels: Labels, row: Row) -> Field:
        text = str(row[f"verdict{ending}"] or "")
        return Field(text=text or NONE, tone=tone_of(text))

    return [
        Text(name=f"difference{ending}", title=f"{side}: difference", is_number=True, text=difference),
        Text(name=f"interval{ending}", title=f"{side}: 95 % interval", is_number=True, text=ends),
        Text(name=f"verdict{ending}", title=f"{side}: verdict", text=verdict),
    ]


CONTRASTS: Final = TablePart(
    name="compare-contrasts",
    caption="Contrasts that both reports show.",
    note=lambda labels, rows: (
        "As each experiment's own report has them, judged within its own family; intervals are those of "
        "that report. That one of them is resolved and the other is not does not show that the two differ."
    ),
    frame=Frame(
        name="contrasts",
        compute=_beside,
        columns=lambda analysis: [
            Text(name="contrast", title="Contrast", text=_contrast),
            _plain_text("metric", "Metric"),
            *_of_side("A", ""),
            *_of_side("B", "_b"),
        ],
    ),
)


# The pages of `segbench compare`: the same HTML and Markdown that reports are made of.


NUMBERS_FILE: Final = "compare.json"


def compare_content(found: Comparison) -> Content:
    """Arrange a comparison as a report is arranged."""
    cells, outcomes, contrasts = (
        tuple(table for table in (part.make(found.labels),) if table.rows)
        for part in (MATCHES, OUTCOMES_TABLE, CONTRASTS)
    )
    refused = tuple(
        f"Not compared: {reason}: {', '.join(labels)}." for reason, labels in found.refused.items()
    )
    sections = (
        Section(
            key="files",
            title="What differs in the files, from A to B",
            lines=found.changes or ("Nothing: the two ask the same.",),
        ),
        Section(key="cells", title="Cells", tables=cells),
        Section(
            key="outcomes",
            title="Outcomes",
            tables=outcomes,
            lines=tuple(typographic(line) for line in refused),
        ),
        Section(key="contrasts", title="Contrasts in both", tables=contrasts),
    )
    return Content(
        name=f"{found.a.name} and {found.b.name}",
        question=_question(found),
        answer=typographic(write_answer(found)),
        head=_head(found),
        sections=tuple(section for section in sections if not section.is_empty),
    )


def compare_files(found: Comparison) -> dict[str, bytes]:
    """Return file name -> content of `segbench compare --to`."""
    content = compare_content(found)
    made_from = {side.name: recorded(side.experiment) for side in (found.a, found.b)}
    texts = {
        "compare.html": write_html(content),
        "compare.md": write_markdown(content),
        NUMBERS_FILE: write_numbers_json(found.traces, name=content.name, made_from=made_from),
        **{f"tables/{table.name}.tex": write_table(table) for table in content.tables},
    }
    for name, frame in (("outcomes", found.outcomes), ("contrasts", found.contrasts)):
        if not frame.empty:
            texts[f"data/compare-{name}.csv"] = csv(frame)
    return {name: text.encode("utf-8") for name, text in texts.items()}


def write_compare(found: Comparison, folder: Path) -> list[tuple[Path, bool]]:
    """Write the files into a folder; return each page with whether it changed.

    Raises:
        ResultsError: The disk refuses.
    """
    written = [(folder / name, content) for name, content in compare_files(found).items()]
    done = [(path, write_changed(path, content)) for path, content in written]
    return [(path, is_changed) for path, is_changed in done if path.suffix in (".html", ".md")]


def _question(found: Comparison) -> str:
    a, b = (side.experiment.question for side in (found.a, found.b))
    return a if a == b else f"A: {a} B: {b}"


def _head(found: Comparison) -> dict[str, str]:
    head = {"A": found.a.name, "B": found.b.name}
    for term in ("trials", "seeds", "outcome", "margin", "data set", "test images", "device", "commit"):
        a, b = (side.analysis.head.get(term, "") for side in (found.a, found.b))
        if a == b and a:
            head[term] = typographic(a)
        elif a or b:
            head[term] = typographic(f"{a or 'none'} in A, {b or 'none'} in B")
    return head
