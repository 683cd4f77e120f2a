"""How the numbers of crossings and of curves are traced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from segbench.quantities import QUANTITIES, Print, find_quantity
from segbench.records import State
from segbench.report.analysis import CELL_MEDIANS, LOST, Analysis
from segbench.report.numbers import Numbers, epochs, percent
from segbench.report.topics.metrics import METRICS_FRAME
from segbench.report.trace import (
    FrameSpec,
    Measured,
    Quantity,
    Row,
    Source,
    interval,
    show_as_is,
    show_count,
    show_effect_size,
    show_epochs_interval,
    show_interval,
    show_magnitude,
    show_of,
    show_of_row,
    show_p,
    show_seeds_needed,
    show_share,
    show_significant,
    show_value,
    show_word,
)
from segbench.stats.intervals import LEVEL

if TYPE_CHECKING:
    import pandas as pd


_T = "± t(0.975, n − 1) · sd / √n over seeds."


def marginal_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['axis']}: {row['level']}"


def interaction_subject(analysis: Analysis, row: Row) -> str:
    first = f"{row['axis_a']}: {row['level_a']} - {row['baseline_a']}"
    return f"{first} by {row['axis_b']}: {row['level_b']} - {row['baseline_b']}"


def curve_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['cell']}, {row['metric']}"


def pair_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['axis_a']}: {row['level_a']}, {row['axis_b']}: {row['level_b']}"


def _means(analysis: Analysis) -> list[Quantity]:
    outcome = analysis.experiment.outcome
    over = f"Mean over seeds of {outcome}; of a seed the mean over its cells with the level."
    show = show_of(outcome)
    return [
        Quantity(name="n", words="seeds", formula="Seeds measured in every cell.", show=show_count),
        Quantity(name="mean", words=f"mean {outcome}", formula=over, show=show, behind=outcome),
        Quantity(name="sd", words="sd", formula="sd over seeds of that mean.", show=show, behind=outcome),
        interval("95 % interval", f"Mean {_T}", show, behind=outcome),
    ]


def _interactions(analysis: Analysis) -> list[Quantity]:
    twice = "Mean over seeds of the difference of differences, paired by seed."
    outcome = analysis.experiment.outcome
    show = show_of(outcome, is_difference=True)
    return [
        Quantity(name="n", words="seeds", formula="Seeds measured in every cell.", show=show_count),
        Quantity(name="difference", words="difference of differences", formula=twice, show=show),
        interval("95 % interval", f"Difference {_T}", show),
    ]


def _anova(analysis: Analysis) -> list[Quantity]:
    return [
        Quantity(name="df", words="degrees of freedom", formula="Of the source.", show=show_count),
        Quantity(
            name="ss",
            words="sum of squares",
            formula="Squared effects of the source, summed over all cells and seeds.",
            show=show_significant,
        ),
        Quantity(name="f", words="F", formula="Mean square / that of the residual.", show=show_significant),
        Quantity(name="p", words="p", formula="Upper tail of F, uncorrected.", show=show_p),
        Quantity(
            name="eta_squared",
            words="η²",
            formula="Sum of squares / total sum of squares.",
            show=show_share,
        ),
        Quantity(
            name="omega_squared",
            words="ω²",
            formula="(Sum of squares − df · residual mean square) / (total + residual mean square).",
            show=show_share,
        ),
    ]


def _dynamics(analysis: Analysis) -> list[Quantity]:
    objective = analysis.experiment.baseline.objective.metric
    mean = "Mean over seeds of"
    found = [
        Quantity(name="n", words="completed seeds", formula="Seeds that completed.", show=show_count),
        Quantity(
            name="reached",
            words="seeds that reached the level",
            formula=f"Seeds whose {objective} reached the level.",
            show=lambda numbers, row, values: f"{int(values[0])} of {int(row['n'])}",
        ),
        Quantity(
            name="turned_up",
            words="seeds that over-fit",
            formula="Seeds whose val_loss turned up.",
            show=show_count,
        ),
    ]
    measures = {
        "epochs_to_level": (
            "epochs to the level",
            f"{mean} the first epoch with {objective} at the level, of those that reached it.",
            _show_first,
            show_epochs_interval,
        ),
        "area": (
            f"area under {objective}",
            f"{mean} the area under {objective}, over the epochs.",
            show_of(objective),
            show_of(objective),
        ),
        "instability": (
            "instability",
            f"{mean} the sd over the last epochs.",
            show_of("instability"),
            show_of("instability"),
        ),
        "onset": (
            "epoch at which val_loss turns up",
            f"{mean} the epoch at which val_loss turned up, of those where it did.",
            _show_onset,
            show_epochs_interval,
        ),
    }
    for name, (words, formula, show, show_ends) in measures.items():
        found.append(Quantity(name=name, words=words, formula=formula, show=show, behind=name))
        ends = (f"{name}_low", f"{name}_high")
        interval_words, of = f"{words}, interval", f"Mean {_T}"
        found.append(
            interval(interval_words, of, show_ends, name=f"{name}_interval", columns=ends, behind=name)
        )
    return found


def _show_first(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    has_level = row["level"] == row["level"]
    return "not reached" if has_level and not row["reached"] else epochs(values[0])


def _show_onset(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    turned, n = int(row["turned_up"]), int(row["n"])
    return (epochs(values[0]) if turned else "no") + (f" ({turned} of {n})" if 0 < turned < n else "")


def _curves(analysis: Analysis) -> list[Quantity]:
    def show(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        (by_epoch,) = values
        first, last = row["epochs"][0], row["epochs"][-1]
        return f"{numbers.value(by_epoch[-1])} at the last of epochs {first} to {last}"

    told = {
        "epochs": ("epochs", "Epochs of which the mean and its interval are known."),
        "n": ("seeds by epoch", "Seeds that reached the epoch; runs that stopped early are no part of it."),
        "mean": ("mean by epoch", "At each epoch the mean over seeds."),
        "low": ("low ends of the 95 % intervals by epoch", f"At each epoch mean {_T}"),
        "high": ("high ends of the 95 % intervals by epoch", f"At each epoch mean {_T}"),
    }
    return [
        Quantity(
            name=name, words=words, formula=formula, show=_show_range if name in ("epochs", "n") else show
        )
        for name, (words, formula) in told.items()
    ]


def _show_range(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    low, high = int(min(values[0])), int(max(values[0]))
    return f"{low}" if low == high else f"{low} to {high}"


def _one_a_curve(frame: pd.DataFrame) -> list[Row]:
    """Return a row a cell and metric, with its values by epoch: one a point would be most of the file."""
    columns = ("epoch", "n", "mean", "low", "high")
    rows: list[Row] = []
    for (cell, metric), own in frame.groupby(["cell", "metric"], sort=False):
        by_epoch = {name: tuple(own[name].tolist()) for name in columns}
        rows.append({"cell": cell, "metric": metric, **by_epoch, "epochs": by_epoch["epoch"]})
    return rows


def _own_trials(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the trials that the row names, and what the seeds measured where it holds that."""
    found = measured.of_trials(_tuple(row, "trials"), quantity.behind)
    if not isinstance(row.get("difference_by_seed"), tuple):
        return found
    by_seed = {"difference of differences": row["difference_by_seed"]}
    return Source(trials=found.trials, seeds=row["seeds"], by_seed=by_seed)


