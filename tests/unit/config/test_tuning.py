"""`tune:`: what it reads, and what it refuses before any work starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from messages import said

from segbench.config.expand import search_space, tuned_cell
from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError

FILE = """\
question: q
baseline: {dataset: {shapes: {size_px: 32}}, model: {unet: {width: 4}}, optimizer: adam}
axes: {optimizer: [adam, sgd]}
seeds: 2
"""
LR = "lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}"


def tune(space: str, more: str = "trials: 3") -> str:
    return f"tune: {{space: {{{space}}}, {more}}}\n"


Load = Callable[..., Experiment]


def test_defaults_and_settings(load: Load) -> None:
    found = load(FILE + tune(LR)).tune
    assert found is not None
    assert (found.seed, found.repeats, found.search.num_trials) == (1000, 1, 3)
    assert (found.search.sampler, found.search.pruner) == ("tpe", "none")
    found = load(FILE + tune(LR, "trials: 5, sampler: random, pruner: median, seed: 7, repeats: 2")).tune
    assert found is not None
    assert (found.seed, found.repeats, found.search.num_trials) == (7, 2, 5)
    assert (found.search.sampler, found.search.pruner) == ("random", "median")


def test_no_cell_s_configuration_changes_by_being_tuned(load: Load) -> None:
    plain, tuned = load(FILE), load(FILE + tune(LR))
    assert [c.config_hash for c in plain.cells] == [c.config_hash for c in tuned.cells]


def test_when_leaves_a_parameter_out(load: Load) -> None:
    text = tune(LR + ", m: {path: optimizer.momentum, low: 0.0, high: 0.9, when: {optimizer: sgd}}")
    experiment = load(FILE + text)
    assert experiment.tune is not None
    spaces = {c.label: list(search_space(experiment.tune.search_of(c))) for c in experiment.cells}
    assert spaces == {"adam": ["lr"], "sgd": ["lr", "m"]}
    sgd = experiment.cells[1]
    tuned = tuned_cell(experiment.tune, sgd, {"lr": 0.01, "m": 0.5}, where="e")
    assert (tuned.config.optimizer.knobs["lr"], tuned.config.optimizer.knobs["momentum"]) == (0.01, 0.5)
    assert tuned.levels == sgd.levels
    with pytest.raises(ExperimentError, match=r"e: tune: adam is tuned over other parameters, got 'lr, m'\."):
        tuned_cell(experiment.tune, experiment.cells[0], {"lr": 0.01, "m": 0.5}, where="e")


def test_lists_of_levels_and_scales(load: Load) -> None:
    scale = "scales: {small: {tune: {space: {batch_size: [4, 8]}, trials: 2}}}\n"
    experiment = load(FILE + tune("batch_size: [4, 8, 16]") + scale, scale="small")
    assert experiment.tune is not None
    (parameter,) = experiment.tune.search.parameters
    assert [level.label for level in parameter.levels] == ["4", "8"]


def test_a_smoke_test_tunes_twice_and_once(load: Load) -> None:
    experiment = load(FILE + tune(LR, "trials: 12, repeats: 2"), smoke=True)
    assert experiment.tune is not None
    assert (experiment.tune.search.num_trials, experiment.tune.repeats) == (2, 1)
    assert experiment.document["tune"]["trials"] == 2


def test_the_recorded_document_reads_back(load: Load) -> None:
    from segbench.config.document import dump

    experiment = load(FILE + tune(LR))
    again = load(dump(experiment.document))
    assert again.tune == experiment.tune


REFUSED = {
    "trials are missing": (tune(LR, "seed: 5"), "5:7: the key `trials` is missing."),
    "unknown key": (tune(LR, "trials: 3, warm_start: [x]"), "there is no such key, got 'warm_start'."),
    "an axis's field": (
        tune("o: {path: optimizer, levels: [adam, sgd]}"),
        "the axis optimizer sets optimizer too; one may set it, got 'o'.",
    ),
    "an axis's name": (
        tune("optimizer: {path: optimizer.lr, low: 1e-4, high: 1e-1}"),
        "an axis has this name too; a parameter needs one of its own, got 'optimizer'.",
    ),
    "shared seed": (
        tune(LR, "trials: 3, seed: 1"),
        "tuning trials have the seed 1, and `seeds` must not have it, got '1'. "
        "Give another `seed:` to `tune:`.",
    ),
    "shared seeds of repeats": (
        tune(LR, "trials: 3, seed: 0, repeats: 2"),
        "tuning trials have the seeds 0 to 1, and `seeds` must have none of them, got '0, 1'. "
        "Give another `seed:` to `tune:`.",
    ),
    "a knob that one cell lacks": (
        tune("m: {path: optimizer.momentum, low: 0.0, high: 0.9}"),
        "segbench list optimizer adam. In the cell adam; `when:` leaves a parameter out of cells.",
    ),
    "a knob that nobody has": (
        tune("m: {path: model.lr, low: 0.0, high: 0.9}"),
        "the model unet has no such knob, got 'lr'.",
    ),
    "no parameter left": (
        tune("m: {path: optimizer.momentum, low: 0.0, high: 0.9, when: {optimizer: sgd}}"),
        "no parameter is left for the cell adam. Exclude these cells, or give them a parameter.",
    ),
    "when of no axis": (
        tune("lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, when: {optimiser: sgd}}"),
        "there is no such axis, got 'optimiser'. Did you mean 'optimizer'?",
    ),
    "when of no level": (
        tune("lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, when: {optimizer: [adam, sdg]}}"),
        "optimizer has no level of this label, got 'sdg'. Did you mean 'sgd'?",
    ),
    "bounds": (tune("lr: {path: optimizer.lr, low: 1, high: 1}"), "high must be greater than low, got 1."),
    "looks": (tune(LR, "trials: 0"), "trials must be greater than 0, got 0."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(load: Load, name: str) -> None:
    text, expected = REFUSED[name]
    with pytest.raises(ExperimentError) as error:
        load(FILE + text)
    assert any(expected in said(problem) for problem in error.value.problems), error.value.problems


def test_all_mistakes_at_once(load: Load) -> None:
    text = tune(LR + ", m: {path: optimizer.momentum, low: 0.0, high: 0.9}", "trials: 3, seed: 0")
    with pytest.raises(ExperimentError) as error:
        load(FILE + text)
    assert len(error.value.problems) == 2


def test_search_and_folds_and_overrides_are_refused(load: Load) -> None:
    search = "search: {space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-1}}, trials: 3}\n"
    with pytest.raises(ExperimentError, match="`tune` and `search` exclude each other"):
        load(FILE.replace("axes: {optimizer: [adam, sgd]}\n", "") + search + tune(LR))
    with pytest.raises(ExperimentError, match="`tune` and a split of several folds exclude each other"):
        load(FILE.replace("optimizer: adam}", "optimizer: adam, split: {folds: 3}}") + tune(LR))
    with pytest.raises(ExperimentError, match="the parameter lr is tuned, so `--set` must not set it"):
        load(FILE + tune(LR), overrides=["optimizer.lr=0.1"])


def test_cells_that_differ_in_what_is_tuned_alone_are_refused(load: Load) -> None:
    text = FILE.replace(
        "[adam, sgd]", "{levels: {slow: {adam: {lr: 1e-4}}, fast: {adam: {lr: 1e-2}}}, baseline: slow}"
    )
    with pytest.raises(ExperimentError, match="slow and fast differ in nothing but what is tuned"):
        load(text + tune(LR))
