"""What proposes the configurations of a search, and says which trials to prune."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from segbench.config.experiment import Search
from segbench.records import DECIMALS, State
from segbench.sweep.study.convert import STATES, freeze, is_number, to_distribution
from segbench.sweep.study.records import Proposal, search_space


class SearchStudy:
    """Proposes configurations of a search space and says which trials to prune.

    The sampler of proposal k draws from hash(sampler seed, k) and the proposals told before it, so a search
    that was killed and started again goes on with the proposals that it would have made.

    Args:
        name: The experiment's name; Hyperband assigns brackets by it.
        search: The space, sampler and pruner.
        direction: `maximize` or `minimize`.
        epochs: Epochs of a whole trial.
        proposals: What was proposed before, by number; numbers may have gaps.
    """

    def __init__(
        self, name: str, search: Search, *, direction: str, epochs: int, proposals: Sequence[Proposal] = ()
    ) -> None:
        self._search = search
        self._distributions = {name: to_distribution(d) for name, d in search_space(search).items()}
        self._storage = InMemoryStorage()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            pruner = _pruner(search, epochs)
        self._study = optuna.create_study(
            storage=self._storage, study_name=name, direction=direction, pruner=pruner
        )
        self._trials: dict[int, Trial] = {}
        for proposal in sorted(proposals, key=lambda p: p.number):
            while len(self._trials) < proposal.number:
                self._add(freeze(TrialState.FAIL))  # its record is gone; later ones keep their numbers
            self._add(self._replayed(proposal))

    @property
    def num_proposals(self) -> int:
        """How many configurations were proposed, gaps included."""
        return len(self._trials)

    def ask(self) -> Proposal:
        """Propose the next configuration."""
        number = self.num_proposals
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = _sampler(self._search, number)
        trial = self._study.ask(self._distributions)
        self._trials[number] = trial
        return Proposal(number=number, parameters=dict(trial.params))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the objective after an epoch and return whether the trial should stop."""
        trial = self._trials[number]
        if self._is_finished(number):
            return False
        if epoch not in self._storage.get_trial(trial._trial_id).intermediate_values:
            trial.report(_rounded(value), epoch)
        return self._search.pruner != "none" and bool(trial.should_prune())

    def tell(self, number: int, state: State, objective: float | None) -> None:
        """Take a trial's end; a second telling changes nothing."""
        if self._is_finished(number):
            return
        told = STATES[state]
        if told is TrialState.COMPLETE and not is_number(objective):
            told = TrialState.FAIL
        values = [_rounded(objective)] if told is TrialState.COMPLETE else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a pruned trial without a value is no surprise
            self._study.tell(self._trials[number], values, told)

    def _is_finished(self, number: int) -> bool:
        return self._storage.get_trial(self._trials[number]._trial_id).state.is_finished()

    def _add(self, trial: FrozenTrial) -> None:
        trial_id = self._storage.create_new_trial(self._study._study_id, trial)
        self._trials[len(self._trials)] = Trial(self._study, trial_id)

    def _replayed(self, proposal: Proposal) -> FrozenTrial:
        state = STATES[proposal.state]
        if state is TrialState.WAITING:
            state = TrialState.RUNNING  # a WAITING trial would be handed out by the next `ask`
        if state is TrialState.COMPLETE and not is_number(proposal.objective):
            state = TrialState.FAIL
        return freeze(
            state,
            value=_rounded(proposal.objective) if state is TrialState.COMPLETE else None,
            params=proposal.parameters,
            distributions=self._distributions,
            intermediate={e: _rounded(v) for e, v in proposal.intermediate.items()},
        )


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    digest = hashlib.sha256(f"{search.sampler_seed}/{number}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(search: Search, epochs: int) -> optuna.pruners.BasePruner:
    if search.pruner == "median":
        first = search.pruner_warmup_epochs + 1  # epochs count from 1, Optuna's steps from 0
        return optuna.pruners.MedianPruner(n_warmup_steps=first)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=max(1, min(search.pruner_warmup_epochs, epochs)), max_resource=epochs
        )
    return optuna.pruners.NopPruner()


def _rounded(value: float | None) -> float:
    """Round as records do, so that a search told from files equals one told live."""
    return float(f"{value:.{DECIMALS}g}")
