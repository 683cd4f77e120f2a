"""How the numbers of each frame of an analysis are traced: a new frame is one more `FrameSpec`.

Those of crossings and curves are in `trace_designs.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from segbench.report import trace_designs, trace_search
from segbench.report.analysis import Analysis
from segbench.report.numbers import Numbers
from segbench.report.phrases import percent
from segbench.report.trace import FrameSpec, Measured, Quantity, Row, Source, interval
from segbench.report.trace_show import (
    show_as_is,
    show_count,
    show_effect_size,
    show_interval,
    show_magnitude,
    show_of,
    show_of_row,
    show_p,
    show_seeds_needed,
    show_significant,
    show_value,
    show_word,
)
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


def _cells(analysis: Analysis) -> list[Quantity]:
    experiment = analysis.experiment
    outcome, objective = experiment.outcome, experiment.baseline.objective.metric
    metric = read_metric(outcome)
    last = f"{outcome}_last" if metric is None else metric.last
    mean = f"Mean over seeds of {outcome} at the selected weights."
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."
    found = [
        Quantity(name="n", words="completed seeds", formula="Seeds that completed.", show=show_count),
        Quantity(name="mean", words=f"mean {outcome}", formula=mean, show=show_value),
        interval("95 % interval of the mean", t, show_interval),
        Quantity(name="low", words="low end of the 95 % interval", formula=t, show=show_value),
        Quantity(name="high", words="high end of the 95 % interval", formula=t, show=show_value),
        Quantity(
            name="sd", words="standard deviation", formula=f"sd over seeds of {outcome}.", show=show_value
        ),
        Quantity(
            name="mean_last",
            words=f"mean {outcome} at the last epoch",
            formula=f"Mean over seeds of {outcome} at the last epoch's weights.",
            show=show_value,
            behind=last,
        ),
        Quantity(
            name="val_mean",
            words=f"mean {objective} at the selected epoch",
            formula=f"Mean over trials of {objective} at the selected epoch.",
            show=show_value,
            behind="objective",
        ),
    ]
    found = [q if q.behind or q.name == "n" else replace(q, behind=outcome) for q in found]
    shows = {
        "selected_epoch": show_as_is,
        "parameters": show_magnitude,
        "flops": show_magnitude,
        "epoch_time_s": show_significant,
        "images_per_s": show_significant,
        "peak_memory_mib": show_count,
        "data_wait_s": show_significant,
        "instability": show_significant,
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
            show=show_count,
            behind=name,
        )
        for name, states in _ENDED_BADLY.items()
    ]


def _cell_source(measured: Measured, row: Row, quantity: Quantity) -> Source:
    if quantity.behind in _ENDED_BADLY:
        return measured.of_cell(row["cell"], "", _ENDED_BADLY[quantity.behind])
    return measured.of_cell(row["cell"], quantity.behind)


def _effects(analysis: Analysis) -> list[Quantity]:
    level = percent(analysis.level)
    paired = "Mean over seeds of level minus baseline, paired by seed."
    t = "Difference ± t(n − 1) · sd / √n over seeds."
    both = "Difference ± √(t²(n − 1) · sd² / n + t²(images − 1) · variance from images)."
    range_ = f"{level} interval" if level == percent(LEVEL) else f"interval ({level} in the family)"
    holm = "p by Holm: times the number of hypotheses whose p is no smaller, at least what smaller ones got."
    flips = "Share of all ways to give the seeds' differences signs that lie as far from zero."
    tost = "Larger p of two one-sided t-tests against the margin's ends, by Holm among the equivalences."
    return [
        Quantity(name="n", words="seeds", formula="Seeds measured in both arms.", show=show_count),
        Quantity(name="difference", words="difference", formula=paired, show=show_of_row(is_difference=True)),
        interval(f"{range_}, this test set", t, show_of_row()),
        Quantity(name="low", words=f"low end of the {range_}", formula=t, show=show_of_row()),
        Quantity(name="high", words=f"high end of the {range_}", formula=t, show=show_of_row()),
        interval(
            f"{range_}, new images",
            both,
            show_of_row(),
            name="interval_new",
            columns=("low_new", "high_new"),
        ),
        Quantity(
            name="difference_last",
            words="difference at the last epoch",
            formula="The same contrast at the last epoch's weights.",
            show=show_of_row(is_difference=True),
        ),
        Quantity(
            name="hedges_g",
            words="Hedges' g",
            formula="Difference / the arms' average sd over seeds, corrected for few seeds.",
            show=show_effect_size,
        ),
        Quantity(name="p", words="p", formula="Two-sided t-test of the differences over seeds.", show=show_p),
        Quantity(name="p_sign_flip", words="p of sign flips", formula=flips, show=show_p),
        Quantity(name="p_holm", words="p after Holm", formula=holm, show=show_p),
        Quantity(name="p_equivalence_holm", words="p of equivalence after Holm", formula=tost, show=show_p),
        Quantity(
            name="verdict",
            words="verdict",
            formula="Better or worse where Holm's p is below alpha, equivalent where the equivalence's is.",
            show=show_word,
        ),
        Quantity(
            name="seeds_needed",
            columns=("seeds_needed_low", "seeds_needed_high"),
            words="seeds for 80 % power at the margin",
            formula="Power of the paired t-test at the margin, for both ends of the sd's 95 % interval.",
            show=show_seeds_needed,
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
            return show_of_row(is_difference=True)(numbers, row, values)
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
            show=show_word,
        ),
        Quantity(name="difference", words="left compared with right", formula=words, show=ratio),
        interval(
            "interval",
            "Difference ± t · standard error over seeds (and images, where new images are asked of).",
            ratio,
        ),
        Quantity(name="p_holm", words="p after Holm", formula="p of the claim by Holm.", show=show_p),
        Quantity(
            name="p_equivalence_holm",
            words="p of equivalence after Holm",
            formula="p of two one-sided tests, by Holm among the equivalences.",
            show=show_p,
        ),
    ]


def _subgroups(analysis: Analysis) -> list[Quantity]:
    metric = analysis.experiment.outcome
    shows = {
        "n": show_count,
        "difference": show_of(metric, is_difference=True),
        "interval": show_of(metric),
        "interval_new": show_of(metric),
    }
    found = {quantity.name: quantity for quantity in _effects(analysis)}
    images = "Test images of the sub-group."
    return [
        Quantity(name="num_images", words="test images", formula=images, show=show_count),
        *(replace(found[name], show=show) for name, show in shows.items()),
        *(
            Quantity(
                name=f"{arm}_mean",
                words=f"mean {metric} at the {arm}",
                formula=f"Mean over seeds of {metric} on the images of the sub-group.",
                show=show_of(metric),
            )
            for arm in ("level", "baseline")
        ),
    ]


def _sensitivity(analysis: Analysis) -> list[Quantity]:
    paired = "Mean over seeds of level minus baseline, paired by seed."
    pooled = "Difference ± t(df) · √(2 · residual mean square of all cells / (cells of the arm · seeds))."
    all_cells = "(cells − 1) · (seeds − 1), over the seeds measured in every cell."
    show = show_of_row(is_difference=True)
    return [
        Quantity(name="difference", words="difference", formula=paired, show=show),
        interval("interval, own error", "Difference ± t(n − 1) · sd / √n over seeds.", show),
        Quantity(name="df", words="df of its own error", formula="Seeds less one.", show=show_count),
        interval(
            "interval, pooled error",
            pooled,
            show,
            name="interval_pooled",
            columns=("low_pooled", "high_pooled"),
            behind=_POOLED,
        ),
        Quantity(
            name="df_pooled",
            words="df of the pooled error",
            formula=all_cells,
            show=show_count,
            behind=_POOLED,
        ),
        Quantity(
            name="says_otherwise",
            words="whether the pooled error says otherwise",
            formula="Yes where one of the two intervals alone excludes 0.",
            show=lambda numbers, row, values: "yes" if values[0] else "no",
            behind=_POOLED,
        ),
    ]


_POOLED: Final = "pooled"


def _own_and_pooled(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the two arms of the contrast, or all cells, whose error is pooled."""
    if quantity.behind == _POOLED:
        return measured.of_trials(row.get("trials_pooled", ()), measured.analysis.experiment.outcome)
    return contrast_source(measured, row, quantity)


