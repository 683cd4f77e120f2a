"""How the numbers of searches and tunings are traced: replicated proposals, shares, tuned against untuned."""

from __future__ import annotations

from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.trace import FrameSpec, Measured, Quantity, Row, Source, interval
from segbench.report.trace_show import show_count, show_of, show_share


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
    used = frame[frame["state"].isin(["complete", "diverged"])]
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


FRAMES: Final = (
    FrameSpec(name="replicated", subject=replicated_subject, quantities=_replicated, source=_other_seeds),
    FrameSpec(name="importance", subject=importance_subject, quantities=_importance, source=_proposals_of),
    FrameSpec(name="untuned", subject=untuned_subject, quantities=_untuned, source=_both),
)
