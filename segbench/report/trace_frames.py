"""How the numbers of each frame of an analysis are traced: a new frame is one more `FrameSpec`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from segbench.report import trace_designs
from segbench.report.analysis import Analysis
from segbench.report.numbers import NONE, Numbers, count, magnitude, p_value, significant
from segbench.report.phrases import percent, seeds_range
from segbench.report.trace import FrameSpec, Measured, Quantity, Row, Source
from segbench.stats.intervals import LEVEL
from segbench.stats.metrics import read_metric

_ENDED_BADLY: Final = {
    "diverged": ("diverged",),
    "failed": ("failed", "pruned"),
    "missing": ("waiting", "running", "interrupted"),
}


def contrast_subject(analysis: Analysis, row: Row) -> str:
    """Name a contrast: `norm: none - BatchNorm at model = unet, instability, new images`."""
    text = f"{row['axis']}: {row['level']} - {row['baseline']}"
    if _text(row.get("at")):
        text += f" at {row['at']}"
    metric = row.get("metric", analysis.experiment.outcome)
    if metric != analysis.experiment.outcome:
        text += f", {metric}"
    return text + (", new images" if row.get("on") == "new_images" else "")


def claim_subject(analysis: Analysis, row: Row) -> str:
    return str(row["claim"])


def subgroup_subject(analysis: Analysis, row: Row) -> str:
    return f"{contrast_subject(analysis, row)} among {row['division']} {row['label']}"


def _cell_subject(analysis: Analysis, row: Row) -> str:
    return str(row["cell"])


def tuning_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['cell']}, repeat {int(row['repeat'])}"


def proposal_subject(analysis: Analysis, row: Row) -> str:
    return f"proposal {int(row['number'])}"


def _value(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.value(values[0])


def _interval(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.interval(*values)


def _count(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return count(values[0])


def _plain(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return f"{values[0]:g}" if values[0] == values[0] else NONE


def _significant(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return significant(values[0])


def _magnitude(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return magnitude(values[0])


def _p(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return p_value(values[0])


def _word(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return str(values[0]) or "exploratory"


def _difference(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.of(str(row.get("metric", "test_")), values[0], is_difference=True)


def _difference_interval(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.interval_of(str(row.get("metric", "test_")), *values)


def _bound(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.of(str(row.get("metric", "test_")), values[0])


def _seeds_needed(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    low, high = values
    if low != low:
        return NONE
    return seeds_range(low, low if high != high else high).removesuffix(" seeds")


def _cells(analysis: Analysis) -> list[Quantity]:
    experiment = analysis.experiment
    outcome, objective = experiment.outcome, experiment.baseline.objective.metric
    metric = read_metric(outcome)
    last = f"{outcome}_last" if metric is None else metric.last
    mean = f"Mean over seeds of {outcome} at the selected weights."
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."
    found = [
        Quantity(name="n", words="completed seeds", formula="Seeds that completed.", show=_count),
        Quantity(name="mean", words=f"mean {outcome}", formula=mean, show=_value),
        Quantity(
            name="interval",
            columns=("low", "high"),
            words="95 % interval of the mean",
            formula=t,
            show=_interval,
        ),
        Quantity(name="low", words="low end of the 95 % interval", formula=t, show=_value),
        Quantity(name="high", words="high end of the 95 % interval", formula=t, show=_value),
        Quantity(name="sd", words="standard deviation", formula=f"sd over seeds of {outcome}.", show=_value),
        Quantity(
            name="mean_last",
            words=f"mean {outcome} at the last epoch",
            formula=f"Mean over seeds of {outcome} at the last epoch's weights.",
            show=_value,
            behind=last,
        ),
        Quantity(
            name="val_mean",
            words=f"mean {objective} at the selected epoch",
            formula=f"Mean over trials of {objective} at the selected epoch.",
            show=_value,
            behind="objective",
        ),
    ]
    found = [q if q.behind or q.name == "n" else _behind(q, outcome) for q in found]
    shows: dict[str, Callable[..., str]] = {
        "selected_epoch": _plain,
        "parameters": _magnitude,
        "flops": _magnitude,
        "epoch_time_s": _significant,
        "images_per_s": _significant,
        "peak_memory_mib": _count,
        "instability": _significant,
    }
    found += [
        Quantity(
            name=name,
            words=f"median {name}",
            formula=f"Median over trials of {name}.",
            show=show,
            behind=name,
        )
        for name, show in shows.items()
    ]
    return found + [
        Quantity(
            name=name,
            words=f"trials {name}",
            formula=f"Trials of the cell that are {', '.join(states)}.",
            show=_count,
            behind=name,
        )
        for name, states in _ENDED_BADLY.items()
    ]


def _behind(quantity: Quantity, column: str) -> Quantity:
    from dataclasses import replace

    return replace(quantity, behind=column)


def _cell_source(measured: Measured, row: Row, quantity: Quantity) -> Source:
    if quantity.behind in _ENDED_BADLY:
        return measured.of_cell(row["cell"], "", _ENDED_BADLY[quantity.behind])
    return measured.of_cell(row["cell"], quantity.behind)


def _effects(analysis: Analysis) -> list[Quantity]:
    level = percent(analysis.level)
    paired = "Mean over seeds of level minus baseline, paired by seed."
    t = "Difference ± t(n − 1) · sd / √n over seeds."
    both = "Difference ± √(t²(n − 1) · sd² / n + t²(images − 1) · variance from images)."
    interval = f"{level} interval" if level == percent(LEVEL) else f"interval ({level} in the family)"
    holm = "p by Holm: times the number of hypotheses whose p is no smaller, at least what smaller ones got."
    tost = "Larger p of two one-sided t-tests against the margin's ends, by Holm among the equivalences."
    return [
        Quantity(name="n", words="seeds", formula="Seeds measured in both arms.", show=_count),
        Quantity(name="difference", words="difference", formula=paired, show=_difference),
        Quantity(
            name="interval",
            columns=("low", "high"),
            words=f"{interval}, this test set",
            formula=t,
            show=_difference_interval,
        ),
        Quantity(name="low", words=f"low end of the {interval}", formula=t, show=_bound),
        Quantity(name="high", words=f"high end of the {interval}", formula=t, show=_bound),
        Quantity(
            name="interval_new",
            columns=("low_new", "high_new"),
            words=f"{interval}, new images",
            formula=both,
            show=_difference_interval,
        ),
        Quantity(
            name="difference_last",
            words="difference at the last epoch",
            formula="The same contrast at the last epoch's weights.",
            show=_difference,
        ),
        Quantity(name="p", words="p", formula="Two-sided t-test of the differences over seeds.", show=_p),
        Quantity(name="p_holm", words="p after Holm", formula=holm, show=_p),
        Quantity(name="p_equivalence_holm", words="p of equivalence after Holm", formula=tost, show=_p),
        Quantity(
            name="verdict",
            words="verdict",
            formula="Better or worse where Holm's p is below alpha, equivalent where the equivalence's is.",
            show=_word,
        ),
        Quantity(
            name="seeds_needed",
            columns=("seeds_needed_low", "seeds_needed_high"),
            words="seeds for 80 % power at the margin",
            formula="Power of the paired t-test at the margin, for both ends of the sd's 95 % interval.",
            show=_seeds_needed,
        ),
    ]


def contrast_source(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the trials of a contrast and what each seed measured, as far as the frame carries evidence."""
    trials = row.get("trials")
    trials = tuple(trials) if isinstance(trials, tuple | list) else ()
    seeds = row.get("seeds")
    if not isinstance(seeds, tuple):
        return measured.of_trials(trials)
    names = {"level_by_seed": str(row["level"]), "baseline_by_seed": str(row["baseline"])}
    names["difference_by_seed"] = "difference of logarithms" if row.get("is_ratio") is True else "difference"
    return Source(trials=trials, seeds=seeds, by_seed={name: row[c] for c, name in names.items()})