def _tuning(analysis: Analysis) -> list[Quantity]:
    objective = analysis.experiment.baseline.objective.metric
    best = f"The best {objective} of the cell's complete tuning trials."

    ended = ("ended", "diverged", "failed")
    counted = {name: f"Tuning trials of the cell that {'have ' * (name != 'ended')}{name}." for name in ended}
    return [
        Quantity(name="value", words=f"{objective} of the winner", formula=best, show=show_of(objective)),
        *(
            Quantity(name=name, words=f"tuning trials, {name}", formula=formula, show=show_count)
            for name, formula in counted.items()
        ),
    ]


def _search(analysis: Analysis) -> list[Quantity]:
    spec, objective = analysis.experiment.search, analysis.experiment.baseline.objective.metric
    goals = [goal.metric for goal in spec.goals] if spec is not None else []
    names = {"value": objective, **{goal: goal for goal in goals}}
    return [
        Quantity(
            name=name,
            words=metric,
            formula=f"{metric} of the proposal's one trial, at its selected epoch.",
            show=show_of(metric),
            behind="objective" if name == "value" else metric,
        )
        for name, metric in names.items()
    ]


def one_trial(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the source of a row that is one trial."""
    return measured.of_trials([row["trial"]] if _text(row.get("trial")) else [], quantity.behind)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


FRAMES: Final = (
    FrameSpec(name="cells", subject=_cell_subject, quantities=_cells, source=_cell_source),
    FrameSpec(name="effects", subject=contrast_subject, quantities=_effects, source=contrast_source),
    FrameSpec(name="sensitivity", subject=contrast_subject, quantities=_sensitivity, source=_own_and_pooled),
    FrameSpec(name="claims", subject=claim_subject, quantities=_claims, source=contrast_source),
    FrameSpec(name="subgroups", subject=subgroup_subject, quantities=_subgroups, source=contrast_source),
    FrameSpec(name="tuning", subject=tuning_subject, quantities=_tuning, source=one_trial),
    FrameSpec(name="search", subject=proposal_subject, quantities=_search, source=one_trial),
    *trace_search.FRAMES,
    *trace_designs.FRAMES,
)
"""In the order of `numbers.json`."""
