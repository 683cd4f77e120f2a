"""Guards that need the plan alone, and the two questions that a sweep asks before it starts. No torch.

The plan tells the design, the number of seeds, and what lies on disk. `check_plan` asks its guards;
`check_work` asks those that need data or networks, and remembers what they find.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from segbench import registry
from segbench.config.experiment import Axis, Cell
from segbench.config.pairing import Pairing
from segbench.config.trial import TrialConfig, canonical_json
from segbench.errors import message
from segbench.guards.data import Arms, DataSubject, cells_of, has_work, place
from segbench.guards.finding import (
    Finding,
    Severity,
    ask,
    codes,
    guard,
    keep,
    recall,
    remembered,
    sorted_findings,
)
from segbench.plan.plan import Plan, PlanEntry
from segbench.plan.power import Spread, family, is_judged, seed_spread, sources
from segbench.records import State
from segbench.trial import devices
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.stats.questions import Question


@guard("SB130", Severity.WARNING, asks="plan")
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


@guard("SB115", Severity.ERROR, asks="plan")
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


@guard("SB115", Severity.WARNING, asks="plan")
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


@guard("SB118", Severity.NOTE, asks="plan")
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


@guard("SB120", Severity.ERROR, asks="plan")
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


def facts_of_seeds(plan: Plan) -> list[Any]:
    """Return everything that decides what the guards of this module find, as plain JSON types."""
    experiment = plan.experiment
    metric = experiment.outcome.removeprefix("test_")
    return [
        [experiment.name, experiment.outcome, experiment.margin, experiment.expected_seed_sd],
        [list(experiment.seeds), list(experiment.looks)],
        [[axis.name, axis.baseline, list(axis.labels)] for axis in experiment.axes],
        [dict(cell.levels) for cell in experiment.cells],
        [asdict(claim) for claim in experiment.claims],
        [
            [
                name,
                [[dict(levels), r.seed, r.fold, str(r.state), r.test.get(metric)] for levels, r in records],
            ]
            for name, records in sources(plan)
        ],
    ]


@guard("SB116", Severity.WARNING, asks="seeds")
def seeds_resolve_the_margin(plan: Plan) -> Iterator[str]:
    """There are seeds enough to tell differences of the margin, as far as records say how seeds differ."""
    experiment = plan.experiment
    if not is_judged(experiment):
        return
    num_seeds = len(experiment.seeds)
    asked, alpha = family(experiment)
    if num_seeds == 1:
        yield message(
            f"{experiment.name}: seeds",
            f"one seed gives no interval and no verdict on {counted(len(asked), 'comparison')}",
            got=1,
            see="Take `seeds: 3` or more",
        )
    if not experiment.margin:
        return
    known = seed_spread(plan)
    if known is None:
        return
    low, high = _needed(known, experiment.margin, asked, alpha)
    if np.isnan(low):
        return
    spread = f"per-seed differences in {experiment.outcome} have {known.text}"
    if num_seeds < low:
        yield message(
            f"{experiment.name}: seeds",
            f"{counted(len(asked), 'comparison')} at a margin of {experiment.margin:g} "
            f"need{'s' * (len(asked) == 1)} {_range(low, high)} seeds: {spread}",
            got=num_seeds,
            see="Take more seeds, fewer claims or a wider margin, or expect `unresolved`",
        )


@guard("SB116", Severity.NOTE, asks="seeds")
def seeds_suffice_for_some_spread(plan: Plan) -> Iterator[str]:
    """Before any record tells how seeds differ, one knows for which spread the seeds given would do."""
    experiment = plan.experiment
    if not is_judged(experiment) or not experiment.margin or len(experiment.seeds) < 2:
        return
    from segbench.stats.power import POWER, seeds_needed, smallest_difference

    if seed_spread(plan) is not None:
        return
    asked, alpha = family(experiment)
    if not any(question.op != "==" and question.on == "test_set" for question in asked):
        return  # a difference as large as the margin is not what a claim of equality is tested for
    num_seeds = len(experiment.seeds)
    enough = experiment.margin / smallest_difference(1.0, num_seeds, alpha=alpha)
    needed = seeds_needed(experiment.margin, experiment.margin, alpha=alpha)
    yield (
        f"{experiment.name}: seeds: with {num_seeds} seeds a difference as large as the margin "
        f"({experiment.margin:g}) is found with {100 * POWER:.0f} % power where the sd of per-seed "
        f"differences is {enough:.2g} or less; an sd as large as the margin takes {needed:.0f} seeds. "
        "The sd is known after a first sweep, also of a smaller scale."
    )


def _needed(known: Spread, margin: float, asked: Sequence[Question], alpha: float) -> tuple[float, float]:
    """Return the seeds for the tests that will be made, as a range; NaN where none is on this test set.

    A difference as large as the margin is to be shown, or arms that do not differ are to be shown equivalent
    where equality is claimed: whichever takes more seeds.
    """
    from segbench.stats.power import over_assurance, seeds_for_equivalence, seeds_needed

    is_equality = [question.op == "==" for question in asked if question.on == "test_set"]
    if not is_equality:
        return float("nan"), float("nan")
    alpha_equivalence = alpha * len(asked) / max(1, sum(is_equality))

    def seeds(sd: float) -> float:
        by_difference = 0.0 if all(is_equality) else seeds_needed(sd, margin, alpha=alpha)
        equal = seeds_for_equivalence(sd, 0.0, margin, alpha=alpha_equivalence) if any(is_equality) else 0.0
        return max(by_difference, equal)

    if known.num_seeds is None:
        return (seeds(known.sd),) * 2
    return over_assurance(seeds, known.sd, known.num_seeds)


def _range(low: float, high: float) -> str:
    if np.isinf(low):
        return "more than 10,000"
    return (
        f"{low:.0f}" if low == high else f"{low:.0f} to {'over 10,000' if np.isinf(high) else f'{high:.0f}'}"
    )


BYTES_PER_PARAMETER: Final = 16
"""float32 weights in best.pt, and weights with Adam's two moments in last.pt."""