def _claims(analysis: Analysis) -> list[Quantity]:
    def ratio(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        if row["is_ratio"] is not True:
            return (_difference if len(values) == 1 else _difference_interval)(numbers, row, values)
        shown = [f"{np.exp(value):.3g}" for value in values]
        return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"

    def words(row: Row) -> str:
        if row.get("is_ratio") is True:
            return "Mean over seeds of log(left / right), paired by seed; printed as the ratio."
        return "Mean over seeds of left minus right, paired by seed."

    return [
        Quantity(
            name="verdict",
            words="verdict",
            formula="Supported or contradicted where Holm's p of the claim is below alpha, else unresolved.",
            show=_word,
        ),
        Quantity(name="difference", words="left compared with right", formula=words, show=ratio),
        Quantity(
            name="interval",
            columns=("low", "high"),
            words="interval",
            formula="Difference ± t · standard error over seeds (and images, where new images are asked of).",
            show=ratio,
        ),
        Quantity(name="p_holm", words="p after Holm", formula="p of the claim by Holm.", show=_p),
        Quantity(
            name="p_equivalence_holm",
            words="p of equivalence after Holm",
            formula="p of two one-sided tests, by Holm among the equivalences.",
            show=_p,
        ),
    ]


def _subgroups(analysis: Analysis) -> list[Quantity]:
    metric = analysis.experiment.outcome
    names = ("n", "difference", "interval", "interval_new")
    found = {quantity.name: quantity for quantity in _effects(analysis)}
    return [
        *(found[name] for name in names),
        *(
            Quantity(
                name=f"{arm}_mean",
                words=f"mean {metric} at the {arm}",
                formula=f"Mean over seeds of {metric} on the images of the sub-group.",
                show=_value,
            )
            for arm in ("level", "baseline")
        ),
    ]


def _tuning(analysis: Analysis) -> list[Quantity]:
    objective = analysis.experiment.baseline.objective.metric
    best = f"The best {objective} of the cell's complete tuning trials."

    def show(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        return numbers.of(objective, values[0])

    return [
        Quantity(name="value", words=f"{objective} of the winner", formula=best, show=show),
        Quantity(name="ended", words="tuning trials", formula="Tuning trials that ended.", show=_count),
    ]


def _search(analysis: Analysis) -> list[Quantity]:
    objective = analysis.experiment.baseline.objective.metric

    def show(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        return numbers.of(objective, values[0])

    formula = f"{objective} of the proposal's one trial, at its selected epoch."
    return [Quantity(name="value", words=objective, formula=formula, show=show, behind="objective")]


def one_trial(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the source of a row that is one trial."""
    return measured.of_trials([row["trial"]] if _text(row.get("trial")) else [], quantity.behind)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


FRAMES: Final = (
    FrameSpec(name="cells", subject=_cell_subject, quantities=_cells, source=_cell_source),
    FrameSpec(name="effects", subject=contrast_subject, quantities=_effects, source=contrast_source),
    FrameSpec(name="claims", subject=claim_subject, quantities=_claims, source=contrast_source),
    FrameSpec(name="subgroups", subject=subgroup_subject, quantities=_subgroups, source=contrast_source),
    FrameSpec(name="tuning", subject=tuning_subject, quantities=_tuning, source=one_trial),
    FrameSpec(name="search", subject=proposal_subject, quantities=_search, source=one_trial),
    *trace_designs.FRAMES,
)
"""In the order of `numbers.json`."""
