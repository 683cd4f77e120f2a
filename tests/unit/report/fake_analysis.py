"""A rich `Analysis` with hostile labels, made without training anything: what the report's tests draw."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from segbench.config.experiment import Axis, Cell, Claim, Experiment, Level
from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.topics.walk import FRAMES
from segbench.stats.factorial import anova, interaction_means, interactions, marginal_means

NORM = {"model": ("unet", "resnet34_unet"), "norm": ("BatchNorm", "none", "DyT")}
HOSTILE = {
    "model_size": ("unet & co", "a_very_long_name_of_a_network_with_50%_dropout"),
    "λ": ("½ × α", "<script>alert('x')</script>", "{$\\frac}^~#", "日本 #2 🚀 Ω"),
}
QUICKSTART = {"norm": ("batch", "none"), "flips": ("off", "on")}
TWELVE = {"model": ("unet", "resnet34_unet"), "lr": ("1e-4", "1e-3"), "norm": ("batch", "none", "DyT")}

BASELINE = TrialConfig(
    dataset=Choice("oxford_pet", {"size_px": 128}),
    split=Choice("course"),
    input=Choice("imagenet"),
    model=Choice("unet", {"width": 16}),
    norm=Choice("batch"),
    init=Choice("default"),
    augment=Choice("flips"),
    loss=(Choice("bce", {"weight": 1}), Choice("dice", {"weight": 1})),
    optimizer=Choice("adam", {"lr": 1e-4}),
    schedule=Choice("constant"),
    grad_clip=1.0,
    batch_size=8,
    epochs=15,
    precision="fp32",
)


def make_experiment(levels: dict[str, tuple[str, ...]], *, name: str, seeds: int, root: Path) -> Experiment:
    axes = tuple(
        Axis(axis, tuple(Level(label, {axis: label}) for label in labels), labels[0])
        for axis, labels in levels.items()
    )
    cells = tuple(
        Cell(
            levels=dict(zip(levels, combination, strict=True)), config=BASELINE, config_hash=f"{number:064x}"
        )
        for number, combination in enumerate(itertools.product(*levels.values()))
    )
    return Experiment(
        name=name,
        question="Does a U-Net need batch normalisation, and can DyT replace it?",
        project=Project(root),
        source=root / "experiments" / f"{name}.yaml",
        document={"question": "…"},
        baseline=BASELINE,
        axes=axes,
        cells=cells,
        seeds=tuple(range(seeds)),
        num_folds=1,
        margin=0.005,
        outcome="test_dice",
        claims=(Claim(source="norm: BatchNorm > none"),),
    )


def make_analysis(
    levels: dict[str, tuple[str, ...]] = NORM,
    *,
    name: str = "norm_ablation_small",
    seeds: int = 3,
    epochs: int = 15,
    root: Path = Path("/nowhere"),
) -> Analysis:
    experiment = make_experiment(levels, name=name, seeds=seeds, root=root)
    random = np.random.default_rng(0)
    cells, seed_rows, curves = [], [], []
    for number, cell in enumerate(experiment.cells):
        loss_of_quality = 0.012 * (number % 3) + 0.006 * (number // 3)
        missing = number == len(experiment.cells) - 1 and seeds > 2
        values = 0.912 - loss_of_quality + 0.004 * random.standard_normal(seeds - missing)
        half = 4.3 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        base = {"cell": cell.label, **{axis_column(a): label for a, label in cell.levels.items()}}
        cells.append(
            base
            | {
                "n": len(values),
                "mean": values.mean(),
                "sd": values.std(ddof=1) if len(values) > 1 else np.nan,
                "low": values.mean() - half,
                "high": values.mean() + half,
                "mean_last": values.mean() - 0.003,
                "val_mean": values.mean() + 0.004,
                "selected_epoch": epochs - 2.0,
                "diverged": int(missing),
                "failed": 0,
                "missing": 0,
                "parameters": 1_942_000 + 3_000_000 * (number // 3),
                "flops": 4.1e9 + 1e9 * number,
                "epoch_time_s": 12.5 + 9 * (number // 3) + random.random(),
                "images_per_s": 88.0 - 3 * number,
                "peak_memory_mib": 610.0 + 40 * number,
                "data_wait_s": np.nan,
                "front": ("parameters flops epoch_time_s peak_memory_mib", "flops", "")[number % 3],
            }
        )
        for seed, value in enumerate(values):
            seed_rows.append(
                {"trial": f"{number:04x}{seed:08x}"}
                | base
                | {"seed": seed, "fold": 0, "value": value, "value_last": value - 0.003}
            )
        for epoch in range(1, epochs + 1):
            rise = np.exp(-epoch / (3 + number))
            for metric, centre in {
                "train_loss": 0.35 + 0.9 * rise,
                "val_loss": 0.38 + 0.8 * rise + 0.03 * random.random(),
                "train_dice": 0.89 - loss_of_quality - 0.5 * rise,
                "val_dice": 0.91 - loss_of_quality - 0.45 * rise - 0.02 * random.random(),
            }.items():
                spread = np.nan if seeds == 1 else 0.01 + 0.05 * rise
                curves.append(
                    base
                    | {
                        "epoch": epoch,
                        "metric": metric,
                        "n": seeds,
                        "mean": centre,
                        "low": centre - spread,
                        "high": centre + spread,
                    }
                )
    return Analysis(
        experiment=experiment,
        answer=(
            "Without normalisation the U-Net loses 0.012 of dice [0.004, 0.020]; DyT does not make up. "
            "The difference between the two models is unresolved."
        ),
        head={
            "outcome": "test_dice at the selected weights",
            "seeds": f"{seeds} (0 to {seeds - 1})",
            "trials": f"{len(seed_rows)} of {len(experiment.cells) * seeds} complete",
            "data set": "oxford_pet, 128 px",
            "test images": "306",
            "margin": "0.005",
            "device": "cpu",
        },
        frames={
            **{frame.name: pd.DataFrame() for frame in FRAMES},
            "measured": pd.DataFrame(),
            "cells": pd.DataFrame(cells),
            "seeds": pd.DataFrame(seed_rows),
            "effects": make_effects(levels, seeds),
            "subgroups": make_subgroups(levels, seeds),
            "claims": pd.DataFrame(
                [
                    {
                        "claim": "norm: BatchNorm > none",
                        "verdict": "supported",
                        "evidence": "0.012 [0.004, 0.020], Holm p = 0.012, 3 seeds.",
                    },
                    {
                        "claim": "norm: BatchNorm > DyT at model = unet",
                        "verdict": "unresolved",
                        "evidence": "0.004 [−0.003, 0.011].",
                    },
                    {
                        "claim": "U-Net over-fits from about epoch 120",
                        "verdict": "not judged",
                        "evidence": "",
                    },
                ]
            ),
            "curves": pd.DataFrame(curves),
            "failures": pd.DataFrame(
                [
                    {
                        "trial": "00ff00000002",
                        "cell": experiment.cells[-1].label,
                        "seed": seeds - 1,
                        "fold": 0,
                        "state": "diverged",
                        "failure": None,
                        "reason": "loss is nan in epoch 4, batch 12",
                    }
                ]
            ),
            "left_out": pd.DataFrame(
                [{"folder": "trials/0123456789ab", "reason": "no longer in the design"}]
            ),
            "sensitivity": make_sensitivity(make_effects(levels, seeds)),
            **make_factorial(levels, seeds),
            "dynamics": make_dynamics(pd.DataFrame(cells), [axis_column(axis) for axis in levels], seeds),
        },
        notes=(
            "The intervals hold the training set and the split fixed.",
            "Train curves are running means over augmented batches: another estimator than the val curves.",
        ),
        provenance={
            "content": "sha256:" + "ab" * 32,
            "versions": "segbench 0.1.0, torch 2.11.0",
            "device": "cpu, 2 threads",
            "command": f"segbench report {name}",
        },
    )


def with_frames(analysis: Analysis, **frames: pd.DataFrame) -> Analysis:
    """Return the analysis with other frames in place of its own."""
    return replace(analysis, frames={**analysis.frames, **frames})


def make_effects(levels: dict[str, tuple[str, ...]], seeds: int) -> pd.DataFrame:
    verdicts = itertools.cycle(["unresolved", "worse", "better", "equivalent", "negligibly worse"])
    rows = []
    for axis, labels in levels.items():
        others = [a for a in levels if a != axis]
        places = ["", *levels[others[0]]] if others else [""]
        for place, label in itertools.product(places, labels[1:]):
            verdict = next(verdicts) if not place else ""
            centre = {
                "worse": -0.012,
                "better": 0.014,
                "equivalent": 0.001,
                "negligibly worse": -0.003,
            }.get(verdict, -0.004)
            half = {"equivalent": 0.003, "negligibly worse": 0.0015}.get(verdict, 0.008)
            rows.append(
                {
                    "axis": axis,
                    "level": label,
                    "baseline": labels[0],
                    "at": f"{others[0]}={place}" if place else "",
                    "metric": "test_dice",
                    "n": seeds,
                    "difference": centre,
                    "low": centre - half,
                    "high": centre + half,
                    "low_new": centre - half - 0.003 if not place else np.nan,
                    "high_new": centre + half + 0.003 if not place else np.nan,
                    "p": 0.0042,
                    "p_holm": 0.0126 if not place else np.nan,
                    "p_equivalence_holm": 0.21 if not place else np.nan,
                    "verdict": verdict,
                    "seeds_needed_low": 6.0 if verdict == "unresolved" else np.nan,
                    "seeds_needed_high": 21.0 if verdict == "unresolved" else np.nan,
                    "difference_last": centre - 0.002,
                    "low_last": centre - half - 0.002,
                    "high_last": centre + half - 0.002,
                    "depends_on_selection": verdict == "better",
                    "is_family": not place,
                    "p_sign_flip": 0.031 if seeds >= 6 and not place else np.nan,
                    "aliases": "",
                    "hedges_g": centre / 0.006,
                    "trials": ("000000000000", "000100000000"),
                    "note": "",
                }
            )
    return pd.DataFrame(rows)


def make_factorial(levels: dict[str, tuple[str, ...]], seeds: int) -> dict[str, pd.DataFrame]:
    if len(levels) < 2:
        return {}
    random = np.random.default_rng(1)
    rows = [
        dict(zip(map(axis_column, levels), combination, strict=True))
        | {"seed": seed, "value": 0.9 - 0.01 * (number % 3) + 0.003 * random.standard_normal()}
        for number, combination in enumerate(itertools.product(*levels.values()))
        for seed in range(seeds)
    ]
    block = pd.DataFrame(rows)
    return {
        "marginals": marginal_means(block, levels),
        "interaction_means": interaction_means(block, levels),
        "interactions": interactions(block, levels, {axis: own[0] for axis, own in levels.items()}),
        "anova": anova(block, levels),
    }


def make_sensitivity(effects: pd.DataFrame) -> pd.DataFrame:
    rows = effects[effects["is_family"]].reset_index(drop=True)
    named = rows[["axis", "level", "baseline", "at", "metric", "n", "difference", "low", "high"]]
    return named.assign(
        df=named["n"] - 1,
        low_pooled=named["difference"] - 0.003,
        high_pooled=named["difference"] + 0.003,
        df_pooled=10,
        says_otherwise=named.index == 0,
    )


def make_dynamics(cells: pd.DataFrame, axes: list[str], seeds: int) -> pd.DataFrame:
    table = cells[["cell", *axes, "n"]].assign(level=0.8512)
    number = pd.Series(range(len(cells)), index=cells.index, dtype=float)
    table["reached"] = table["n"].where(number != 1, 0)
    for name, start, step, half in (
        ("epochs_to_level", 6.0, 0.5, 1.2),
        ("area", 0.82, -0.01, 0.006),
        ("instability", 0.004, 0.001, 0.002),
        ("onset", 9.0, 0.25, 2.0),
    ):
        has_interval = (number != 1) | (name != "epochs_to_level") if seeds > 1 else number < 0
        table[name] = start + step * number
        table[f"{name}_low"] = (table[name] - half).where(has_interval)
        table[f"{name}_high"] = (table[name] + half).where(has_interval)
    table["epochs_to_level"] = table["epochs_to_level"].where(table["reached"] > 0)
    table["turned_up"] = (table["n"] - 1).clip(lower=0)
    return table


def make_subgroups(levels: dict[str, tuple[str, ...]], seeds: int) -> pd.DataFrame:
    axis, labels = next(iter(levels.items()))
    rows = [
        {
            "division": division,
            "label": label,
            "num_images": 100 + number,
            "axis": axis,
            "level": labels[1],
            "baseline": labels[0],
            "n": seeds,
            "level_mean": 0.85,
            "baseline_mean": 0.84,
            "difference": 0.01,
            "low": 0.002,
            "high": 0.018,
            "low_new": -0.001,
            "high_new": 0.021,
        }
        for number, (division, label) in enumerate(
            [("species", "cat"), ("species", "dog"), ("tone_likeness", "low"), ("tone_likeness", "high")]
        )
    ]
    return pd.DataFrame(rows)
