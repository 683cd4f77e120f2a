"""How the numbers of crossings and of curves are traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from segbench.report.analysis import Analysis
from segbench.report.numbers import Numbers, epochs
from segbench.report.trace import FrameSpec, Measured, Quantity, Row, Source, interval
from segbench.report.trace_show import (
    show_count,
    show_epochs_interval,
    show_of,
    show_p,
    show_share,
    show_significant,
)

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
    rows = []
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


FRAMES: Final = (
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
