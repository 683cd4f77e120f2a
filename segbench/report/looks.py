"""What a planned look says of the family: all that a sweep needs to know of its results, nothing drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segbench.config.experiment import Experiment
from segbench.config.pairing import Pairing
from segbench.report.analyse import trials_table
from segbench.report.family import Estimator, Member, build_family
from segbench.stats.metrics import read_metric
from segbench.stats.subgroups import Subgroups
from segbench.stats.verdict import UNRESOLVED, verdict
from segbench.store.layout import ResultsFolder
from segbench.store.match import match_trials
from segbench.store.results import read_results


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look says of the family."""

    num_seeds: int
    alpha: float
    """What it spends."""
    resolved: Mapping[str, str]
    """Contrast -> `better`, `worse`, `equivalent` or, of a ratio, `within` or `outside` its bounds."""
    unresolved: tuple[str, ...]

    @property
    def is_resolved(self) -> bool:
        """Whether no further look is needed."""
        return not self.unresolved


def judge_look(experiment: Experiment, num_seeds: int) -> Look:
    """Judge the family at the first seeds, from the records, with the report's own statistics.

    Args:
        experiment: One with looks, all trials of whose first seeds have ended.
        num_seeds: One of its looks.

    Raises:
        ResultsError: There are no records.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    seen = experiment.first_seeds(num_seeds)
    results = read_results(folder.root)
    table = trials_table(seen, match_trials(results, seen), results.epochs)
    subgroups = Subgroups.of(results.samples, seen.subgroups)
    estimator = Estimator(table, Pairing.of(seen), results.images, subgroups)
    family = build_family(seen, estimator)
    words = {_name(member): _word(member, experiment.margin) for member in family.members}
    return Look(
        num_seeds=num_seeds,
        alpha=family.alpha,
        resolved={name: word for name, word in words.items() if word},
        unresolved=tuple(name for name, word in words.items() if not word),
    )


def _word(member: Member, margin: float | None) -> str:
    """Return the verdict on a member in a word; empty where it is open."""
    hypothesis, judgement = member.hypothesis, member.judgement
    if member.is_ratio:
        return "outside" if judgement.is_different else "within" if judgement.is_equivalent else ""
    metric = read_metric(hypothesis.effect.contrast.metric)
    assert metric is not None
    margin = margin if hypothesis.within is not None else None
    word = verdict(hypothesis, judgement, is_lower_better=metric.is_lower_better, margin=margin)
    return "" if word == UNRESOLVED else word


def _name(member: Member) -> str:
    contrast = member.hypothesis.effect.contrast
    at = f" at {contrast.at_text}" if contrast.at_text else ""
    between = "/" if member.is_ratio else "against"
    on = " on new images" if member.hypothesis.on == "new_images" else ""
    return f"{contrast.axis}: {contrast.level} {between} {contrast.baseline}{at} in {contrast.metric}{on}"
