"""Which cells make a known mistake on purpose: no report prints their numbers without saying so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd

import segbench
from segbench import registry
from segbench.config.expand import parameter_ends
from segbench.config.experiment import Experiment
from segbench.config.project import Project
from segbench.config.trial import Choice
from segbench.quantities import find_quantity
from segbench.records import State
from segbench.report.notes import varies
from segbench.report.numbers import metric_words
from segbench.report.study import Estimator, Family
from segbench.stats.effects import Effect
from segbench.stats.power import POWER, smallest_difference
from segbench.stats.questions import baseline_contrasts
from segbench.store.results import Results
from segbench.wording import counted, listed


def flaws_text(experiment: Experiment) -> str:
    """Name every variant that is flawed on purpose, its cells and its mistake; empty where there is none."""
    if experiment.foreign:
        return ""
    cells_of: dict[tuple[str, str, str], list[str]] = {}
    for cell, axis, name in _chosen(experiment):
        flaw = registry.find(axis, name).flawed
        if flaw is not None:
            cells_of.setdefault((axis, name, flaw), []).append(cell)
    num_cells = len(experiment.cells)
    return "; ".join(
        f"{axis} {name} {_where(list(dict.fromkeys(cells)), num_cells)}: {flaw}"
        for (axis, name, flaw), cells in cells_of.items()
    )


def _chosen(experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    """Yield (cell, axis, variant); a search's cells are its baseline and the ends of its space."""
    cells = experiment.cells if experiment.search is None else parameter_ends(experiment)
    for cell in cells:
        for axis, choice in cell.config.choices():
            yield cell.label, axis, choice.name


def _where(cells: list[str], num_cells: int) -> str:
    if num_cells == 0:
        return "in the space searched"
    return "in every cell" if len(cells) == num_cells else f"in {listed(cells)}"


# The head of a report and its provenance.


def describe(
    experiment: Experiment,
    table: pd.DataFrame,
    family: Family,
    estimator: Estimator,
    *,
    project: Project,
    partial: str | None,
) -> dict[str, str]:
    """Return `Analysis.head`, in the order in which it is printed."""
    states = table["state"].value_counts()
    trials = partial or f"{states.get(State.COMPLETE.value, 0)} of {len(table)} complete"
    others = [state for state in State if state.has_ended_short]
    trials += "".join(f", {states[s.value]} {s.value}" for s in others if s.value in states)
    head = {
        "flawed on purpose": flaws_text(experiment),
        "outcome": _outcome(experiment),
        "seeds": seeds_text(experiment.seeds)
        + (f", {experiment.num_folds} folds" if experiment.num_folds > 1 else ""),
        "trials": trials,
        "data set": _data_set(experiment),
        "test images": _test_images(experiment, table, estimator),
        "margin": "none declared"
        if experiment.margin is None
        else f"{experiment.margin:g} {experiment.outcome}",
        "resolution": resolution_text(experiment, family, estimator),
        "family": _family_text(family),
        "device": _distinct(table, "device_name") or _distinct(table, "device"),
        "commit": _distinct(table, "commit"),
    }
    readers = test_set_readers(table, project)
    if readers:
        head["test set read by"] = f"{counted(len(readers), 'experiment')}: {listed(readers)}"
    return {term: text for term, text in head.items() if text}


def seeds_text(seeds: Sequence[int]) -> str:
    """Write `5 (0 to 4)`, `3 (0, 2 and 7)`."""
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{len(ordered)} ({ordered[0]} to {ordered[-1]})"
    return f"{len(ordered)} ({listed([str(s) for s in ordered])})"


def resolution_text(experiment: Experiment, family: Family, estimator: Estimator) -> str:
    """Say which differences the experiment could have shown; empty where nothing was measured twice."""
    smallest, half_width, n = resolution(experiment, family, estimator)
    if not np.isfinite(smallest):
        return ""
    return (
        f"true differences of {smallest:.2g} in {metric_words(experiment.outcome)} or more are found with "
        f"{100 * POWER:.0f} % power at {counted(n, 'seed')} (typical half-width of an interval: "
        f"{half_width:.2g})"
    )


def resolution(experiment: Experiment, family: Family, estimator: Estimator) -> tuple[float, float, int]:
    """Return the smallest difference found with 80 % power, the median half-width, and the number of seeds.

    The sd is the root mean square over the contrasts on the outcome (the family's that are judged on this
    test set, else every level against its baseline), n their median, alpha divided by the family's size as in
    Holm's first step. Where all claim equality, the difference is one beyond the margin.
    """
    tested = [m.hypothesis for m in family.members if not m.is_ratio and m.hypothesis.on == "test_set"]
    tested = [h for h in tested if h.effect.contrast.metric == experiment.outcome]
    null = min(
        (h.null[1] for h in tested), default=0.0
    )  # a claim of equality is contradicted beyond the margin
    effects = [h.effect for h in tested if h.null[1] == null]
    if not family.members and experiment.outcome in estimator.table:
        effects = [estimator.effect(c) for c in baseline_contrasts(experiment)]
    known: list[Effect] = [e for e in effects if e.has_spread]
    if not known:
        return float("nan"), float("nan"), 0
    sd = float(np.sqrt(np.mean([e.sd**2 for e in known])))
    n = int(np.median([e.n for e in known]))
    alpha = family.alpha / max(1, len(family.members))
    half_width = float(np.median([float(e.spread.half_width(family.level)) for e in known]))
    return smallest_difference(sd, n, alpha=alpha, null=null), half_width, n


