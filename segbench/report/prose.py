"""What a report says in words beside its tables: the answer, the head, the notes, the provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd

import segbench
from segbench import registry
from segbench.config.expand import parameter_ends
from segbench.config.experiment import Experiment, Search
from segbench.config.pairing import alias_lines, title
from segbench.config.project import Project
from segbench.config.trial import Choice, Target
from segbench.quantities import QUANTITIES, find_quantity
from segbench.records import State
from segbench.report.numbers import (
    decimals_for,
    interval,
    metric_words,
    p_in_words,
    percent,
    signed,
)
from segbench.report.study import MISSING, Family, Study, as_options
from segbench.report.topics.claims import ON_TEXT, judge_claims
from segbench.report.topics.effects import effects_frame
from segbench.report.topics.factorial import Factorial
from segbench.report.topics.importance import importance_frame, too_few_text
from segbench.report.topics.replicated import best_design
from segbench.report.topics.search import best_points, search_frame
from segbench.report.topics.subgroups import subgroups_notes
from segbench.report.topics.tuning import (
    TUNED_PROTOCOL,
    reach_text,
    tuned_sentence,
    tuning_notes,
    untuned_notes,
)
from segbench.report.trace import rows_of
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL
from segbench.stats.power import POWER, smallest_difference
from segbench.stats.questions import baseline_contrasts
from segbench.stats.verdict import ALPHA, EQUIVALENT, UNRESOLVED, alpha_at_a_look
from segbench.store.history import describe as plan_row
from segbench.store.results import Results
from segbench.wording import counted, listed

_NAMES = {"test_dice": "the Dice coefficient"}


def write_answer(study: Study) -> str:
    """Write the answer in plain words: one paragraph made of verdicts, saying no more than they do."""
    search = study.experiment.search
    if search is None:
        return " ".join(_design_answer(study))
    return _front_answer(study, search) if search.goals else _search_answer(study)


def _design_answer(study: Study) -> list[str]:
    """Say what was measured, what was found, what is open and how finely the experiment could tell."""
    experiment, table = study.experiment, study.table
    sentences = [_measured(study), *filter(None, [growth_remark(study)])]
    if study.partial is not None:
        return [*sentences, f"The sweep is not finished ({study.partial}), so nothing is judged yet."]
    if experiment.outcome not in table or table[experiment.outcome].isna().all():
        sentences.append(f"No trial here holds {experiment.outcome}, so nothing is judged by it.")
    level, effects = study.family.level, study.once(effects_frame)
    family = effects[effects["is_family"] & (effects["verdict"] != "")]
    decided = family[~family["verdict"].isin([UNRESOLVED, EQUIVALENT])]
    sentences += [_decided(row, level) for row in rows_of(decided)]
    sentences += [
        _equivalent(row, experiment, level) for row in rows_of(family[family["verdict"] == EQUIVALENT])
    ]
    unresolved = rows_of(family[family["verdict"] == UNRESOLVED])
    sentences += [_unresolved(row, experiment, level) for row in unresolved]
    sentences += _claims(study.once(judge_claims))
    if family["depends_on_selection"].any():
        rows = rows_of(family[family["depends_on_selection"]])
        sentences.append(
            f"At the last epoch's weights the answer differs for {listed([_contrast(r) for r in rows])}: it "
            "depends on checkpoint selection."
        )
    sentences += _not_completed(table)
    finely = resolution_text(study)
    if unresolved and finely:
        sentences.append(f"How finely this experiment can tell: {finely}.")
    return [*sentences, *tuned_sentence(experiment)]


def _tried(study: Study) -> str:
    begin = f"The search has tried {counted(len(study.once(search_frame)), 'configuration')}"
    return f"{begin} ({study.partial})." if study.partial else f"{begin}."


def _search_answer(study: Study) -> str:
    """Name the best configuration of a search, and what it is worth with seeds that did not choose it."""
    experiment, begin, found = study.experiment, _tried(study), study.once(best_points)
    if not found:
        return f"{begin} None has completed, so there is no best one yet."
    (best,) = found
    metric = experiment.baseline.objective.metric
    text = (
        f"{begin} The best by {metric} is number {best.number} with {best.settings}: {best.objective:.4f}, "
        f"chosen among {counted(best.num_completed, 'validation value')} and so flattering."
    )
    worth = best.worth(experiment.outcome)
    if not worth:
        return (
            f"{text} It has not been repeated with another seed, so what it is worth on test images is open."
        )
    return f"{text} On the test images it reaches {worth}."


def _front_answer(study: Study, search: Search) -> str:
    """Say what the Pareto front of a search spans, and what its points are worth with other seeds."""
    begin, front = _tried(study), study.once(best_points)
    if not front:
        return f"{begin} None has completed within its constraints, so there is no Pareto front yet."
    goals = listed([f"{goal.direction[:-1]}ing {goal.metric}" for goal in search.goals])
    if len(front) == 1:
        text = f"{begin} In {goals} one is as good as any other: {front[0].name}, "
    else:
        text = (
            f"{begin} {len(front)} of them stand on the Pareto front of {goals}, where no other is as good "
            f"in every goal and better in one, from {front[0].name} to {front[-1].name}; none is the best. "
            "They were "
        )
    text += f"chosen among {counted(front[0].num_completed, 'validation value')} and so flattering."
    said = {point.number: point.worth(study.experiment.outcome) for point in front}
    worth = [f"number {number} reaches {words}" for number, words in said.items() if words]
    if not worth:
        return f"{text} None has been repeated with another seed: what they reach on test images is open."
    return f"{text} On the test images {listed(worth)}."


def _measured(study: Study) -> str:
    experiment = study.experiment
    cells, axes = len(experiment.cells), [axis.name for axis in experiment.axes]
    seeds = counted(len(experiment.seeds), "seed") + (" each" if cells > 1 else "")
    folds = f" and {experiment.num_folds} folds" if experiment.num_folds > 1 else ""
    number, _, groups = _test_images(study).partition(" in ")
    over = f" on {number} test images" if number else ""
    over += f" in {groups}" if groups else ""
    data = experiment.foreign or experiment.baseline.dataset.name
    varied = f" ({listed(axes)} varied)" if axes else ""
    outcome = _NAMES.get(experiment.outcome) or _outcome_words(experiment.outcome)
    return (
        f"This experiment measured {outcome}{over} of {data} in {counted(cells, 'cell')}{varied}, "
        f"with {seeds}{folds}."
    )


def _outcome_words(outcome: str) -> str:
    quantity = find_quantity(outcome)
    spec = None if quantity is None else quantity.metric
    if spec is None:
        return outcome
    unit = f"in {spec.unit}" if spec.unit else ""
    direction = "the lower the better" if spec.is_lower_better else ""
    notes = ", ".join(filter(None, (unit, direction)))
    return f"the {spec.words}{f' ({notes})' if notes else ''}"


def _contrast(row: Mapping[str, object]) -> str:
    at = f" at {row['at']}" if row["at"] else ""
    return f"{row['level']} against {row['baseline']}{at}"


def _numbers(row: Mapping[str, object], level: float) -> str:
    suffix = "_new" if row["on"] == "new_images" else ""
    low, high = float(row[f"low{suffix}"]), float(row[f"high{suffix}"])  # type: ignore[arg-type]
    difference = float(row["difference"])  # type: ignore[arg-type]
    if not np.isfinite(difference):
        return "no seed completed in both"
    decimals = decimals_for((high - low) / 2)
    if not np.isfinite(low):
        seeds = counted(int(row["n"]), "seed")  # type: ignore[call-overload]
        return f"{signed(difference, decimals)} in {metric_words(str(row['metric']))}, {seeds}"
    where = ON_TEXT[str(row["on"])]
    value = f"{signed(difference, decimals)} in {metric_words(str(row['metric']))}"
    return f"{value}, {percent(level)} interval {interval(low, high, decimals)}, {where}"


def _decided(row: Mapping[str, object], level: float) -> str:
    verdict = str(row["verdict"])
    if "negligibly" in verdict:
        verdict += " (the whole interval lies within the margin)"
    at = f" at {row['at']}" if row["at"] else ""
    p = p_in_words(float(row["p_holm"]))  # type: ignore[arg-type]
    diverged = f"; {_divergence(row)}" if _divergence(row) else ""
    text = f"{row['axis']}{at}: {row['level']} is {verdict} than {row['baseline']}"
    return f"{text} ({_numbers(row, level)}; Holm {p}{diverged})."


def _equivalent(row: Mapping[str, object], experiment: Experiment, level: float) -> str:
    at = f" at {row['at']}" if row["at"] else ""
    p = p_in_words(float(row["p_equivalence_holm"]))  # type: ignore[arg-type]
    return (
        f"{row['axis']}{at}: {row['level']} and {row['baseline']} are equivalent within the margin of "
        f"{experiment.margin:g} ({_numbers(row, level)}; Holm {p})."
    )


def _unresolved(row: Mapping[str, object], experiment: Experiment, level: float) -> str:
    text = f"{row['axis']}: {_contrast(row)} is unresolved ({_numbers(row, level)})"
    if _divergence(row):
        return f"{text}; {_divergence(row)}."
    if row["forecast"]:
        return f"{text}; {row['forecast']}."
    if row["n"] == 1:
        return f"{text}; one seed gives no interval."
    if experiment.margin is None:
        return f"{text}; no margin is declared, so equivalence cannot be told."
    return f"{text}."


def _divergence(row: Mapping[str, object]) -> str:
    """Return what the note says of diverged trials, empty where the arms agree in them."""
    return next((part for part in str(row["note"]).split("; ") if part.startswith("diverged: ")), "")


def _claims(claims: pd.DataFrame) -> list[str]:
    if claims.empty:
        return []
    counts = claims["verdict"].value_counts()
    order = [v for v in ("supported", "contradicted", "unresolved", "not judged") if v in counts]
    total = counted(len(claims), "claim")
    return [f"Of {total}, {listed([f'{counts[v]} {_be(counts[v])} {v}' for v in order])}."]


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _not_completed(table: pd.DataFrame) -> list[str]:
    counts = table["state"].value_counts()
    parts = [f"{counts[s.value]} {s.value}" for s in (State.DIVERGED, State.FAILED) if s.value in counts]
    return [f"Of {counted(len(table), 'trial')}, {listed(parts)}."] if parts else []


# The head of a report and its provenance.


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


def describe(study: Study) -> dict[str, str]:
    """Return `Analysis.head`, in the order in which it is printed."""
    experiment, table = study.experiment, study.table
    states = table["state"].value_counts()
    trials = study.partial or f"{states.get(State.COMPLETE.value, 0)} of {len(table)} complete"
    others = [state for state in State if state.has_ended_short]
    trials += "".join(f", {states[s.value]} {s.value}" for s in others if s.value in states)
    head = {
        "tuned": reach_text(experiment) if experiment.tune is not None else "",
        "flawed on purpose": flaws_text(experiment),
        "outcome": _outcome(experiment),
        "seeds": seeds_text(experiment.seeds)
        + (f", {experiment.num_folds} folds" if experiment.num_folds > 1 else ""),
        "look": look_text(experiment).removeprefix("look "),
        "after results": " ".join(filter(None, [growth_remark(study), *change_remarks(study)])),
        "trials": trials,
        "data set": _data_set(experiment),
        "test images": _test_images(study),
        "margin": "none declared"
        if experiment.margin is None
        else f"{experiment.margin:g} {experiment.outcome}",
        "resolution": resolution_text(study),
        "family": _family_text(study.family),
        "device": _distinct(table, "device_name") or _distinct(table, "device"),
        "commit": _distinct(table, "commit"),
    }
    readers = test_set_readers(table, study.project)
    if readers:
        head["test set read by"] = f"{counted(len(readers), 'experiment')}: {listed(readers)}"
    head |= _best_terms(study)
    return {term: text for term, text in head.items() if text}


def seeds_text(seeds: Sequence[int]) -> str:
    """Write `5 (0 to 4)`, `3 (0, 2 and 7)`."""
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{len(ordered)} ({ordered[0]} to {ordered[-1]})"
    return f"{len(ordered)} ({listed([str(s) for s in ordered])})"


def _best_terms(study: Study) -> dict[str, str]:
    """Return what the head of a search says of its best proposal, or of its Pareto front."""
    points, search, outcome = study.once(best_points), study.experiment.search, study.experiment.outcome
    if not points or search is None:
        return {}
    said = [(point, point.worth(outcome)) for point in points]
    if not search.goals:
        ((best, worth),) = said
        return {
            "best configuration": f"number {best.number}: {best.settings}",
            "worth of the best": worth or "not repeated with another seed",
        }
    worth = "; ".join(f"number {point.number}: {worth}" for point, worth in said if worth)
    return {
        "Pareto front": listed([f"number {point.number}" for point in points]),
        "worth of its points": worth or "none repeated with another seed",
    }


def resolution_text(study: Study) -> str:
    """Say which differences the experiment could have shown; empty where nothing was measured twice."""
    smallest, half_width, n = resolution(study)
    if not np.isfinite(smallest):
        return ""
    return (
        f"true differences of {smallest:.2g} in {metric_words(study.experiment.outcome)} or more are found "
        f"with {100 * POWER:.0f} % power at {counted(n, 'seed')} (typical half-width of an interval: "
        f"{half_width:.2g})"
    )


def resolution(study: Study) -> tuple[float, float, int]:
    """Return the smallest difference found with 80 % power, the median half-width, and the number of seeds.

    The sd is the root mean square over the contrasts on the outcome (the family's that are judged on this
    test set, else every level against its baseline), n their median, alpha divided by the family's size as in
    Holm's first step. Where all claim equality, it is a difference beyond the margin.
    """
    experiment, family, estimator = study.experiment, study.family, study.estimator
    tested = [m.hypothesis for m in family.members if not m.is_ratio and m.hypothesis.on == "test_set"]
    tested = [h for h in tested if h.effect.contrast.metric == experiment.outcome]
    null = min((h.null[1] for h in tested), default=0.0)
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


def provenance(study: Study) -> dict[str, str]:
    """Return `Analysis.provenance`: what the numbers were made from and with."""
    table = study.table
    terms = {
        "content read": content_hash(study.results),
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
        "command": f"segbench report {study.experiment.name}{as_options(study.contrasts)}",
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
    baseline = experiment.baseline
    return f"{_choice_text(baseline.dataset)}, split {_choice_text(baseline.split)}"


def _choice_text(choice: Choice) -> str:
    knobs = ", ".join(f"{k} {v}" for k, v in choice.knobs.items() if v is not None)
    return f"{choice.name} ({knobs})" if knobs else choice.name


def _test_images(study: Study) -> str:
    metric = find_quantity(study.experiment.outcome)
    images = study.estimator.image_table(metric) if metric is not None else None
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


# What was planned before results were seen, and what of it was changed after.


def last_look(experiment: Experiment, table: pd.DataFrame) -> Experiment:
    """Return the experiment with the seeds of the last look of which no trial is missing, else of the first.

    Trials beyond it exist where the next look is being trained; they count when that is complete.

    Args:
        experiment: The design.
        table: One row per planned trial, with its `seed` and `state`.
    """
    if not experiment.looks:
        return experiment
    waiting = set(table.loc[table["state"].isin(MISSING), "seed"])
    complete = [n for n in experiment.looks if not waiting & set(experiment.seeds[:n])]
    return experiment.first_seeds(max(complete, default=experiment.looks[0]))


def look_text(experiment: Experiment) -> str:
    """Say which look the seeds stand for: `look 1 of 3, after 3 of at most 10 seeds, at alpha 0.0167`."""
    if not experiment.looks:
        return ""
    looks, seen = experiment.looks, len(experiment.seeds)
    alpha = alpha_at_a_look(len(looks))
    number = f"look {looks.index(seen) + 1} of {len(looks)}"
    return f"{number}, after {seen} of at most {counted(looks[-1], 'seed')}, at alpha {alpha:.3g}"


def correction_note(experiment: Experiment) -> str:
    """Say what verdicts follow and what the printed intervals are."""
    num_looks = len(experiment.looks)
    alpha = alpha_at_a_look(num_looks)
    shared = others = ""
    if num_looks:
        shared = (
            f" This is {look_text(experiment)}: each of {num_looks} planned looks spends an equal share of "
            f"{ALPHA:g}, judges by all trials up to it, and takes over nothing from the looks before."
        )
        others = f" ({percent(LEVEL)} outside the family)"
    return (
        f"Verdicts follow p-values after Holm's correction over the family at two-sided {alpha:.3g}; the "
        f"intervals printed are {percent(1 - alpha)} each{others}, without correction.{shared} Contrasts "
        "outside the family are exploratory: intervals, no verdicts."
    )


def uncounted_note(study: Study) -> list[str]:
    """Say how many trials have ended beyond the look that is reported."""
    if study.experiment.search is not None:
        return []
    later = ~study.planned["seed"].isin(study.experiment.seeds) & ~study.planned["state"].isin(MISSING)
    num_later = int(later.sum())
    if not num_later:
        return []
    trials = f"{counted(num_later, 'trial')} of further seeds {'has' if num_later == 1 else 'have'} ended"
    return [f"{trials}; they count when their look is complete."]


def growth_remark(study: Study) -> str:
    """Say that the number of seeds was decided after results could be seen; empty where it was not.

    What was first complete is the plan: seeds without looks, or looks. A baseline that was changed since
    begins anew.
    """
    now = plan_row(study.experiment, ended="", commit=None)
    same = [row for row in study.history if row.baseline == now.baseline]
    if not same or (same[0].looks == now.looks and (now.looks or same[0].seeds == now.seeds)):
        return ""
    first = same[0]
    seen = f"after results were seen on {first.date}, so the verdicts are exploratory"
    if first.looks != now.looks:
        return f"The looks were {'changed' if first.looks else 'planned'} {seen}."
    if set(first.seeds.split()) < set(now.seeds.split()):
        return f"Unplanned growth: the seeds grew from {first.num_seeds} to {now.num_seeds} {seen}."
    return f"The seeds were changed from {first.seeds} to {now.seeds} {seen}."


def change_remarks(study: Study) -> list[str]:
    """Say which questions were changed after results could be seen, one sentence each."""
    if not study.history:
        return []
    first, now = study.history[0], plan_row(study.experiment, ended="", commit=None)
    seen = f"after results were seen on {first.date}"
    remarks = []
    if first.claims != now.claims:
        remarks.append(f"The claims changed {seen}.")
    for name in ("margin", "outcome"):
        before, after = getattr(first, name) or "none", getattr(now, name) or "none"
        if before != after:
            remarks.append(f"The {name} changed from {before} to {after} {seen}.")
    return remarks


# Caveats: what the numbers do not say by themselves.


INTERVALS = (
    "Both intervals hold the training set and the split fixed: 'this test set' says what other seeds "
    "would give on these test images, 'new images' what other seeds and other test images of the same "
    "kind would give. Neither says what other training images would give."
)
PROTOCOL = (
    "All cells share one protocol (the baseline with the levels' changes): a level that would need other "
    "settings is judged at these."
)
FOREIGN = (
    "These results were made elsewhere: how the arms were trained, on what, and how their weights were "
    "selected is not known here. Arms are paired by seed; where a seed means nothing across arms, that is "
    "still right and only less sharp than it could be."
)
CURVES = (
    "Curves: train_loss and train_dice are running means over an epoch's augmented batches in training "
    "mode, each before its step; val_loss and val_dice are measured after the epoch in evaluation mode on "
    "unchanged images. Bands are 95 % t-intervals over seeds, point by point."
)
ARCHITECTURES = (
    "Across architectures, trials of one seed share the order of the images and the augmentation only; "
    "initial weights differ."
)
LOSSES = "val_loss and train_loss are not comparable across levels that change the loss."
FOLDS = "Folds share training images: they are averaged within a seed and are no replicates of their own."
ONE_SEED = "One seed: no intervals, no verdicts."
SEARCH = (
    "A search reports the largest of many validation values, which flatters; only its replicates on the "
    "test images say what the configuration is worth."
)
HARDWARE = "Trials ran on different hardware: times and memory are not comparable between them."


def write_notes(study: Study) -> tuple[str, ...]:
    """Return `Analysis.notes`: the caveats that hold for this experiment, general ones first."""
    experiment, table, partial = study.experiment, study.table, study.partial
    effects, matched = study.once(effects_frame), study.matched
    is_search = experiment.search is not None
    notes = []
    if partial:
        notes.append(f"{partial[0].upper()}{partial[1:]}. Intervals are preliminary, and nothing is judged.")
    protocol = PROTOCOL if experiment.tune is None else TUNED_PROTOCOL
    if experiment.foreign:
        protocol = FOREIGN
    notes += [SEARCH] if is_search else [INTERVALS, correction_note(experiment), protocol]
    notes += _design_notes(experiment)
    if not experiment.foreign:
        notes.append(CURVES)
    if varies(experiment, "model"):
        notes.append(ARCHITECTURES)
    if varies(experiment, "loss"):
        notes.append(LOSSES)
    if experiment.num_folds > 1:
        notes.append(FOLDS)
    if not is_search and len(experiment.seeds) == 1:
        notes.append(ONE_SEED)
    for row in effects[effects["depends_on_selection"]].to_dict("records"):
        at = f" at {row['at']}" if row["at"] else ""
        notes.append(
            f"{row['axis']}: {row['level']} against {row['baseline']}{at} on {row['metric']} depends on "
            "checkpoint selection: the last epoch's weights give another answer."
        )
    if "device_name" in table and len(table["device_name"].dropna().unique()) > 1:
        notes.append(HARDWARE)
    notes += _unrecorded(experiment, table)
    if "note" in matched:
        notes += [str(note) for note in matched["note"].dropna().unique() if str(note)]
    if experiment.search is not None:
        return (*notes, *_search_notes(study, experiment.search))
    planned = [*filter(None, [growth_remark(study)]), *change_remarks(study), *uncounted_note(study)]
    ours = [*tuning_notes(study), *untuned_notes(study), *subgroups_notes(study)]
    return (*notes, *study.once(Factorial.of).notes, *planned, *ours)


def _search_notes(study: Study, search: Search) -> Iterator[str]:
    """Say why a search has no design of its best, and why it has no shares of variance."""
    _, no_design = study.once(best_design)
    if no_design and study.once(best_points):
        yield no_design
    if study.once(importance_frame).empty and not study.once(search_frame).empty:
        yield too_few_text(search)


def _design_notes(experiment: Experiment) -> list[str]:
    """Say how effects come about where the design is no factorial with every axis in every cell."""
    design, notes = experiment.design, []
    if design.kind == "fractional":
        numbers = {"num_cells": len(experiment.cells), "num_axes": len(experiment.axes)}
        text = (
            f"{title(design, **numbers)}. An effect is the mean over all cells at the level minus that over "
        )
        text += "all cells at the baseline, seed by seed."
        lines = alias_lines(design, up_to=2)
        if lines:
            text += f" Aliases, which get no verdict: {'; '.join(lines)}."
        notes.append(f"{text} Interactions of three axes and more are taken to be small.")
    for axis in experiment.axes:
        if axis.when:
            where = " and ".join(f"{name} {' or '.join(labels)}" for name, labels in axis.when.items())
            notes.append(
                f"{axis.name} varies with {where} only; where one of two cells lacks it, the other is taken "
                f"at {axis.name} {axis.baseline}."
            )
    return notes


def _unrecorded(experiment: Experiment, table: pd.DataFrame) -> list[str]:
    """Name the metrics that are asked for and that complete trials do not hold."""
    complete = table[table["state"] == State.COMPLETE.value]
    notes = []
    for name in dict.fromkeys([experiment.outcome, *(claim.metric for claim in experiment.claims)]):
        if name not in QUANTITIES or QUANTITIES[name].metric is None:
            continue
        num_missing = int(complete[name].isna().sum()) if name in complete else len(complete)
        if num_missing:
            notes.append(
                f"{name} is not recorded for {num_missing} of {len(complete)} complete trials: an older "
                "segbench did not measure it, and records are not written again. `segbench evaluate` "
                "measures a trial whose weights are here."
            )
    return notes


def varies(experiment: Experiment, target: str) -> bool:
    """Whether some level changes a field or one of its knobs."""
    levels = [level for axis in experiment.axes for level in axis.levels]
    return target in {Target.of(change).field for level in levels for change in level.changes}
