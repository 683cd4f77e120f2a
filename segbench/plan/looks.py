"""Which seeds are asked for now: those of the present look. No torch, no pandas."""

from __future__ import annotations

from segbench.config.experiment import Experiment
from segbench.store.history import judged_looks, reached_look, read_history
from segbench.store.layout import ExperimentFolder


def present(experiment: Experiment, folder: ExperimentFolder) -> Experiment:
    """Return the experiment with the seeds that are asked for now.

    A look that was judged with something unresolved is followed by the next one. What was judged under
    another design, other claims or another margin is judged anew, at the look that was reached: fewer seeds
    than were seen are never asked for.

    Raises:
        ResultsError: `history.csv` is damaged.
    """
    if not experiment.looks:
        return experiment
    rows = read_history(folder)
    judged, reached = judged_looks(rows, experiment), reached_look(rows, experiment)
    for look in experiment.looks:
        if look >= reached and not judged.get(look):
            return experiment.first_seeds(look)
    return experiment


def look_words(experiment: Experiment, now: Experiment) -> str:
    """Say which seeds are asked for now: `look 1 of 3: the first 3 of at most 10 seeds`; empty without looks.

    Args:
        experiment: The whole design.
        now: With the seeds that are asked for now, as `present` gives it.
    """
    if not experiment.looks:
        return ""
    number = experiment.looks.index(len(now.seeds)) + 1
    return (
        f"look {number} of {len(experiment.looks)}: the first {len(now.seeds)} of at most "
        f"{len(experiment.seeds)} seeds"
    )