BYTES_PER_AVERAGED_PARAMETER: Final = 4
"""The running average beside the weights in last.pt, where a trial keeps one."""

BYTES_PER_TRIAL: Final = 4 * 2**20
"""Everything else a trial leaves: masks, panels, tables, log."""

PARAMETERS_UNKNOWN: Final = 32_000_000
"""What a network is taken for before its first trial: about the standard U-Net."""


def estimate_bytes(
    plan: Plan, entries: Iterable[PlanEntry], *, and_configs: Iterable[TrialConfig] = ()
) -> tuple[int, bool]:
    """Return about how much the trials will leave on disk, and whether every network's size is on record."""
    sizes = {
        _network(record.config): record.parameters
        for record in (*(e.record for e in plan.entries), *plan.tried, *plan.orphans)
        if record is not None and record.parameters is not None
    }
    total, is_known = 0, True
    networks: dict[tuple[int, int], str] = {}
    for config in (*(entry.trial.cell.config for entry in entries), *and_configs):
        key = id(config.model), id(config.norm)
        if key not in networks:
            networks[key] = _network({"model": config.model.to_json(), "norm": config.norm.to_json()})
        parameters = sizes.get(networks[key])
        is_known &= parameters is not None
        each = BYTES_PER_PARAMETER + (0 if config.ema is None else BYTES_PER_AVERAGED_PARAMETER)
        total += (parameters or PARAMETERS_UNKNOWN) * each + BYTES_PER_TRIAL
    return total, is_known


@guard("SB001", Severity.ERROR, asks="plan")
def fits_on_the_disk(plan: Plan) -> Iterator[str]:
    """What the trials will leave fits on the disk, their networks' sizes being on record."""
    yield from _disk_space(plan, is_known=True)


@guard("SB004", Severity.WARNING, asks="plan")
def may_fit_on_the_disk(plan: Plan) -> Iterator[str]:
    """What the trials will leave fits on the disk, networks that never ran taken for large ones."""
    yield from _disk_space(plan, is_known=False)


@guard("SB002", Severity.ERROR, asks="plan")
def folders_are_usable(plan: Plan) -> Iterator[str]:
    """The folder of a trial holds that trial, or nothing."""
    for entry in plan.entries:
        if entry.problem is not None:
            yield f"{entry.problem} Move the folder away; the trial is then run anew."


@guard("SB003", Severity.WARNING, asks="plan")
def data_are_unchanged(plan: Plan) -> Iterator[str]:
    """The data and their split are those of the trials that were run before."""
    planned = {(e.trial.cell.config_hash, e.trial.seed, e.trial.fold): e.trial for e in plan.entries}
    superseded = 0
    for record in plan.orphans:
        trial = planned.get((record.config_hash, record.seed, record.fold))
        superseded += trial is not None and trial.data_fingerprint != record.data_fingerprint
    if superseded:
        yield message(
            str(plan.folder.root),
            f"the data or their split have changed since {superseded} trials of this design were run",
            see="These are run anew; the old records stay and are not reported",
        )


