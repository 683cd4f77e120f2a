"""Everything a report says, as frames: computed once, drawn by every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from segbench.quantities import QUANTITIES, Kind, names_of
from segbench.records import State
from segbench.stats.verdict import alpha_at_a_look

if TYPE_CHECKING:
    import pandas as pd

    from segbench.config.experiment import Experiment

MISSING: Final = tuple(state.value for state in State if not state.has_ended)
"""States that another `sweep` would go on from; a failed trial is an outcome to report."""

LOST: Final[Mapping[str, tuple[str, ...]]] = {
    "diverged": tuple(s.value for s in State if s.has_ended_short and s.is_outcome),
    "failed": tuple(
        s.value
        for s in sorted(State, key=lambda state: -state.urgency)
        if s.has_ended_short and not s.is_outcome
    ),
    "missing": MISSING,
}
"""Columns of a cell that count its trials without a value -> the states that count there."""


CELL_MEDIANS: Final = (
    "selected_epoch",
    *(name for name in names_of(Kind.COST, Kind.DETERMINISTIC) if QUANTITIES[name].heading),
    *names_of(Kind.INSTABILITY),
)
"""Columns of `Analysis.cells` that are medians over the trials of a cell."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The content of one report; renderers add no number of their own.

    Cells are named by `cell`, the text of `Cell.label`; frames about cells also have a column an axis, so a
    renderer can group and colour by level.
    """

    experiment: Experiment
    answer: str
    """One paragraph that answers the question from the verdicts."""
    head: Mapping[str, str]
    """Term -> text, in order: flawed on purpose, outcome, seeds, look, after results, trials, data set,
    test images, margin, resolution, family, device, commit, test set read by. A term without text is left
    out."""
    cells: pd.DataFrame
    """A row a cell: `cell`, a column an axis, `n` (completed seeds), `mean`, `sd`, `low`, `high` (95 %
    t-interval of the outcome), `mean_last` (outcome at the last epoch's weights), `val_mean` (objective at
    the selected epoch), `diverged`, `failed`, `missing`, the medians `CELL_MEDIANS`, `front` (the costs for
    which no other cell has as good a mean for as little, joined by spaces)."""
    seeds: pd.DataFrame
    """A row a completed trial: `trial`, `cell`, a column an axis, `seed`, `fold`, `value` (outcome),
    `value_last`."""
    effects: pd.DataFrame
    """A row a contrast (level minus baseline): `axis`, `level`, `baseline`, `at` (text; empty: marginal),
    `metric`, `on` (`test_set`, `new_images`: the interval that judges), `n`, `difference`, `low`, `high`
    (this test set; at `level` for the family, 95 % for the rest), `low_new`,
    `high_new` (new images; NaN where there are no images), `p`, `p_holm`, `p_equivalence`,
    `p_equivalence_holm`, `verdict` (`better`, `worse`, `negligibly better`, `negligibly worse`,
    `equivalent`, `unresolved`; empty: not judged), `seeds_needed_low`, `seeds_needed_high` (may be
    infinite), `forecast` (words: these seeds, those for the margin, or why none),
    `difference_last`, `low_last`, `high_last`, `depends_on_selection` (bool),
    `is_family` (bool: judged; else exploratory, without verdict), `is_lower_better` (bool),
    `p_sign_flip` (exact, of a judged
    difference over 6 to 40 seeds; uncorrected), `hedges_g`, `aliases` (text: of a fraction, what it
    cannot be told from), `trials` (tuple of hashes), `note`, then the columns of `evidence.EVIDENCE`: what
    each seed measured. `difference` is NaN where no seed completed in both arms."""
    claims: pd.DataFrame
    """A row a claim: `claim` (as written), `verdict` (`supported`, `contradicted`, `unresolved`, `not
    judged`), `evidence` (one sentence with numbers), and as far as it was compared `level`, `baseline`, `at`,
    `metric`, `on`, `is_ratio`, `n`, `difference` (of a ratio: of logarithms), `low`, `high`, `p`,
    `p_holm`, `p_equivalence`, `p_equivalence_holm`, `trials` and the columns of `evidence.EVIDENCE`."""
    subgroups: pd.DataFrame
    """A row a sub-group of the test images and contrast on the outcome: `division`, `label`, `num_images`,
    `axis`, `level`, `baseline`, `n`, `level_mean`, `baseline_mean`, `difference`, `low`, `high` (this test
    set), `low_new`, `high_new`, `trials` and the columns of `evidence.EVIDENCE`; exploratory.
    Empty unless the experiment asks for sub-groups."""
    curves: pd.DataFrame
    """A row a cell, metric and epoch: `cell`, a column an axis, `epoch`, `metric` (`train_loss`,
    `train_dice`, `val_loss`, `val_dice`, then other `val_*`), `n`, `mean`, `low`, `high` (t-interval over
    seeds; NaN for one seed)."""
    failures: pd.DataFrame
    """A row a trial that did not complete: `trial`, `cell`, `seed`, `fold`, `state`, `failure`, `reason`."""
    left_out: pd.DataFrame
    """Records that are no part of the report: `folder`, `reason` (unreadable, no longer in the design)."""
    search: pd.DataFrame
    """Search experiments: a row a proposal: `trial`, `number`, a column a parameter, `state`, `value`,
    `last_epoch` and `last_value` (of those that did not complete), with goals or constraints a column each,
    `is_feasible`, `is_best` (on the Pareto front); else empty."""
    importance: pd.DataFrame | None = None
    """Searches and tuned designs: a row a metric and knob: `metric`, `kind` (`knob`, `pairs`: two knobs
    together, `rest`: not explained), `knob`, `share` (of the variance of ranks), `low`, `high` (over fits
    that leave a tenth out), `best` (value at which its own curve is best), `r2` (out of sample), `n`; empty
    where there are too few proposals; else None."""
    replicated: pd.DataFrame | None = None
    """Searches: a row a proposal that was trained with other seeds: `number`, `trial`, `n` (seeds), `value`
    (the objective that chose it), `val_mean` (the objective with the other seeds), `mean` (of the outcome),
    `sd`, `low`, `high` (95 %, over seeds), `seeds`, `by_seed`, `trials`; else None."""
    best_design: str = ""
    """Searches: the file of a design of the best configuration and the baseline; empty: none."""
    tuning: pd.DataFrame | None = None
    """Tuned designs: a row a cell and repeat: `cell`, a column an axis, `repeat`, `ended` (tuning trials),
    `diverged`, `failed`, `trial` (the winner; empty: none), `value` (its objective), a column a parameter;
    else None."""
    tuning_trials: pd.DataFrame | None = None
    """Tuned designs: a row a tuning trial: `cell`, a column an axis, `repeat`, `number`, `trial`, `state`,
    `value` (objective; NaN unless complete), `is_winner`, a column a parameter; else None."""
    untuned: pd.DataFrame | None = None
    """Tuned designs: a row a cell at its settings as designed against its winners: `cell`, a column an axis,
    `n_default`, `default`, `n_tuned`, `tuned` (means of the outcome over seeds), `n` (seeds in both),
    `difference`, `low`, `high` (95 %, paired by seed), `val_default`, `val_winner` (objectives of tuning
    trials, mean over the repeats that tried both), `source` (experiments that hold the records), `missing`
    (text), `trials` and the columns of `evidence.EVIDENCE`; exploratory; else None."""
    measured: pd.DataFrame | None = None
    """What the numbers above are made from: a row a trial of the design: `trial` (None: no record), `cell`,
    `seed`, `fold`, `state` and a column each thing that was measured (`test_dice`, `instability`, ...)."""
    metrics: pd.DataFrame | None = None
    """One row per cell and test metric that was recorded beside the outcome: `cell`, a column per axis,
    `metric` (`test_iou`), `n` (seeds), `mean` (at the selected weights), `sd`, `low`, `high` (95 %
    t-interval over seeds); None for a search."""
    sensitivity: pd.DataFrame | None = None
    """Judged effects on the outcome with the residual error pooled over cells: `axis`, `level`, `baseline`,
    `at`, `metric`, `n`, `difference`, `low`, `high`, `df` (its own error), `low_pooled`, `high_pooled`,
    `df_pooled`, `says_otherwise` (bool: one interval alone excludes 0), `trials`, `trials_pooled` and the
    columns of `evidence.EVIDENCE`; never the verdict. None where no error can be pooled."""
    marginals: pd.DataFrame | None = None
    """Complete crossings of two axes or more: a row a level, over the cells that have it: `axis`,
    `level`, `n` (seeds measured in every cell), `mean` (of the outcome), `sd`, `low`, `high` (95 %, over
    seeds), `trials` (hashes, as in the three below); else None."""
    interaction_means: pd.DataFrame | None = None
    """The same for every pair of levels of two axes: `axis_a`, `level_a`, `axis_b`, `level_b`, `n`,
    `mean`, `sd`, `low`, `high`, `trials`."""
    interactions: pd.DataFrame | None = None
    """How much an effect changes with another axis: `axis_a`, `level_a`, `baseline_a`, `axis_b`, `level_b`,
    `baseline_b`, `n`, `difference` (of differences), `sd`, `low`, `high` (95 %, over seeds), `seeds`,
    `difference_by_seed`, `trials`; exploratory."""
    anova: pd.DataFrame | None = None
    """Analysis of variance with the seed as a block: `source`, `axes` (tuple; empty: `seed`, `residual`,
    `total`), `df`, `ss`, `ms`, `f`, `p`, `eta_squared`, `omega_squared`, `trials`; exploratory.
    Empty for one seed."""
    dynamics: pd.DataFrame | None = None
    """A row a cell with completed trials: `cell`, a column an axis, `n` (seeds), `level` (95 % of the best
    cell's objective over its last epochs), `reached` (seeds), `epochs_to_level`, `area` (under the curve of
    the objective, over the epochs), `instability`, `turned_up` (seeds), `onset` (epoch at which val_loss
    turns up), each measure with `_low` and `_high` (95 %, over seeds) and `_by_seed` (one value each of
    `seeds`); None for a search."""
    notes: tuple[str, ...]
    """Caveats to print: what the intervals hold fixed, what the curves' estimators are, disagreements."""
    provenance: Mapping[str, str]
    """Term -> text: hash of the content read, versions, hardware, time span of the trials, command."""
    is_partial: bool = False
    """Whether trials, proposals or replicates are missing, so that nothing was judged."""
    traced: dict[tuple[str, int], Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Frame and digits -> its numbers with their trials, worked out once for pages, terminal and files."""

    @property
    def level(self) -> float:
        """Coverage of the family's intervals: 95 %, more where the error is shared among looks."""
        return 1 - alpha_at_a_look(len(self.experiment.looks))
