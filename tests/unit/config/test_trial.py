from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
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


def test_every_field_states_every_mark() -> None:
    marks = {f.name for f in fields(trial.Marks)}
    for required in marks:
        with pytest.raises(TypeError, match=required):
            trial.Marks(**dict.fromkeys(marks - {required}))
    for field in fields(TrialConfig):
        about = field.metadata["declared"]
        assert isinstance(about, trial.Field), field.name
        assert about.text.endswith("."), field.name
        for mark in marks - {"is_probed"}:
            part = getattr(about.marks, mark)
            assert part is None or callable(part), (field.name, mark)
        assert isinstance(about.marks.is_probed, bool), field.name
    assert set(trial.FIELDS) == {f.name for f in fields(TrialConfig)} - {"objective"}


def test_a_part_is_what_counts_of_a_field(config: TrialConfig) -> None:
    def alike(mark: trial.Mark, **changes: object) -> bool:
        other = replace(config, **changes)  # type: ignore[arg-type]
        return trial.parts(config.to_json(), mark) == trial.parts(other.to_json(), mark)

    def optimizer(**knobs: object) -> Choice:
        return Choice("adam", {**config.optimizer.knobs, **knobs})

    assert alike("shapes", optimizer=optimizer(lr=0.5, beta1=0.5))
    assert not alike("shapes", optimizer=optimizer(weight_decay=0.1))
    assert not alike("shapes", optimizer=Choice.of("optimizer", "sgd"))
    assert alike("step", optimizer=optimizer(lr=0.5))
    assert not alike("step", optimizer=optimizer(beta1=0.5))
    assert alike("cost", optimizer=optimizer(beta1=0.5))
    assert alike("pixels", dataset=Choice("shapes", {**config.dataset.knobs, "group": "a"}))
    assert not alike("pixels", dataset=Choice("shapes", {**config.dataset.knobs, "size_px": 64}))
    for name, value in (("compile", True), ("accumulate", 2), ("augment_backend", "device"), ("ema", 0.9)):
        assert not alike("shapes", **{name: value}), name
    assert trial.parts(replace(config, ema=0.9).to_json(), "shapes") == trial.parts(
        replace(config, ema=0.99).to_json(), "shapes"
    )


def test_a_record_without_later_fields_is_alike_in_every_mark(config: TrialConfig) -> None:
    written = config.to_json()
    old = {name: value for name, value in written.items() if trial.DECLARED[name].absent is trial.NEVER}
    assert len(old) < len(written)
    assert TrialConfig.from_json(old) == config
    for mark in ("shapes", "step", "cost", "pixels"):
        assert trial.parts(old, mark) == trial.parts(written, mark)
    with pytest.raises(KeyError, match="epochs"):
        TrialConfig.from_json({name: value for name, value in written.items() if name != "epochs"})


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("epochs", 100),
        ("optimizer.lr", 1e-3),
        ("loss.dice.weight", 1.0),
        ("loss", {"bce": {"weight": 1.0}, "dice": {"weight": 1.0}}),
    ],
)
def test_what_stands_at_a_target(config: TrialConfig, target: str, value: object) -> None:
    found = config.at(target)
    assert (
        {k: {"weight": v["weight"]} for k, v in found.items()} == value
        if target == "loss"
        else found == value
    )


@pytest.mark.parametrize(
    "target", ["epoch", "epochs.x", "optimizer.x", "loss.x.weight", "early_stopping.patience"]
)
def test_a_target_that_is_not_there(config: TrialConfig, target: str) -> None:
    with pytest.raises(KeyError):
        config.at(target)


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
