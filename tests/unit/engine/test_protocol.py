"""`engine: module:fit` takes the loop's place."""

from __future__ import annotations

import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.engine import Run, build_run
from segbench.engine.protocol import MEMBERS
from segbench.errors import ExperimentError


@pytest.fixture
def fits(tmp_path, monkeypatch):
    (tmp_path / "own_training.py").write_text(
        "from segbench.engine import Run\n"
        "class Flipped(Run):\n"
        "    def weights(self, which='selected'):\n"
        "        return {k: -v for k, v in super().weights(which).items()}\n"
        "def fit(config, data, **options):\n"
        "    return Flipped(config, data, **options)\n"
        "def half(config, data, **options):\n"
        "    return iter(())\n"
    )
    (tmp_path / "broken_training.py").write_text("import there_is_no_such_package\n")
    monkeypatch.chdir(tmp_path)


def test_the_default_is_segbench_own() -> None:
    run = build_run(tiny_config(), blob_data(), seed=0)
    assert type(run) is Run
    assert all(hasattr(run, name) for name in MEMBERS)


def test_a_users_fit_is_called_with_the_options(fits) -> None:
    config = tiny_config(engine="own_training:fit", epochs=1)
    run = build_run(config, blob_data(), seed=4, threads=1)
    plain = Run(config, blob_data(), seed=4, threads=1)
    assert type(run).__name__ == "Flipped"
    assert [r.train_loss for r in run] == [r.train_loss for r in plain]
    ours, theirs = run.weights(), plain.weights()
    assert all(torch.equal(-ours[name], theirs[name]) for name in theirs)


def test_what_lacks_a_member_is_refused(fits) -> None:
    with pytest.raises(ExperimentError) as caught:
        build_run(tiny_config(engine="own_training:half"), blob_data(), seed=0)
    missing = ", ".join(name for name in MEMBERS if name != "__iter__")
    assert str(caught.value) == (
        f"engine own_training:half: what it returns lacks {missing}, got 'tuple_iterator'. "
        "segbench.engine.protocol.TrainingRun lists its members; a subclass of Run has them all."
    )


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        (
            "no_such_module:fit",
            "engine: there is no Python module of this import path, got 'no_such_module:fit'.",
        ),
        (
            "own_training:fitt",
            "engine: own_training has no callable of this name, got 'fitt'. Did you mean 'fit'?",
        ),
    ],
)
def test_a_wrong_path_is_refused(fits, engine, text) -> None:
    with pytest.raises(ExperimentError) as caught:
        build_run(tiny_config(engine=engine), blob_data(), seed=0)
    assert str(caught.value).startswith(text)


def test_a_module_that_does_not_import_shows_its_own_error(fits) -> None:
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_package"):
        build_run(tiny_config(engine="broken_training:fit"), blob_data(), seed=0)
