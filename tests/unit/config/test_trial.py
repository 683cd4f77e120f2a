from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from segbench import registry
from segbench.config import trial
from segbench.config.experiment import Experiment
from segbench.config.trial import Choice, Objective, TrialConfig, config_hash, identity

Load = Callable[..., Experiment]


@pytest.fixture
def config(load: Load) -> TrialConfig:
    return load("question: q\nbaseline: {dataset: {shapes: {size_px: 32}}}").baseline


def identity_of(config: TrialConfig, **changes: object) -> str:
    return identity(config, **{"seed": 0, "fold": 0, "data_fingerprint": "f", **changes})  # type: ignore[arg-type]


def test_everything_that_changes_numbers_changes_the_identity(config: TrialConfig) -> None:
    changed = [
        replace(config, epochs=2),
        replace(config, max_images=3),
        replace(config, deterministic=True),
        replace(config, compile=True),
        replace(config, norm=Choice("none", {})),
        replace(config, optimizer=Choice("adam", {**config.optimizer.knobs, "lr": 0.5})),
        replace(config, objective=Objective("val_iou")),
    ]
    found = {
        identity_of(config),
        identity_of(config, seed=1),
        identity_of(config, fold=1),
        identity_of(config, data_fingerprint="g"),
        *(identity_of(other) for other in changed),
    }
    assert len(found) == 4 + len(changed)
    assert {len(each) for each in found} == {64}


def test_a_field_added_later_leaves_old_identities_as_they_were(config: TrialConfig) -> None:
    assert "max_images" in config.to_json()
    assert "max_images" not in trial.hashed_config(config, has_places=False)
    assert trial.hashed_config(replace(config, max_images=3), has_places=False)["max_images"] == 3
    for name in ("deterministic", "compile"):
        assert name not in trial.hashed_config(config, has_places=False)
        assert trial.hashed_config(replace(config, **{name: True}), has_places=False)[name] is True


def test_hashing_field_by_field_hashes_the_whole(config: TrialConfig) -> None:
    found = {
        "config": trial.hashed_config(config, has_places=False),
        "seed": 3,
        "fold": 1,
        "data": "f",
        "numerics": trial.NUMERICS_VERSION,
        "variants": {},
    }
    text = trial.canonical_json(found)
    expected = hashlib.sha256(text.encode()).hexdigest()
    hasher = trial.Hasher()
    for _ in range(2):
        assert hasher.identity(config, seed=3, fold=1, data_fingerprint="f") == expected
        other = replace(config, epochs=7)
        assert hasher.config_hash(other) == config_hash(other) != hasher.config_hash(config)


OWN = '''
from segbench.axes.norm import variant

@variant{absent}
def mine(channels: int{knobs}):
    """Do nothing."""
'''


def test_a_knob_added_later_leaves_old_identities_as_they_were(project: Path, load: Load) -> None:
    text = "question: q\nbaseline: {dataset: shapes, norm: mine}"
    file = project / "axes" / "norm" / "mine.py"
    file.parent.mkdir(parents=True)
    file.write_text(OWN.format(absent="", knobs=""))
    old = load(text).baseline
    before = config_hash(old)
    file.write_text(OWN.format(absent='(absent={"eps": None})', knobs=", *, eps: float | None = None"))
    registry.use_project(project)
    new = load(text).baseline
    assert new.norm.knobs == {"eps": None}
    assert config_hash(new) == before
    assert config_hash(old) == before  # a record of then, which lacks the knob
    assert config_hash(replace(new, norm=Choice("mine", {"eps": 0.5}))) != before


def test_the_source_of_a_users_variant_is_part_of_the_identity(project: Path, load: Load) -> None:
    file = project / "axes" / "norm" / "mine.py"
    file.parent.mkdir(parents=True)
    file.write_text(OWN.format(absent="", knobs=""))
    config = load("question: q\nbaseline: {dataset: shapes, norm: mine}").baseline
    before, digests = identity_of(config), trial.variant_digests(config)
    file.write_text(file.read_text() + "# changed\n")
    registry.use_project(project)
    assert list(digests) == ["norm/mine"]
    assert identity_of(config) != before


def test_the_source_of_a_users_engine_is_part_of_the_identity(project: Path, load: Load) -> None:
    (project / "my_engine.py").write_text("def fit(config, *, seed): ...\n")
    config = load("question: q\nbaseline: {dataset: shapes, engine: 'my_engine:fit'}").baseline
    before = identity_of(config)
    (project / "my_engine.py").write_text("def fit(config, *, seed): return 1\n")
    assert list(trial.variant_digests(config)) == ["engine/my_engine:fit"]
    assert identity_of(config) != before


def test_the_order_of_loss_terms_and_of_keys_is_no_part_of_the_identity(load: Load) -> None:
    one = load("question: q\nbaseline: {dataset: shapes, loss: {bce: 1, dice: {smooth: 1, weight: 2}}}")
    two = load("question: r\nbaseline: {loss: {dice: {weight: 2.0, smooth: 1.0}, bce: 1}, dataset: shapes}")
    assert one.baseline == two.baseline
    assert config_hash(one.baseline) == config_hash(two.baseline)


def test_an_objective_knows_what_is_better() -> None:
    best = Objective()
    assert best.is_better(0.5, None)
    assert best.is_better(0.6, 0.5)
    assert not best.is_better(0.5, 0.5)
    assert not best.is_better(float("nan"), None)
    assert Objective("val_loss", "minimize").is_better(0.4, 0.5)
