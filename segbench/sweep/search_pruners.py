"""Optuna's pruners, made such that a search goes on with the comparisons that it had."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PercentilePruner

from segbench.config.experiment import Search


class Hyperband(HyperbandPruner):
    """Hyperband whose brackets go by a proposal's own number, and whose rungs can be put back.

    Args:
        num_known: Trials that stand before the first proposal in the study.
    """

    def __init__(self, *, num_known: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._num_known = num_known

    def _get_bracket_id(self, study: optuna.Study, trial: Any) -> int:
        return super()._get_bracket_id(study, SimpleNamespace(number=trial.number - self._num_known))  # type: ignore[arg-type]

    def rungs(
        self, study: optuna.Study, trial_number: int, intermediate: Mapping[int, float]
    ) -> dict[str, float]:
        """Return the values that a trial was compared by, as Optuna keeps them in it: one a rung reached."""
        if not self._pruners:
            self._try_initialization(study)
        bracket = self._get_bracket_id(study, SimpleNamespace(number=trial_number))
        found: dict[str, float] = {}
        epoch = self._min_resource * self._reduction_factor**bracket
        while epoch in intermediate:
            found[f"completed_rung_{len(found)}"] = intermediate[epoch]
            epoch *= self._reduction_factor
        return found


def make_pruner(search: Search, *, epochs: int, num_known: int) -> BasePruner:
    """Return the pruner of a search.

    Args:
        search: Pruner and settings.
        epochs: Epochs of a whole trial.
        num_known: Proposals of other searches in the study; they have no values by epoch.
    """
    settings = dict(search.pruner_settings)
    if search.pruner in ("median", "percentile"):
        settings["n_startup_trials"] = settings.get("n_startup_trials", 5) + num_known
        settings["n_warmup_steps"] = search.pruner_warmup_epochs + 1  # epochs count from 1, steps from 0
        if search.pruner == "median":
            return MedianPruner(**settings)
        return PercentilePruner(settings.pop("percentile", 25.0), **settings)
    if search.pruner == "hyperband":
        least = max(1, min(search.pruner_warmup_epochs, epochs))
        return Hyperband(min_resource=least, max_resource=epochs, num_known=num_known, **settings)
    return NopPruner()
