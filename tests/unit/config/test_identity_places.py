"""Where files lie is recorded, but what a trial is depends on their contents alone."""

from __future__ import annotations

from dataclasses import replace

from segbench.config.resolve import resolve_choice
from segbench.config.trial import TrialConfig, config_hash, identity


def configured(images: str, size_px: int = 32) -> TrialConfig:
    fields = {
        "dataset": {"folder": {"images": images, "masks": f"{images}_masks", "size_px": size_px}},
        "split": "fraction",
        "input": "unit",
        "model": "unet",
        "norm": "batch",
        "init": "default",
        "augment": "none",
        "optimizer": "adam",
        "schedule": "constant",
    }
    choices = {axis: resolve_choice(axis, spec) for axis, spec in fields.items()}
    return TrialConfig(
        **choices,
        loss=(replace(resolve_choice("loss", "bce"), knobs={"weight": 1.0, "pos_weight": 1.0}),),
        grad_clip=None,
        batch_size=8,
        epochs=1,
        precision="fp32",
    )


def identified(config: TrialConfig, data_fingerprint: str = "d") -> str:
    return identity(config, seed=0, fold=0, data_fingerprint=data_fingerprint)


def test_moved_files_are_the_same_trial() -> None:
    assert identified(configured("here")) == identified(configured("there"))


def test_other_contents_or_knobs_are_another_trial() -> None:
    assert identified(configured("here")) != identified(configured("here"), "other")
    assert identified(configured("here")) != identified(configured("here", size_px=64))


def test_the_configuration_records_the_place() -> None:
    assert configured("here").to_json()["dataset"]["folder"]["images"] == "here"
    assert config_hash(configured("here")) != config_hash(configured("there"))
