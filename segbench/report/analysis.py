"""Everything a report says, as frames: computed once, drawn by every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from segbench.config.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The content of one report; renderers add no number of their own.

    Cells are named by `cell`, the text of `Cell.label`; frames about cells also have a column a axis, so a renderer
    can group and colour by level.
    """

    experiment: Experiment
    answer: str
    """One paragraph that answers the question from the verdicts."""
    head: Mapping[str, str]
    """Term -> text, in order: outcome, seeds, trials, data set, test images, margin, resolution, device, commit."""
    cells: pd.DataFrame
    """A row a cell: `cell`, a column an axis, `n` (completed seeds), `mean`, `sd`, `low`, `high` (95 % t-interval of
    the outcome), `mean_last` (outcome at the last epoch's weights), `val_mean` (objective at the selected epoch),
    `selected_epoch` (median), `diverged`, `failed`, `missing`, `parameters`, `flops`, `epoch_time_s`,
    `images_per_s`, `peak_memory_mib` (medians)."""
    seeds: pd.DataFrame
    """A row a completed trial: `trial`, `cell`, a column an axis, `seed`, `fold`, `value` (outcome), `value_last`."""
    effects: pd.DataFrame
    """A row a contrast: `axis`, `level`, `baseline`, `at` (text; empty: marginal), `metric`, `n`, `difference`, `low`,
    `high` (this test set), `low_new`, `high_new` (new images; NaN where not asked or no images), `p`, `p_holm`,
    `p_equivalence_holm`, `verdict`, `seeds_needed_low`, `seeds_needed_high`, `difference_last`, `low_last`,
    `high_last`, `depends_on_selection` (bool), `is_family` (bool: judged; else exploratory, without verdict),
    `hedges_g`, `trials` (tuple of hashes), `note`."""
    claims: pd.DataFrame
    """A row a claim: `claim` (as written), `verdict` (`supported`, `contradicted`, `unresolved`, `not judged`),
    `evidence` (one sentence with numbers)."""
    curves: pd.DataFrame
    """A row a cell, epoch and metric: `cell`, a column an axis, `epoch`, `metric` (`train_loss`, `train_dice`,
    `val_loss`, `val_dice`), `n`, `mean`, `low`, `high` (t-interval over seeds; NaN for one seed)."""
    failures: pd.DataFrame
    """A row a trial that did not complete: `trial`, `cell`, `seed`, `fold`, `state`, `failure`, `reason`."""
    left_out: pd.DataFrame
    """Records that are no part of the report: `folder`, `reason` (unreadable, no longer in the design)."""
    search: pd.DataFrame
    """Search experiments: a row a proposal: `trial`, `number`, a column a parameter, `state`, `value`; else empty."""
    notes: tuple[str, ...]
    """Caveats to print: what the intervals hold fixed, what the curves' estimators are, disagreements."""
    provenance: Mapping[str, str]
    """Term -> text: hash of the content read, versions, hardware, time span of the trials, command."""
