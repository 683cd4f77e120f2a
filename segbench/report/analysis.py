"""The content of one report: its frames and its sentences, worked out once and drawn by every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segbench.stats.verdict import alpha_at_a_look

if TYPE_CHECKING:
    import pandas as pd

    from segbench.config.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The content of one report; renderers add no number of their own.

    A frame is an attribute too: `analysis.effects` is `analysis.frames["effects"]`. The topics say what
    stands in each. Cells are named by `cell`, the text of `Cell.label`; frames about cells also have one
    column per axis, so a renderer can group and colour by level.
    """

    experiment: Experiment
    answer: str
    """One paragraph that answers the question from the verdicts."""
    head: Mapping[str, str]
    """Term -> text, in order: flawed on purpose, outcome, seeds, look, after results, trials, data set,
    test images, margin, resolution, family, device, commit, test set read by. A term without text is left
    out."""
    frames: Mapping[str, pd.DataFrame]
    """Every frame of the topics by name, empty if this report has nothing for it, and `measured`, what they
    are made from: one row per trial of the design: `trial` (None: no record), `cell`, `seed`, `fold`, `state`
    and one column per measurement (`test_dice`, `instability`, ...)."""
    best_design: str = ""
    """Searches: the file of a design of the best configuration and the baseline; empty: none."""
    notes: tuple[str, ...]
    """Caveats to print: what the intervals hold fixed, what the curves' estimators are, disagreements."""
    provenance: Mapping[str, str]
    """Term -> text: hash of the content read, versions, hardware, time span of the trials, command."""
    is_partial: bool = False
    """Whether trials, proposals or replicates are missing, so that nothing was judged."""
    traced: dict[tuple[str, int], Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Frame and digits -> its numbers with their trials, worked out once for pages, terminal and files."""

    def __getattr__(self, name: str) -> pd.DataFrame:
        frames: Mapping[str, pd.DataFrame] = self.__dict__.get("frames", {})
        if name not in frames:
            raise AttributeError(f"a report has no frame {name!r}")
        return frames[name]

    @property
    def level(self) -> float:
        """Coverage of the family's intervals: 95 %, more where the error is shared among looks."""
        return 1 - alpha_at_a_look(len(self.experiment.looks))
