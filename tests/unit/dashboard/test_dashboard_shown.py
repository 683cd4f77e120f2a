"""What the dashboard shows beside values, and what waits to be written."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna_dashboard import get_note
from PIL import Image
from sweep_fakes import SEARCH, FakeEngine, fake_data

from segbench.config.experiment import Experiment
from segbench.dashboard import mirror as mirrors
from segbench.dashboard.address import default_address
from segbench.dashboard.mirror import Change, Inbox, make_mirror
from segbench.dashboard.shown import Frame, ShownTrial, describe_config, read_answer, write_headline
from segbench.dashboard.storage import TrialPictures, artifact_id, close_storage, open_storage
from segbench.engine.passes import Evaluation
from segbench.records import SearchPlace, State
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.queue import QueuedTrial
from segbench.store.trials import read_trial
from segbench.trial.record import TILE_PX, Resources, choose, write_panels
from segbench.trial.run import run_trial


@pytest.fixture
def frame(experiment: Experiment, folder: ExperimentFolder) -> Frame:
    return Frame.of(experiment, folder)


@pytest.fixture
def train(experiment: Experiment, folder: ExperimentFolder, fake_engine: FakeEngine) -> Callable[..., object]:
    def train(trial: QueuedTrial, **options: object) -> object:
        return run_trial(trial, experiment.project, folder, Resources(device="cpu", threads=1), **options)

    return train


def test_a_trial_has_attributes_picture_and_live_values(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    train: Callable[..., object],
) -> None:
    mirror = make_mirror(experiment, folder, pytest.fail)
    mirror.start(queued, {})
    train(queued[0], on_event=mirror.handle)
    mirror.close()
    storage = open_storage(default_address(experiment.project.results))
    try:
        study = optuna.load_study(study_name="exp", storage=storage)
        trial = study.trials[0]
        (meta,) = optuna.artifacts.get_all_artifact_meta(trial, storage=storage)
        headline = get_note(study)
    finally:
        close_storage(storage)
    hash = queued[0].hash
    attributes = trial.user_attrs
    assert (attributes["cell"], attributes["seed"], attributes["state"]) == ("batch", 0, "complete")
    assert (attributes["selected_epoch"], attributes["test_dice"]) == ("2 of 4", 0.3)
    assert attributes["folder"] == f"results/exp/trials/{hash}"
    assert "model unet (width 4, depth 2, " in attributes["configuration"]
    assert (meta.artifact_id, meta.mimetype) == (artifact_id("exp", hash), "image/png")
    with TrialPictures(experiment.project.results).open_reader(meta.artifact_id) as file:
        assert file.read() == folder.trial(hash).panels.read_bytes()
    assert trial.intermediate_values == {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
    assert headline.startswith(
        "**Does it run?**\n\n2 cells, 2 seeds, 4 trials, 1 done: 3 waiting, 1 complete\n\n"
        "| cell | trials | mean test_dice |\n|---|---|---|\n| batch | 1 | 0.3 |"
    )


def test_a_failed_trial_says_why(
    frame: Frame, queued: list[QueuedTrial], train: Callable[..., object], fake_engine: FakeEngine
) -> None:
    fake_engine.raise_at = {2: RuntimeError("a | b\nmore")}
    train(queued[0])
    record = read_trial(frame.folder.trial(queued[0].hash))
    shown = frame.detail(frame.show(queued[0], record), record)
    assert shown.state is State.FAILED
    assert "a | b" in shown.attributes()["reason"]
    assert shown.picture is None
    assert shown.intermediate == {1: 0.1}


def test_the_headline_lists_the_best_first(frame: Frame) -> None:
    def ended(cell: str, seed: int, dice: float, state: State = State.COMPLETE) -> ShownTrial:
        return ShownTrial(
            hash=f"{cell}{seed}",
            label=cell,
            seed=seed,
            fold=0,
            state=state,
            parameters={},
            space={},
            objective=dice,
            test={"dice": dice},
        )

    trials = [ended("a", 0, 0.5), ended("a", 1, 0.7), ended("b", 0, 0.9), ended("b", 1, 0.1, State.DIVERGED)]
    shown = {trial.hash: trial for trial in trials}
    text = write_headline(frame, shown, answer="a is better.")
    assert "2 cells, 2 seeds, 4 trials, 4 done: 3 complete, 1 diverged" in text
    assert "The report says: a is better." in text
    assert text.index("| b | 1 | 0.9 |") < text.index("| a | 2 | 0.6 |")
    lower = replace(frame, outcome="test_hd95_px")
    assert "mean" not in write_headline(lower, shown)
    search = replace(frame, axes={}, metrics=("val_loss",), directions=("minimize",))
    text = write_headline(search, shown)
    assert text.index("| a | 0.5 |") < text.index("| a | 0.7 |") < text.index("| b | 0.9 |")
    assert "no trials yet" in write_headline(frame, {})


def test_many_cells_are_counted(frame: Frame) -> None:
    one = ShownTrial(hash="h", seed=0, fold=0, state=State.COMPLETE, parameters={}, space={})
    shown = {str(k): replace(one, label=f"cell {k}", test={"dice": k / 100}) for k in range(14)}
    text = write_headline(frame, shown)
    assert "| cell 13 | 1 | 0.13 |" in text
    assert "4 more cells." in text
    assert "cell 3 " not in text


def test_the_answer_is_the_reports_own(tmp_path: Path) -> None:
    report = Path(__file__).parents[3] / "reports" / "norm_ablation_small" / "report.md"
    answer = read_answer(report)
    assert answer is not None
    assert answer.startswith("This experiment measured the Dice coefficient")
    assert read_answer(tmp_path / "report.md") is None
    (tmp_path / "report.md").write_text("# exp\n\n**Does it run?**\n\nIt runs.\n\n- seeds: 2\n")
    assert read_answer(tmp_path / "report.md") == "It runs."


def test_a_search_shows_parameters_and_proposal(make_experiment: Callable[..., Experiment]) -> None:
    experiment = make_experiment(SEARCH, "hunt")
    frame = Frame.of(experiment, ExperimentFolder(experiment.project.results / "hunt"))
    space = {"lr": {"low": 1e-4, "high": 1e-1, "log": True, "step": None, "is_integer": False}}
    trial = QueuedTrial(
        identity="0" * 64,
        config={},
        config_hash="",
        levels={},
        seed=0,
        fold=0,
        data_fingerprint="",
        search=SearchPlace(number=3, parameters={"lr": 0.01}, space=space),
    )
    shown = frame.show(trial, None)
    assert (shown.parameters, shown.space, shown.number) == ({"lr": 0.01}, space, 3)
    assert shown.label == "lr 0.01"
    assert shown.attributes()["proposal"] == 3


def test_a_configuration_fits_a_line() -> None:
    config = {"model": {"unet": {"width": 4}}, "loss": {"bce": {}, "dice": {"weight": 2}}, "ema": None}
    assert describe_config({**config, "epochs": 3, "x": {"y": {"steps": [{"A": {"p": True}}]}}}) == (
        "model unet (width 4), loss bce + dice (weight 2), epochs 3, x y (steps [A (p true)])"
    )


@pytest.mark.parametrize("count", [1, 3, 4, 9, 1000])
def test_images_are_spread_over_the_sorted_names(count: int) -> None:
    names = [f"{k:04}" for k in range(count)]
    chosen = choose(names)
    assert len(chosen) == min(4, count)
    assert chosen == [k * count // len(chosen) for k in range(len(chosen))]
    backwards = choose(names[::-1])
    assert [names[::-1][k] for k in backwards] == [names[k] for k in chosen]


def test_panels_show_image_mask_and_prediction(folder: ExperimentFolder) -> None:
    data, trial = fake_data(), folder.trial("0" * 12)
    trial.path.mkdir(parents=True)
    data.images[1] = 200
    masks = np.ones((3, 4, 4), bool)
    masks[1] = False
    evaluation = Evaluation(sample_numbers=np.arange(3), metrics={}, loss=0.0, masks=masks)
    write_panels(data, evaluation, trial)
    picture = np.asarray(Image.open(trial.panels))
    assert picture.shape == (3 * (TILE_PX + 4) - 4, 3 * (TILE_PX + 4) - 4, 3)
    middle = TILE_PX + 4 + TILE_PX // 2
    assert [picture[middle, TILE_PX // 2 + k * (TILE_PX + 4)].tolist() for k in range(3)] == [
        [200, 200, 200],
        [255, 255, 255],
        [0, 114, 178],
    ]
    before = trial.panels.read_bytes()
    write_panels(data, evaluation, trial)
    assert trial.panels.read_bytes() == before
    trial.panels.unlink()
    other_size = Evaluation(sample_numbers=np.arange(3), metrics={}, loss=0.0, masks=np.ones((3, 8, 8), bool))
    write_panels(data, other_size, trial)
    assert not trial.panels.exists()


def test_pictures_are_only_those_of_trials_and_only_read(tmp_path: Path) -> None:
    store = TrialPictures(tmp_path)
    trial = ResultsFolder(tmp_path).experiment("exp").trial("0123456789ab")
    trial.panels.parent.mkdir(parents=True)
    trial.panels.write_bytes(b"picture")
    known = artifact_id("exp", "0123456789ab")
    with store.open_reader(known) as file:
        assert file.read() == b"picture"
    for unknown in (artifact_id("exp", "f" * 12), artifact_id("other", "0" * 12), "../../etc/passwd", ""):
        with pytest.raises(ArtifactNotFound):
            store.open_reader(unknown)
    with pytest.raises(PermissionError):
        store.write(known, io.BytesIO(b"other"))
    with pytest.raises(ArtifactNotFound):
        store.remove(known)
    assert trial.panels.read_bytes() == b"picture"


def test_the_inbox_keeps_one_entry_per_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "MOST_VALUES", 3)
    inbox = Inbox()
    inbox.put("a", is_new=True)
    for epoch in range(1, 6):
        inbox.put_epoch("a", epoch, epoch / 10)
        inbox.put_epoch("a", epoch, epoch / 10)
    inbox.put("b", has_state=True)
    inbox.put("a", has_state=True)
    assert len(inbox) == 2
    name, change = inbox.take() or (None, Change())
    assert name == "a"
    assert (change.is_new, change.has_state, change.has_more_epochs) == (True, True, True)
    assert change.epochs == {1: 0.1, 2: 0.2, 3: 0.3}
    inbox.put_epoch("a", 6, 0.6)
    inbox.close()
    assert [(inbox.take() or (None, Change()))[0] for _ in range(2)] == ["b", "a"]
    assert inbox.take() is None
    assert inbox.is_over


def test_the_inbox_waits_no_longer_than_it_is_told() -> None:
    inbox = Inbox()
    assert inbox.take(0.01) is None
    inbox.put("a", has_state=True)
    inbox.clear()
    assert len(inbox) == 0
    assert not inbox.is_over


def test_epochs_that_did_not_fit_are_read_from_the_file(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    train: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirrors, "MOST_VALUES", 1)
    mirror = make_mirror(experiment, folder, pytest.fail)
    train(
        queued[0],
        on_event=lambda event: (mirror._trials.update({queued[0].hash: queued[0]}), mirror.handle(event)),
    )
    mirror.start(queued, {})
    mirror.close()
    storage = open_storage(default_address(experiment.project.results))
    trial = optuna.load_study(study_name="exp", storage=storage).trials[0]
    close_storage(storage)
    assert trial.intermediate_values == {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
    assert trial.state.name == "COMPLETE"