def test_set_readers(table: pd.DataFrame, project: Project) -> list[str]:
    """Name the experiments of the project that have evaluated the same test images, this one among them.

    Every look at a test set spends some of it: choices made after many looks fit its images.
    """
    if "data_fingerprint" not in table:
        return []
    ours = set(table["data_fingerprint"].dropna())
    folders = sorted(p for p in project.results.iterdir() if p.is_dir()) if project.results.is_dir() else []
    return [f.name for f in folders if ours & _fingerprints(sorted((f / "trials").glob("*/trial.json")))]


def provenance(
    experiment: Experiment, results: Results, table: pd.DataFrame, *, options: str = ""
) -> dict[str, str]:
    """Return `Analysis.provenance`: what the numbers were made from and with."""
    terms = {
        "content read": content_hash(results),
        "segbench": segbench.__version__,
        "numpy, pandas, scipy": ", ".join(version(name) for name in ("numpy", "pandas", "scipy")),
        "hardware": _distinct(table, "device_name"),
        "threads": _distinct(table, "threads"),
        "data fingerprint": ", ".join(
            sorted(str(f)[:12] for f in table["data_fingerprint"].dropna().unique())
        )
        if "data_fingerprint" in table
        else "",
        "training time": _training_time(table),
        "command": f"segbench report {experiment.name}{options}",
    }
    for term, column, pick in (
        ("first trial started", "started", "min"),
        ("last trial finished", "finished", "max"),
    ):
        if column in table and table[column].notna().any():
            terms[term] = str(getattr(table[column].dropna().astype(str), pick)())
    return {term: text for term, text in terms.items() if text}


def content_hash(results: Results) -> str:
    """Hash every row that was read, in whatever order: 16 hexadecimal digits. Paths do not count."""
    digest = hashlib.sha256()
    for frame in (results.trials.drop(columns="folder", errors="ignore"), results.epochs, results.images):
        plain = (
            frame.apply(lambda c: c.map(str) if c.dtype == object and c.map(_is_mapping).any() else c)
            if len(frame) < 10_000
            else frame
        )
        rows = pd.util.hash_pandas_object(plain.rename(columns=str), index=False).to_numpy()
        digest.update(",".join(map(str, frame.columns)).encode())
        digest.update(np.sort(rows).tobytes())
    return digest.hexdigest()[:16]


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict | list | tuple)


def _fingerprints(records: Sequence[object]) -> set[str]:
    """Read the fingerprints of complete trials; a record that cannot be read is reported elsewhere."""
    found = set()
    for path in records:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("state") == State.COMPLETE.value and record.get("test"):
            found.add(str(record.get("data_fingerprint")))
    return found


def _outcome(experiment: Experiment) -> str:
    if experiment.foreign:
        metric = find_quantity(experiment.outcome)
        way = "lower" if metric is not None and metric.is_lower_better else "higher"
        return f"{experiment.outcome}, the {way} the better"
    selector = experiment.baseline.objective
    return f"{experiment.outcome}, weights selected by {selector.metric} ({selector.direction})"


def _data_set(experiment: Experiment) -> str:
    if experiment.foreign:
        return f"results made elsewhere, from {experiment.foreign}"
    if varies(experiment, "dataset"):
        return "varies by level"
    choice = experiment.baseline.dataset
    knobs = ", ".join(f"{k} {v}" for k, v in choice.knobs.items() if v is not None)
    text = f"{choice.name} ({knobs})" if knobs else choice.name
    return f"{text}, split {_choice_text(experiment.baseline.split)}"


def _choice_text(choice: Choice) -> str:
    knobs = ", ".join(f"{k} {v}" for k, v in choice.knobs.items() if v is not None)
    return f"{choice.name} ({knobs})" if knobs else choice.name


def _test_images(experiment: Experiment, table: pd.DataFrame, estimator: Estimator) -> str:
    metric = find_quantity(experiment.outcome)
    images = estimator.image_table(metric) if metric is not None else None
    if images is None:
        return ""
    number = f"{images.num_images:,}"
    return number if images.groups is None else f"{number} in {counted(images.num_units, 'group')}"


def _family_text(family: Family) -> str:
    if not family.members:
        return ""
    what = "claims of the file" if family.is_from_claims else "each level against its baseline"
    tests = counted(len(family.members), "comparison")
    return f"{tests} ({what}); Holm at two-sided {family.alpha:.3g}"


def _distinct(table: pd.DataFrame, column: str) -> str:
    if column not in table:
        return ""
    values = table[column].dropna()
    return ", ".join(dict.fromkeys(f"{v:g}" if isinstance(v, float) else str(v) for v in values if str(v)))


def _training_time(table: pd.DataFrame) -> str:
    hours = float(table["train_time_s"].sum()) / 3600 if "train_time_s" in table else 0.0
    return f"{hours:.1f} h in all" if hours >= 1 else f"{hours * 60:.1f} min in all" if hours > 0 else ""