def _disk_space(plan: Plan, *, is_known: bool) -> Iterator[str]:
    unplanned = [t.cell.config for t in plan.tunings for _ in range(t.num_unplanned)]
    if not plan.to_run and not unplanned:
        return
    free = shutil.disk_usage(_existing(plan.folder.root)).free
    needed, is_on_record = estimate_bytes(plan, plan.to_run, and_configs=unplanned)
    if needed <= free or is_on_record is not is_known:
        return
    trials = f"{plan.num_to_run} trials leave about {needed / 2**30:.1f} GiB"
    basis = "" if is_known else f", taking networks that never ran for {PARAMETERS_UNKNOWN:,} parameters"
    yield message(
        str(plan.folder.root),
        f"{trials}{basis}, but {free / 2**30:.1f} GiB are free",
        see="Make room, or take a part at a time with --only or --seeds",
    )


def _network(config: Mapping[str, Any]) -> str:
    return canonical_json({key: config.get(key) for key in ("model", "norm")})


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.is_dir())


# Guards about the machine that plans, which is as a rule the one that runs. No torch.


_HAVE_BF16: Final = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Flags of processors that multiply bf16 (x86: AVX-512 BF16, AMX; Arm: BF16)."""


@guard("SB005", Severity.WARNING, asks="plan")
def computes_in_bf16(plan: Plan) -> Iterator[str]:
    """Where trials are to run in bf16, the machine has a GPU or a processor that multiplies bf16."""
    cells = {e.trial.cell.label for e in plan.entries if e.trial.cell.config.precision == "bf16"}
    if not cells or processor_has_bf16() is not False or devices.visible_gpus():
        return
    rule = "this processor has no bf16 and only emulates it, slower than fp32"
    see = "Use `precision: fp32` here, or run on a GPU; both decide the trials' numbers"
    yield message(f"{plan.experiment.name}: precision", rule, got=_named(cells), see=see)


def processor_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Return whether the processor multiplies bf16; None where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return True if platform.machine() == "arm64" and platform.system() == "Darwin" else None
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return bool(_HAVE_BF16 & set(flags.split()))
    return None


def _named(cells: set[str], most: int = 3) -> str:
    names = sorted(cells)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Return what a plan alone tells about a sweep before it starts; errors first.

    Image sizes, folds and levels are checked when the file is read, the data set when the trials are planned.
    """
    return sorted_findings([*ask("plan", plan), *_check_seeds(plan)])


def _check_seeds(plan: Plan) -> tuple[Finding, ...]:
    """Ask once for the same records: the answer needs pandas and scipy."""
    return remembered(
        plan.experiment.project,
        ["seeds", facts_of_seeds(plan)],
        lambda: ask("seeds", plan),
    )


# Guards that look at the data and at the networks: only where something will be trained, and once.


OnProgress = Callable[[int, int], None]
"""Told (guards asked, guards in all) while networks are built."""


def check_work(plan: Plan, *, on_progress: OnProgress | None = None) -> tuple[Finding, ...]:
    """Return what the data and the networks tell about a sweep before it starts; errors first.

    Nothing is looked at where nothing is left to train, and nothing twice: findings are remembered until the
    design, the data, a variant or a guard changes. No pixel is decoded: guards read the cache where there is
    one, and say so where there is none.

    Raises:
        DataError: The data set is missing, or cannot be split as asked.
    """
    if not has_work(plan):
        return ()
    arms = Arms.of(plan)
    facts = arms.facts()
    project = plan.experiment.project
    findings = [
        *remembered(project, ["arms", facts], lambda: ask("arms", arms)),
        *_check_data(arms, facts),
        *_check_levels(arms, facts, on_progress),
    ]
    return sorted_findings(dict.fromkeys(findings))


def num_guards(plan: Plan) -> int:
    """Return how many guards `check_plan` and `check_work` put to a plan."""
    return len(codes() if has_work(plan) else codes("plan", "seeds"))


def _check_data(arms: Arms, facts: str) -> Iterator[Finding]:
    project = arms.experiment.project
    for key, cells in arms.by_data.items():
        known = recall(project, ["data", key, facts])
        if known is None:
            seen = DataSubject.of(arms.experiment, cells)
            known = ask("data", seen)
            if seen.pixels is not None:
                keep(project, ["data", key, facts], known)
        yield from known


def _check_levels(arms: Arms, facts: str, on_progress: OnProgress | None) -> tuple[Finding, ...]:
    project = arms.experiment.project
    known = recall(project, ["levels", facts])
    if known is None:
        # Not at the top: a plan whose levels were looked at needs no torch.
        from segbench.guards.levels import check_levels

        known = check_levels(arms.experiment, arms.cells, on_progress=on_progress)
        if all(finding.code != "SB124" for finding in known):  # what cannot be built now may be tomorrow
            keep(project, ["levels", facts], known)
    return known
