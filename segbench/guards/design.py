"""The guard of a tuned design: every cell has the same chance. No torch, no data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from segbench import registry
from segbench.config.experiment import Axis, Cell
from segbench.config.pairing import Pairing
from segbench.config.trial import TrialConfig
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.guards.subjects import cells_of, place
from segbench.plan.plan import Plan
from segbench.records import State


@guard("SB130", Severity.WARNING)
def budgets_are_equal(plan: Plan) -> Iterator[str]:
    """Every cell has had as many tuning trials that ended without failure as every other."""
    over = [tuning for tuning in plan.tunings if tuning.is_over]
    usable = {id(tuning): tuning.num_ended - tuning.count(State.FAILED) for tuning in over}
    most = max(usable.values(), default=0)
    short = [tuning for tuning in over if usable[id(tuning)] < most]
    if not short:
        return
    name = plan.experiment.name
    repeats = {tuning.repeat for tuning in over}
    counts = "; ".join(
        f"{t.cell.label}{f' (repeat {t.repeat})' if len(repeats) > 1 else ''} {usable[id(t)]}" for t in short
    )
    yield message(
        f"{name}: tune",
        f"tuning trials that failed leave cells a smaller budget than the {most} trials of others: {counts}",
        see=f"Each log.txt says why; `segbench sweep {name} --retry failed` runs them again",
    )


# Guards that need the design alone: cells, levels, variants. No torch, no data.


@guard("SB115", Severity.ERROR)
def axes_vary_apart(plan: Plan) -> Iterator[str]:
    """No axis changes only and always together with another one."""
    experiment = plan.experiment
    zipped = [frozenset(pair) for group in experiment.design.zipped for pair in combinations(group, 2)]
    for one, other in _confounded(experiment.cells, experiment.axes):
        if frozenset((one.name, other.name)) in zipped:
            continue  # as the file asks
        pairs = _met(experiment.cells, one, other)
        together = ", ".join(f"{a} with {b}" for a, b in pairs)
        yield message(
            f"{experiment.name}: {one.name} and {other.name}",
            f"the axes change only together ({together}): no cell tells the effect of one from the other's",
            see="Add cells in which one changes alone, or write them as one axis whose levels set both",
        )


@guard("SB115", Severity.WARNING)
def levels_are_compared_alone(plan: Plan) -> Iterator[str]:
    """Every level is met by its baseline level in two cells that are alike in all other axes."""
    experiment = plan.experiment
    pairing = Pairing.of(experiment)
    if pairing.is_fraction:
        return  # its cells are balanced, not paired
    confounded = {axis.name for pair in _confounded(experiment.cells, experiment.axes) for axis in pair}
    for axis in experiment.axes:
        if axis.name in confounded or pairing.group(axis.name)[0] != axis.name:
            continue
        others = _others(experiment.cells, axis, pairing)
        alike = others.get(axis.baseline, set())
        for label in axis.labels:
            if label == axis.baseline or label not in others or alike & others[label]:
                continue
            is_estimable = _is_estimable(experiment.cells, experiment.axes, axis, label)
            yield message(
                f"{experiment.name}: {axis.name}",
                f"no two cells differ in {axis.name} alone, {label} against {axis.baseline}"
                + (
                    ": the report compares cells that are alike otherwise, and has no such pair"
                    if is_estimable
                    else f": its effect cannot be told from that of {_beside(experiment.cells, axis, label)}"
                ),
                see=f"Add a cell with {axis.name}: {label} and all else as in a cell with {axis.baseline}",
            )


@guard("SB118", Severity.NOTE)
def curves_have_one_estimator(plan: Plan) -> Iterator[str]:
    """Training and validation curves are measured alike: in one mode, on images treated alike."""
    cells = cells_of(plan)
    causes = dict.fromkeys(cause for cell in cells for cause in _training_only(cell.config))
    concerned = [cell for cell in cells if _training_only(cell.config)]
    if causes:
        yield message(
            place(plan.experiment, "curves", concerned, of=cells),
            f"train_dice is a running mean while weights change, here with {', '.join(causes)}; val_dice is "
            "measured after the epoch in evaluation mode, on unchanged images",
            see="Their gap alone is no sign of over-fitting: compare val_dice; the report labels both",
        )


@guard("SB120", Severity.ERROR)
def consents_to_flaws(plan: Plan) -> Iterator[str]:
    """A variant that makes a known mistake on purpose runs only under `allow_flawed: true`."""
    experiment = plan.experiment
    if experiment.allow_flawed:
        return
    configs = [cell.config for cell in experiment.cells] or [cell.config for cell in cells_of(plan)]
    chosen = dict.fromkeys((axis, choice.name) for config in configs for axis, choice in config.choices())
    for axis, name in chosen:
        flaw = registry.find(axis, name).flawed
        if flaw is not None:
            yield message(
                f"{experiment.name}: {axis}",
                f"the variant is flawed on purpose: {flaw}",
                got=name,
                see="Write `allow_flawed: true` into the file to measure what the mistake costs",
            )


def _confounded(cells: Sequence[Cell], axes: Sequence[Axis]) -> Iterator[tuple[Axis, Axis]]:
    """Yield the pairs of axes of which each level occurs with one level of the other."""
    for number, one in enumerate(axes):
        for other in axes[number + 1 :]:
            pairs = _met(cells, one, other)
            sizes = {len({pair[side] for pair in pairs}) for side in (0, 1)}
            if sizes == {len(pairs)} and len(pairs) > 1:
                yield one, other


def _met(cells: Sequence[Cell], one: Axis, other: Axis) -> dict[tuple[str, str], None]:
    """Return the labels of two axes that meet in cells that have both."""
    pairs = ((cell.levels.get(one.name), cell.levels.get(other.name)) for cell in cells)
    return dict.fromkeys((a, b) for a, b in pairs if a is not None and b is not None)


def _others(cells: Sequence[Cell], axis: Axis, pairing: Pairing) -> dict[str, set[tuple[str, ...]]]:
    """Return, for each level of an axis, the levels of the others in the cells that have it."""
    others = pairing.others(axis.name)
    found: dict[str, set[tuple[str, ...]]] = {}
    for cell in cells:
        if axis.name in cell.levels:
            found.setdefault(cell.levels[axis.name], set()).add(pairing.setting(cell.levels, others))
    return found


def _is_estimable(cells: Sequence[Cell], axes: Sequence[Axis], axis: Axis, label: str) -> bool:
    """Whether main effects alone determine the contrast: it lies in the row space of their design matrix.

    Reference: Searle (1971), Linear Models, section 5.4.
    """
    columns = [(a.name, level) for a in axes for level in a.labels]
    rows = [[1.0, *(float(cell.levels.get(name) == level) for name, level in columns)] for cell in cells]
    contrast = [
        0.0,
        *(float(c == (axis.name, label)) - float(c == (axis.name, axis.baseline)) for c in columns),
    ]
    return bool(np.linalg.matrix_rank(np.array(rows)) == np.linalg.matrix_rank(np.array([*rows, contrast])))


def _beside(cells: Sequence[Cell], axis: Axis, label: str) -> str:
    """Name what sets the cells of a level apart from those of the baseline level."""
    at_level = [cell.levels for cell in cells if cell.levels.get(axis.name) == label]
    at_baseline = [cell.levels for cell in cells if cell.levels.get(axis.name) == axis.baseline]
    names = [
        name
        for name in at_level[0]
        if name != axis.name and not {c.get(name) for c in at_level} & {c.get(name) for c in at_baseline}
    ]
    return " and ".join(names) or "the other axes"


def _training_only(config: TrialConfig) -> list[str]:
    """Return what happens to a network or its images in training and not in evaluation."""
    causes = []
    if config.augment.name != "none":
        causes.append("augmentation")
    if config.mix.name != "none":
        causes.append(config.mix.name)
    if config.model.knobs.get("dropout"):
        causes.append(f"dropout {config.model.knobs['dropout']}")
    if config.ema is not None:
        causes.append("weights that ema has not averaged")
    return causes
