"""Searches whose truth is known: records as a sweep leaves them, without training anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segbench.config.expand import apply_parameters, search_space
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.config.trial import identity
from segbench.records import EpochRecord, SearchPlace, State, TrialRecord
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.stats.pareto import pareto_front, spread_out
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.results import read_results
from segbench.store.trials import ImageValue

FILE = """\
question: Which learning rate, weight decay and optimiser give the best validation Dice?
baseline:
  dataset: {shapes: {size_px: 32}}
  model: {unet: {width: 8, depth: 2}}
  norm: batch
  optimizer: {adamw: {lr: 1e-3}}
  batch_size: 4
  epochs: 6
search:
  space:
    lr: {path: optimizer.lr, low: 1e-5, high: 1e-1, log: true}
    weight_decay: {path: optimizer.weight_decay, low: 1e-6, high: 1e-1, log: true}
    width: {path: model.width, low: 4, high: 16}
    norm: [batch, none, dyt]
  sampler: {random: {seed: 0}}
  pruner: median
  trials: 40
seeds: 4
margin: 0.005
"""
GOALS = FILE.replace("  pruner: median\n", "  goals: [val_dice, parameters]\n  replicate: 3\n")

Truth = Callable[[Mapping[str, Any]], float]


def lr_matters(parameters: Mapping[str, Any]) -> float:
    """Return a Dice that peaks at a learning rate of 3e-3, is lower without norm, and minds nothing else."""
    away = np.log10(float(parameters["lr"]) / 3e-3)
    return float(0.9 - 0.08 * away**2 - 0.05 * (parameters.get("norm") == "none"))


def made_search(
    root: Path,
    text: str = FILE,
    *,
    truth: Truth = lr_matters,
    noise: float = 0.004,
    seed: int = 0,
    name: str = "lr_search",
    num: int | None = None,
    has_replicates: bool = True,
) -> Experiment:
    """Leave the records of a finished search: random proposals, some pruned and diverged, and replicates."""
    file = root / "experiments" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    experiment = load_experiment(file)
    search = experiment.search
    assert search is not None
    random = np.random.default_rng(seed)
    proposals = []
    for number in range(num or search.num_trials):
        parameters = {p.name: _drawn(p, random) for p in search.parameters}
        value = float(np.clip(truth(parameters) + noise * random.standard_normal(), 0.0, 1.0))
        state = State.COMPLETE
        if float(parameters.get("lr", 0)) > 5e-2:
            state = State.DIVERGED
        elif search.pruner != "none" and number > 8 and value < 0.72:
            state = State.PRUNED
        proposals.append((number, parameters, value, state))
        write(experiment, parameters, experiment.seeds[0], value, state, {"number": number})
    if has_replicates:
        done = [p for p in proposals if p[3] is State.COMPLETE]
        points = [[p[2], _size(p[1]) if search.goals else 0.0] for p in done]
        front = pareto_front(points, ["maximize", "minimize"])
        for row in spread_out(front, search.num_replicated):
            parameters = done[row][1]
            found = _hash(experiment, parameters, experiment.seeds[0])
            for other in experiment.seeds[1:]:
                value = truth(parameters) + noise * random.standard_normal()
                role = {"replicate_of": found}
                write(experiment, parameters, other, float(value), State.COMPLETE, role)
    return experiment


def write(
    experiment: Experiment,
    parameters: Mapping[str, Any],
    seed: int,
    value: float,
    state: State,
    role: Mapping[str, Any],
) -> str:
    """Leave one record as a sweep would."""
    assert experiment.search is not None
    config = apply_parameters(experiment, parameters).config
    found = identity(config, seed=seed, fold=0, data_fingerprint="d" * 64)
    is_complete = state is State.COMPLETE
    epochs = experiment.baseline.epochs if is_complete else 2
    folder = ExperimentFolder(experiment.project.results / experiment.name).trial(found)
    test = {"dice": value - 0.01, "dice_last": value - 0.012}
    trials.write_trial(
        folder,
        TrialRecord(
            hash=found[:12],
            identity=found,
            experiment=experiment.name,
            levels={name: str(v) for name, v in parameters.items()},
            config=config.to_json(),
            config_hash=f"{int(found[:8], 16):064x}",
            seed=seed,
            fold=0,
            data_fingerprint="d" * 64,
            state=state,
            epochs_done=epochs,
            selected_epoch=epochs if is_complete else None,
            objective=value if is_complete else None,
            parameters=_size(parameters),
            reason=None if is_complete else f"{state.value} in epoch 2",
            test=test if is_complete else {},
            device="cpu",
            device_name="a CPU",
            search=SearchPlace.from_json(
                {**role, "parameters": dict(parameters), "space": search_space(experiment.search)}
            ),
        ),
    )
    curve = value * (1 - np.exp(-np.arange(1, epochs + 1)))
    rows = [
        EpochRecord(
            epoch=k + 1,
            lr=1e-3,
            train_loss=0.5,
            train_dice=0.5,
            val={"loss": 0.5, "dice": value if k + 1 == epochs and is_complete else float(curve[k])},
            epoch_time_s=1.0,
            images_per_s=10.0,
            peak_memory_mib=100.0,
        )
        for k in range(epochs)
    ]
    trials.rewrite_epochs(folder, rows)
    if is_complete:
        images = [
            ImageValue(f"i{k}", "", "test", "foreground", "dice", value - 0.01 + (k - 1.5) / 100)
            for k in range(4)
        ]
        trials.write_images(folder, images)
    return found[:12]


def report(experiment: Experiment) -> Analysis:
    """Analyse what lies in its folder."""
    results = read_results(experiment.project.results / experiment.name)
    return analyse(experiment, results, project=experiment.project)


def _size(parameters: Mapping[str, Any]) -> int:
    return 100 * int(parameters.get("width", 8)) ** 2


def _hash(experiment: Experiment, parameters: Mapping[str, Any], seed: int) -> str:
    config = apply_parameters(experiment, parameters).config
    return identity(config, seed=seed, fold=0, data_fingerprint="d" * 64)[:12]


def _drawn(parameter: Any, random: np.random.Generator) -> Any:
    if parameter.levels:
        return parameter.levels[int(random.integers(len(parameter.levels)))].label
    if parameter.is_integer:
        return int(random.integers(int(parameter.low), int(parameter.high) + 1))
    if parameter.log:
        # Another processor's exponential differs in the last digit, and with it the trial's hash.
        return float(f"{np.exp(random.uniform(np.log(parameter.low), np.log(parameter.high))):.9g}")
    return float(random.uniform(parameter.low, parameter.high))
