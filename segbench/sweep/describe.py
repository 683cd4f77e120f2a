"""What a report must know of the test images to divide them into sub-groups."""

from __future__ import annotations

from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError, message
from segbench.samples import FACTS
from segbench.store.layout import ExperimentFolder
from segbench.store.samples import read_samples, write_samples


def describe_test_images(experiment: Experiment, folder: ExperimentFolder, *, is_new: bool) -> None:
    """Write `samples.csv` where the experiment asks for sub-groups.

    The images are those of the baseline's data set, measured at its size, in the test part of any fold.

    Args:
        experiment: What was trained.
        folder: Its results.
        is_new: Whether trials are to be run; else a file that has what is asked for is left alone.

    Raises:
        ExperimentError: The data set knows no attribute of a name under `subgroups:`.
    """
    if not experiment.subgroups:
        return
    known = None if is_new else read_samples(folder)
    if known is not None and set(experiment.subgroups) <= set(known):
        return
    from segbench.data import prepare
    from segbench.data.facts import facts_of

    config, rows = experiment.baseline, []
    for fold in range(experiment.num_folds):
        data = prepare(config, experiment.project, fold=fold)
        rows += list(facts_of(data, [int(number) for number in data.split["test"]]))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    missing = [name for name in experiment.subgroups if name not in columns]
    if missing:
        places = [message("subgroups", _RULE, got=name, known=_divisions(columns)) for name in missing]
        raise ExperimentError(places)
    write_samples(folder, rows)


_RULE = "the data set says nothing of this name about its images"


def _divisions(columns: list[str]) -> list[str]:
    return [*(name for name in columns if name not in ("image", *FACTS)), *FACTS]