def _of_curves(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the trials of a cell and what each seed's curve measured."""
    found = measured.of_cell(str(row["cell"]), "")
    values = row.get(f"{quantity.behind}_by_seed")
    if not isinstance(values, tuple):
        return found
    return Source(trials=found.trials, seeds=row["seeds"], by_seed={quantity.behind: values})


def _tuple(row: Row, name: str) -> tuple[Any, ...]:
    value = row.get(name)
    return value if isinstance(value, tuple) else ()


DESIGN_FRAMES: Final = (
    FrameSpec(name="marginals", subject=marginal_subject, quantities=_means, source=_own_trials),
    FrameSpec(name="interaction_means", subject=pair_subject, quantities=_means, source=_own_trials),
    FrameSpec(
        name="interactions",
        subject=interaction_subject,
        quantities=_interactions,
        source=_own_trials,
    ),
    FrameSpec(
        name="anova",
        subject=lambda analysis, row: str(row["source"]),
        quantities=_anova,
        source=_own_trials,
    ),
    FrameSpec(
        name="dynamics",
        subject=lambda analysis, row: str(row["cell"]),
        quantities=_dynamics,
        source=_of_curves,
    ),
    FrameSpec(
        name="curves",
        subject=curve_subject,
        quantities=_curves,
        source=_of_curves,
        rows=_one_a_curve,
        in_text=False,
    ),
)


# How the numbers of searches and tunings are traced: replicated proposals, shares, tuned against untuned.


def importance_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['metric']}: {row['knob']}"


def replicated_subject(analysis: Analysis, row: Row) -> str:
    return f"proposal {int(row['number'])} with other seeds"


def untuned_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['cell']}: tuned - as designed"


def _importance(analysis: Analysis) -> list[Quantity]:
    formula = (
        "Variance of the knob's curve over the space, divided by that of all curves, of products of two "
        "knobs and of the residuals; additive model of the ranks of the objective."
    )
    seen = "1 − squared errors of ranks / those about their mean, over ten parts predicted by the other nine."
    number = "Proposals that ended with a value, diverged ones last."
    return [
        Quantity(name="share", words="share of variance", formula=formula, show=show_share),
        Quantity(name="r2", words="R² out of sample", formula=seen, show=show_share),
        Quantity(name="n", words="proposals", formula=number, show=show_count),
    ]


