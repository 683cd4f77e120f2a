"""Two experiments side by side: what differs in their files, which cells and trials they share, and outcomes.

Nothing of it was planned when either was swept, so all of it is exploratory: differences with intervals, and
no verdict but those that each experiment's own report has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from segbench.config.differences import describe_changes, differing, short
from segbench.config.experiment import Cell, Experiment
from segbench.config.pairing import Pairing
from segbench.records import State, TrialRecord
from segbench.report.analysis import Analysis
from segbench.report.claims import divergence_text
from segbench.report.evidence import EVIDENCE, evidence
from segbench.report.family import Estimator
from segbench.report.phrases import count, listed
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL
from segbench.stats.metrics import read_metric
from segbench.stats.pairs import Contrast
from segbench.store.results import Results

SAME, OTHER, ONLY_A, ONLY_B = "same configuration", "same name", "only in A", "only in B"
"""How a cell stands in both: what it is, what it is called, or not at all."""

COLUMNS: Final = (
    *("cell", "differs", "remark", "n", "mean_a", "mean_b", "difference", "low", "high", "low_new"),
    *("high_new", "trials", *EVIDENCE),
)
_STUDY: Final = "study"
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
    """From A's file to B's, a line each."""
    cells: tuple[SharedCell, ...]
    same_trials: tuple[str, ...]
    """Hashes of the trials that are recorded in both."""
    other_numbers: tuple[str, ...]
    """Those of them that say something else."""
    outcomes: pd.DataFrame
    """A row a compared cell, then a row for cells that differ alike, together: `COLUMNS`. `remark`: why there
    is no difference."""
    refused: Mapping[str, tuple[str, ...]]
    """Why outcomes are not compared -> the cells."""
    contrasts: pd.DataFrame
    """A row a contrast that both reports show, with the columns of `Analysis.effects` and `_b` behind B's."""

    @property
    def shared(self) -> list[SharedCell]:
        return [cell for cell in self.cells if cell.a is not None and cell.b is not None]

    @property
    def is_refused(self) -> bool:
        """Whether there are cells in both and none of them may be compared."""
        return bool(self.refused) and self.outcomes.empty


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
        outcomes=pd.DataFrame(rows, columns=list(COLUMNS)),
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
    for cell in a.experiment.cells:
        twin = next((other for other in left if other.config_hash == cell.config_hash), None)
        if twin is not None:
            found[cell.label] = twin
            left.remove(twin)
    for cell in a.experiment.cells:
        namesake = next((other for other in left if other.label == cell.label), None)
        if cell.label not in found and namesake is not None:
            found[cell.label] = namesake
            left.remove(namesake)
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
    words = ["none" if each.tune is None else count(each.tune.search.num_trials, "trial") for each in (a, b)]
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
    sides = [
        (side, [side.measured(cell.a if side is a else cell.b).assign(cell=cell.label) for cell in cells])
        for side in (a, b)
    ]
    parts, images = [], []
    for word, (side, frames) in zip("AB", sides, strict=True):
        frame = pd.concat(frames, ignore_index=True)
        names = {trial: f"{word}/{trial}" for trial in map(str, frame["trial"])}
        parts.append(frame.assign(**{_STUDY: word, "trial": frame["trial"].map(names)}))
        images.append(_renamed(side.results.images, names))
    table = pd.concat(parts, ignore_index=True)
    if outcome not in table:
        table[outcome] = NAN
    known = [frame for frame in images if not frame.empty] or images[:1]
    estimator = Estimator(table, Pairing((_STUDY, "cell")), pd.concat(known, ignore_index=True))
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
        words = [f"{count(len(kinds[SAME]), 'cell')} with the same configuration in both"]
        words += [f"{len(kinds[OTHER])} of the same name with another one"] if kinds[OTHER] else []
        words += [f"{len(kinds[ONLY_A])} in A alone"] if kinds[ONLY_A] else []
        words += [f"{len(kinds[ONLY_B])} in B alone"] if kinds[ONLY_B] else []
        parts.append(f"{listed(words)}.")
    parts.append(
        f"{count(len(found.same_trials), 'trial')} {'is' if len(found.same_trials) == 1 else 'are'} "
        "in both, by identity."
    )
    if found.other_numbers:
        parts.append(f"{len(found.other_numbers)} of them say something else in B than in A.")
    parts += [f"Not compared: {reason} ({listed(labels)})." for reason, labels in found.refused.items()]
    measured = [row for row in found.outcomes.to_dict("records") if row["difference"] == row["difference"]]
    if measured:
        metric = read_metric(found.a.experiment.outcome)
        way = "lower" if metric is not None and metric.is_lower_better else "higher"
        parts.append(
            f"Differences are B minus A in {found.a.experiment.outcome}, {way} the better, paired by seed "
            "over the seeds that both have. They are exploratory: intervals, no verdicts."
        )
    return " ".join(parts)
