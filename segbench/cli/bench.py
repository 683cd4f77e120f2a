"""`segbench bench`: how fast this machine trains an experiment's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.options import (
    DeviceOption,
    ExperimentArgument,
    JsonOption,
    OnlyOption,
    ScaleOption,
    SetOption,
    SmokeOption,
    ThreadsOption,
)
from segbench.cli.printing import print_json

if TYPE_CHECKING:
    from segbench.plan.bench import Bench, Pace


def bench(
    experiment: ExperimentArgument,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    only: OnlyOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    seconds: Annotated[
        int, typer.Option("--seconds", min=1, help="About how long it may take.", show_default=True)
    ] = 110,
    compile_: Annotated[
        bool,
        typer.Option("--compile", help="Measure as well after how many steps compiling a network pays back."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine trains an experiment's networks.

    Images a second and the share of the device's matrix rate that a step reaches, the data path by itself,
    the time to set a trial up, and what holds each back. `segbench plan` knows the times from then on.
    """
    import os

    from segbench.config.load import load_experiment
    from segbench.plan.plan import plan_trials
    from segbench.trial import devices

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke)
    plan = plan_trials(loaded)
    plan = plan.narrowed(only=only, seeds=None) if only else plan
    slot = devices.plan_slots(device, workers=1, threads=threads)[0]
    os.environ.update(slot.environment)  # before torch is imported
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

    from segbench.plan.bench import bench as measure

    found = measure(
        plan,
        slot,
        seconds=seconds,
        compiles=compile_,
        on_stage=lambda what: typer.echo(f"measuring {what}", err=True),
    )
    if as_json:
        print_json(_content(found))
        return
    _print(found, slot.device, slot.threads)


def _print(found: Bench, device: str, threads: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from segbench.trial.provenance import name_device

    rates = ", ".join(f"{rate / 1e12:.3g} TFLOP/s {name}" for name, rate in found.ceilings.matmul.items())
    copy = f"{found.ceilings.copy_bytes_per_s / 1e9:.3g} GB/s"
    typer.echo(
        f"{name_device(device)}, {threads} threads: matrix product {rates}; copy {copy} read and written"
    )
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("cell", ratio=2)
    for header in ("images/s", "of peak", "data/s", "waits", "memory"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("binds", ratio=1)
    for pace in found.paces:
        table.add_row(*_row(pace))
    Console().print(table)
    typer.echo(
        "of peak: three forward passes an image, in parts of the matrix product's rate; data/s: images\n"
        "that one thread augments; waits: share of a step."
    )
    set_up = [pace.steps.setup_s for pace in found.paces if pace.steps.setup_s is not None]
    if set_up:
        typer.echo(f"Setting a trial up, its process being warm: {min(set_up):.3f} to {max(set_up):.3f} s.")
    for pace in found.paces:
        if pace.pay_back is not None:
            typer.echo(f"{pace.label}: {pace.pay_back.advice}.")
    if found.num_left_out:
        typer.echo(
            f"{found.num_left_out} more kinds of cells: give it more --seconds, or name some by --only."
        )


def _row(pace: Pace) -> list[str]:
    steps = pace.steps
    more = f" and {pace.num_cells - 1} alike" if pace.num_cells > 1 else ""
    return [
        f"{pace.label}{more} ({pace.precision})",
        _or_dash(steps.images_per_s, "{:.3g}"),
        _or_dash(pace.share_of_peak, "{:.0%}"),
        _or_dash(pace.data_images_per_s, "{:,.0f}"),
        _or_dash(steps.data_wait, "{:.1%}"),
        _or_dash(steps.memory_mib, "{:,.0f} MiB"),
        pace.binds,
    ]


def _or_dash(value: float | None, shape: str) -> str:
    return "–" if value is None else shape.format(value)


def _content(found: Bench) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "ceilings": asdict(found.ceilings),
        "paces": [{**asdict(pace), "binds": pace.binds} for pace in found.paces],
        "num_left_out": found.num_left_out,
    }
