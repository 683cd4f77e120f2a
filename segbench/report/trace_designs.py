"""How the numbers of crossings and of curves are traced: marginal means, interactions, dynamics."""

from __future__ import annotations

from typing import Any, Final

from segbench.report.analysis import Analysis
from segbench.report.numbers import Numbers, count, significant
from segbench.report.trace import FrameSpec, Measured, Quantity, Row, Source


def marginal_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['axis']}: {row['level']}"


def pair_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['axis_a']}: {row['level_a']}, {row['axis_b']}: {row['level_b']}"


def interaction_subject(analysis: Analysis, row: Row) -> str:
    first = f"{row['axis_a']}: {row['level_a']} - {row['baseline_a']}"
    return f"{first} by {row['axis_b']}: {row['level_b']} - {row['baseline_b']}"


def _value(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.value(values[0])


def _difference(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.difference(values[0])


def _interval(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.interval(*values)


def _count(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return count(values[0])


def _significant(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return significant(values[0])


def _means(analysis: Analysis) -> list[Quantity]:
    outcome = analysis.experiment.outcome
    over = f"Mean over seeds of {outcome}; of a seed the mean over its cells with the level"
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."
    return [
        Quantity(name="n", words="seeds", formula="Seeds measured in every such cell.", show=_count),
        Quantity(name="mean", words=f"mean {outcome}", formula=f"{over}.", show=_value, behind=outcome),
        Quantity(name="sd", words="sd", formula="sd over seeds of that mean.", show=_value, behind=outcome),
        Quantity(
            name="interval",
            columns=("low", "high"),
            words="95 % interval",
            formula=t,
            show=_interval,
            behind=outcome,
        ),
    ]


def _interactions(analysis: Analysis) -> list[Quantity]:
    twice = "Mean over seeds of the difference of differences, paired by seed."
    t = "Difference ± t(0.975, n − 1) · sd / √n over seeds."
    outcome = analysis.experiment.outcome
    return [
        Quantity(name="n", words="seeds", formula="Seeds measured in all four arms.", show=_count),
        Quantity(
            name="difference", words="difference of differences", formula=twice, show=_difference,
            behind=outcome,
        ),
        Quantity(
            name="interval", columns=("low", "high"), words="95 % interval", formula=t, show=_interval,
            behind=outcome,
        ),
    ]  # fmt: skip


def _dynamics(analysis: Analysis) -> list[Quantity]:
    objective = analysis.experiment.baseline.objective.metric
    told = {
        "reached": (f"Seeds whose {objective} reached the level.", _count),
        "epochs_to_level": (
            f"Mean over seeds of the first epoch with {objective} at the level.",
            _significant,
        ),
        "area": (f"Mean over seeds of the area under {objective}, over the epochs.", _significant),
        "instability": ("Mean over seeds of the sd over the last epochs.", _significant),
        "turned_up": ("Seeds whose val_loss turned up.", _count),
        "onset": ("Mean over seeds of the epoch at which val_loss turned up.", _significant),
    }
    return [
        Quantity(name=name, words=name, formula=formula, show=show) for name, (formula, show) in told.items()
    ]


def _with_levels(*pairs: tuple[str, str]) -> Any:
    """Return a source: the complete trials whose cell has the row's levels."""

    def source(measured: Measured, row: Row, quantity: Quantity) -> Source:
        wanted = {str(row[axis]): [str(row[c]) for c in levels.split()] for axis, levels in pairs}
        return measured.with_levels(wanted, quantity.behind)

    return source


def _of_cell(measured: Measured, row: Row, quantity: Quantity) -> Source:
    return measured.of_cell(str(row["cell"]), quantity.behind)


FRAMES: Final = (
    FrameSpec(
        name="marginals",
        subject=marginal_subject,
        quantities=_means,
        source=_with_levels(("axis", "level")),
    ),
    FrameSpec(
        name="interaction_means",
        subject=pair_subject,
        quantities=_means,
        source=_with_levels(("axis_a", "level_a"), ("axis_b", "level_b")),
    ),
    FrameSpec(
        name="interactions",
        subject=interaction_subject,
        quantities=_interactions,
        source=_with_levels(("axis_a", "level_a baseline_a"), ("axis_b", "level_b baseline_b")),
    ),
    FrameSpec(
        name="dynamics",
        subject=lambda analysis, row: str(row["cell"]),
        quantities=_dynamics,
        source=_of_cell,
    ),
)
