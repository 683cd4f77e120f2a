"""A trial trained for two epochs on 32 px shapes, saved as a sweep saves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from blobs import tiny_config

from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig, config_hash, identity
from segbench.data import prepare
from segbench.engine import Run
from segbench.records import State, TrialRecord
from segbench.store.layout import ResultsFolder, TrialFolder
from segbench.store.trials import append_epoch, write_trial
from segbench.store.weights import save_run

CONFIG = tiny_config(
    dataset=Choice.of("dataset", "shapes", size_px=32, num_train=6, num_val=3, num_test=4),
    split=Choice.of("split", "course"),
    epochs=2,
)


def _save_trial(root: Path, config: TrialConfig, *, experiment: str = "tiny", seed: int = 0) -> TrialFolder:
    project = Project(root)
    data = prepare(config, project)
    run = Run(config, data, seed=seed, threads=1)
    full = identity(config, seed=seed, fold=0, data_fingerprint=data.fingerprint)
    folder = ResultsFolder(project.results).experiment(experiment).trial(full)
    folder.path.mkdir(parents=True)
    for record in run:
        save_run(folder, run)
        append_epoch(folder, record)
    selected, last = (run.evaluate("test", which).means() for which in ("selected", "last"))
    test = {
        **{name: value for name, value in selected.items() if name != "loss"},
        **{f"{name}_last": value for name, value in last.items() if name != "loss"},
    }
    write_trial(
        folder,
        TrialRecord(
            hash=full[:12],
            identity=full,
            experiment=experiment,
            levels={},
            config=config.to_json(),
            config_hash=config_hash(config),
            seed=seed,
            fold=0,
            data_fingerprint=data.fingerprint,
            state=State.COMPLETE,
            epochs_done=2,
            selected_epoch=run.selected_epoch,
            test=test,
            threads=1,
        ),
    )
    return folder


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> TrialFolder:
    root = tmp_path_factory.mktemp("project")
    (root / "experiments").mkdir()
    return _save_trial(root, CONFIG)


@pytest.fixture(scope="session")
def save_trial() -> Callable[..., TrialFolder]:
    """Train (root, config, *, experiment, seed) and save it there as a sweep does."""
    return _save_trial