def _replicated(analysis: Analysis) -> list[Quantity]:
    outcome, objective = analysis.experiment.outcome, analysis.experiment.baseline.objective.metric
    chosen = f"{objective} of the proposal's own trial: the best of the search, and so flattering."
    return [
        Quantity(name="n", words="other seeds", formula="Seeds that did not choose it.", show=show_count),
        Quantity(name="value", words=f"{objective} as chosen", formula=chosen, show=show_of(objective)),
        Quantity(
            name="val_mean",
            words=f"{objective} with other seeds",
            formula=f"Mean over the other seeds of {objective} at their selected epochs.",
            show=show_of(objective),
        ),
        Quantity(
            name="mean",
            words=f"mean {outcome}",
            formula=f"Mean over the other seeds of {outcome}.",
            show=show_of(outcome),
        ),
        interval(
            "95 % interval of the mean",
            "Mean ± t(0.975, n − 1) · sd / √n over the other seeds.",
            show_of(outcome),
        ),
        Quantity(
            name="sd",
            words="standard deviation",
            formula=f"sd over the other seeds of {outcome}.",
            show=show_of(outcome),
        ),
    ]


def _untuned(analysis: Analysis) -> list[Quantity]:
    outcome, objective = analysis.experiment.outcome, analysis.experiment.baseline.objective.metric
    return [
        Quantity(
            name="default",
            words=f"mean {outcome} as designed",
            formula=f"Mean over seeds of {outcome} at the settings of the file.",
            show=show_of(outcome),
        ),
        Quantity(
            name="tuned",
            words=f"mean {outcome} tuned",
            formula=f"Mean over seeds of {outcome} of the winner's replicates.",
            show=show_of(outcome),
        ),
        Quantity(
            name="difference",
            words="difference",
            formula="Mean over seeds of tuned minus as designed, paired by seed.",
            show=show_of(outcome, is_difference=True),
        ),
        interval(
            "95 % interval",
            "Difference ± t(0.975, n − 1) · sd / √n over the seeds that have both.",
            show_of(outcome),
        ),
        *(
            Quantity(
                name=f"val_{name}",
                words=f"{objective} of the {name}",
                formula=f"{objective} of the tuning trial with these settings; mean over repeats with both.",
                show=show_of(objective),
                behind="tuning",
            )
            for name in ("default", "winner")
        ),
    ]


def _proposals_of(measured: Measured, row: Row, quantity: Quantity) -> Source:
    """Return the trials that the model was fitted to."""
    analysis = measured.analysis
    frame = analysis.search if analysis.experiment.search is not None else analysis.tuning_trials
    if frame is None or frame.empty:
        return Source()
    used = frame[frame["state"].isin([state.value for state in State if state.is_outcome])]
    return Source(trials=tuple(str(trial) for trial in used["trial"]))


def _other_seeds(measured: Measured, row: Row, quantity: Quantity) -> Source:
    if quantity.name == "value":
        return Source(trials=(str(row["trial"]),))
    outcome = measured.analysis.experiment.outcome
    return Source(trials=row["trials"], seeds=row["seeds"], by_seed={outcome: row["by_seed"]})


def _both(measured: Measured, row: Row, quantity: Quantity) -> Source:
    if quantity.behind == "tuning":
        trials = measured.analysis.tuning_trials
        own = trials[trials["cell"] == row["cell"]] if trials is not None else None
        return Source(trials=() if own is None else tuple(str(trial) for trial in own["trial"]))
    by_seed = {
        "tuned": row["level_by_seed"],
        "as designed": row["baseline_by_seed"],
        "difference": row["difference_by_seed"],
    }
    return Source(trials=row["trials"], seeds=row["seeds"], by_seed=by_seed if row["seeds"] else {})


SEARCH_FRAMES: Final = (
    FrameSpec(name="replicated", subject=replicated_subject, quantities=_replicated, source=_other_seeds),
    FrameSpec(name="importance", subject=importance_subject, quantities=_importance, source=_proposals_of),
    FrameSpec(name="untuned", subject=untuned_subject, quantities=_untuned, source=_both),
)


# How the numbers of each frame of an analysis are traced: a new frame is one more `FrameSpec`.
#
# Those of crossings and curves are in `trace_designs.py`.


_SHOWS: Final = {
    Print.SIGNIFICANT: show_significant,
    Print.COUNT: show_count,
    Print.MAGNITUDE: show_magnitude,
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
    metric = find_quantity(outcome)
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
        name: _SHOWS[QUANTITIES[name].median] if name in QUANTITIES else show_as_is for name in CELL_MEDIANS
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
        for name, states in LOST.items()
    ]


def _cell_source(measured: Measured, row: Row, quantity: Quantity) -> Source:
    if quantity.behind in LOST:
        return measured.of_cell(row["cell"], "", LOST[quantity.behind])
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
    *SEARCH_FRAMES,
    *DESIGN_FRAMES,
    METRICS_FRAME,
)
"""In the order of `numbers.json`."""
