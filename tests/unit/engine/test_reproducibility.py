"""The same trial leaves the same numbers: after a resume, in another order, with loader workers."""

from __future__ import annotations

import io
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.trial import Choice
from segbench.engine import Run
from segbench.errors import ResultsError
from segbench.records import TIMING_COLUMNS, EpochRecord

MODELS = {
    "unet": Choice.of("model", "unet", width=4, depth=2),
    "resnet34_unet": Choice.of("model", "resnet34_unet", width=16),
}


def numbers(records: list[EpochRecord]) -> list[dict[str, float]]:
    return [{k: v for k, v in r.row().items() if k not in TIMING_COLUMNS} for r in records]


def through_file(state: dict) -> dict:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw", "rmsprop"])
def test_a_resume_is_bit_identical(model, optimizer) -> None:
    config = tiny_config(model=MODELS[model], optimizer=Choice.of("optimizer", optimizer, lr=1e-3), epochs=4)
    data = blob_data(num_train=7)
    whole = Run(config, data, seed=3, threads=1)
    expected = numbers(list(whole))
    first = Run(config, data, seed=3, threads=1)
    steps = iter(first)
    next(steps), next(steps)
    saved = through_file(first.state_dict())
    next(steps)  # going on does not reach into the saved state
    second = Run(config, data, seed=3, threads=1)
    second.load_state_dict(saved)
    second.load_selected(second.weights("last"))
    assert [r.epoch for r in second.history] == [1, 2]
    assert numbers(list(second)) == expected[2:]
    assert numbers(second.history) == expected
    ours, theirs = second.weights("last"), whole.weights("last")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


PLATEAU = Choice.of("schedule", "plateau", patience=0, factor=0.5, warmup_epochs=0.5)


@pytest.mark.parametrize(
    ("mix", "schedule"), [("cutmix", Choice.of("schedule", "one_cycle")), ("mixup", PLATEAU)]
)
def test_a_resume_with_all_that_steps_depend_on_is_bit_identical(mix, schedule) -> None:
    config = tiny_config(
        epochs=4, ema=0.9, accumulate=2, mix=Choice.of("mix", mix), batch_size=2, schedule=schedule
    )
    data = blob_data(num_train=7)
    whole = Run(config, data, seed=3, threads=1)
    expected = numbers(list(whole))
    for done in (1, 3):
        first = Run(config, data, seed=3, threads=1)
        for record in first:
            if record.epoch == done:
                break
        second = Run(config, data, seed=3, threads=1)
        second.load_state_dict(through_file(first.state_dict()))
        list(second)
        assert numbers(second.history) == expected
        ours, theirs = second.weights("last"), whole.weights("last")
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_resume_in_a_fresh_process_is_bit_identical(tmp_path) -> None:
    config, data = tiny_config(epochs=3), blob_data()
    expected = numbers(list(Run(config, data, seed=0, threads=1)))
    run = Run(config, data, seed=0, threads=1)
    next(iter(run))
    torch.save(run.state_dict(), tmp_path / "state.pt")
    script = (
        "import sys, json, torch; sys.path[:0] = sys.argv[2:]; torch.rand(7)\n"
        "from blobs import blob_data, tiny_config\n"
        "from segbench.engine import Run\n"
        "run = Run(tiny_config(epochs=3), blob_data(), seed=0, threads=1)\n"
        "run.load_state_dict(torch.load(sys.argv[1], weights_only=True))\n"
        "list(run); print(json.dumps([r.row() for r in run.history]))\n"
    )
    import json

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "state.pt"), *sys.path],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in json.loads(done.stdout)]
    assert rows == expected


def test_the_order_of_trials_in_a_process_changes_nothing() -> None:
    data = blob_data()
    configs = {
        "a": tiny_config(epochs=2, model=Choice("blobs:dropout_net", {"rate": 0.3})),
        "b": tiny_config(epochs=2, model=MODELS["resnet34_unet"], precision="bf16"),
    }
    found = {}
    for order in ("ab", "ba"):
        for name in order:
            found[order, name] = numbers(list(Run(configs[name], data, seed=0, threads=1)))
        torch.rand(3)
    assert found["ab", "a"] == found["ba", "a"]
    assert found["ab", "b"] == found["ba", "b"]


def test_the_process_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    switches = torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.deterministic
    config = tiny_config(epochs=2, model=Choice("blobs:dropout_net", {"rate": 0.3}))
    run = Run(config, blob_data(), seed=0, threads=threads + 1)
    for _ in run:
        assert torch.get_num_threads() == threads
        assert (torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.deterministic) == switches
    run.evaluate("test")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]


def test_dropout_differs_by_epoch_and_seed_and_is_off_in_evaluation() -> None:
    config = tiny_config(
        epochs=2,
        model=Choice("blobs:dropout_net", {"rate": 0.5}),
        optimizer=Choice.of("optimizer", "sgd", lr=1e-30),
        norm=Choice.of("norm", "none"),
        augment=Choice("none"),
        batch_size=8,
        schedule=Choice("constant"),
    )
    run = Run(config, blob_data(), seed=0, threads=1)
    first, second = list(run)
    assert first.train_loss != second.train_loss  # nothing learned, the draws differ
    assert first.val == second.val


def test_loader_workers_change_no_number() -> None:
    config = tiny_config(epochs=2, model=Choice("blobs:dropout_net", {"rate": 0.3}))
    data = blob_data()
    expected = numbers(list(Run(config, data, seed=0, threads=1)))
    run = Run(config, data, seed=0, threads=1, loader_workers=2)
    try:
        assert numbers(list(run)) == expected
    finally:
        run.close()


def test_seeds_differ_and_networks_share_what_has_one_name() -> None:
    data = blob_data()
    weights = {seed: Run(tiny_config(), data, seed=seed).weights("last") for seed in (0, 1)}
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    dyt = Run(tiny_config(norm=Choice.of("norm", "dyt")), data, seed=0).weights("last")
    shared = [n for n in weights[0].keys() & dyt.keys() if weights[0][n].ndim == 4]
    assert len(shared) > 5
    assert all(torch.equal(weights[0][name], dyt[name]) for name in shared)


def test_a_state_of_another_network_is_refused() -> None:
    data = blob_data()
    saved = Run(tiny_config(), data, seed=0).state_dict()
    other = Run(tiny_config(model=Choice.of("model", "unet", width=8, depth=2)), data, seed=0)
    with pytest.raises(
        ResultsError, match=r"last.pt: the weights are of another network: \S+ must have shape \(16, 8"
    ):
        other.load_state_dict(saved)
    with pytest.raises(
        ResultsError, match=r"reads training states of format 1, got 99. Remove last.pt and best.pt"
    ):
        other.load_state_dict({**saved, "format": 99})
    with pytest.raises(ResultsError, match=r"the training state does not fit this trial \('history'\)"):
        Run(tiny_config(), data, seed=0).load_state_dict({k: v for k, v in saved.items() if k != "history"})
