"""The GPU's table of `benchmarks.speed`: training and testing against the naive loop, trials side by side.

Naive A is the loop as torch comes (TF32 in convolutions, no loader workers), B has TF32 off, and A8 is A with
eight loader workers. segbench trains in bf16, fed by as many loader workers as a sweep gives it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.machine import heading, table
from benchmarks.pets import Pets, make_pets
from benchmarks.sides import Setting, Side, in_turn

NAIVE_WORKERS: Final = 8
HEADER: Final = ("what", "naive", "segbench", "ratio (smallest to largest)")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    images: int = 1840
    """To train and validate on."""
    test_images: int = 3669
    size_px: int = 256
    width: int = 64
    batches: tuple[int, ...] = (8, 64)
    side_by_side: tuple[int, ...] = (1, 2, 4)

    @classmethod
    def tiny(cls) -> Plan:
        """Return one that runs in a minute."""
        return cls(rounds=1, images=40, test_images=8, size_px=64, width=4, batches=(8,), side_by_side=(1, 2))


def has_gpu() -> bool:
    """Whether PyTorch sees one."""
    import torch

    return torch.cuda.is_available()


def report(*, rounds: int, is_tiny: bool) -> list[str]:
    """Return the table and what it is about, line by line."""
    import torch

    plan = Plan.tiny() if is_tiny else replace(Plan(), rounds=rounds)
    lines = heading("Training against the naive loop, GPU")
    with tempfile.TemporaryDirectory(prefix="segbench-speed-") as folder:
        pets = make_pets(Path(folder), most_trainval=plan.images, most_test=plan.test_images)
        rows = list(measure(plan, pets))
    about = (
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}. Images: "
        f"{pets.words}; {pets.num_trainval} to train and validate on, {pets.num_test} to test. Naive A: "
        f"`benchmarks/naive.py` as torch comes (TF32 convolutions); B: TF32 off; A8: A with {NAIVE_WORKERS} "
        f"loader workers. segbench: bf16, {_workers()} loader workers. Training images per second with data, "
        "training and validation, the sides in turn."
    )
    return [*lines, about, "", *table(HEADER, rows)]


def measure(plan: Plan, pets: Pets) -> Iterator[list[str]]:
    """Yield every line of the table as it is measured."""
    base = Setting(
        pets.project,
        size_px=plan.size_px,
        knobs={"width": plan.width},
        device="cuda",
        threads=max(1, len(os.sched_getaffinity(0))),
    )
    ours = replace(base, workers=_workers())
    yield from _train(f"U-Net, width {plan.width}", base, ours, plan)
    for batch_size in plan.batches:
        resnet = {"model": "resnet34_unet", "batch_size": batch_size}
        yield from _train(
            "ResNet34-U-Net (R2)",
            replace(base, **resnet),  # type: ignore[arg-type]
            replace(ours, **resnet),  # type: ignore[arg-type]
            plan,
        )
    yield _test(base, ours, plan)
    for count in plan.side_by_side:
        yield _side_by_side(count, ours, plan)


def _train(name: str, naive: Setting, ours: Setting, plan: Plan) -> Iterator[list[str]]:
    sides = {
        "A": ("naive epoch", naive),
        "B": ("naive epoch", replace(naive, tf32=False)),
        "A8": ("naive epoch", replace(naive, workers=NAIVE_WORKERS)),
        "segbench": ("segbench epoch", ours),
    }
    found = _in_turn(sides, plan.rounds)
    what = f"train {name}, {naive.size_px} px, batch {naive.batch_size}, images/s"
    for variant in ("A", "B", "A8"):
        yield _row(f"{what}, against {variant}", found[variant], found["segbench"])


def _test(naive: Setting, ours: Setting, plan: Plan) -> list[str]:
    sides = {"A": ("naive test", naive), "segbench": ("segbench test", ours)}
    found = _in_turn(sides, plan.rounds)
    what = f"test U-Net, {plan.test_images} images (naive: loss and Dice; segbench: every metric), images/s"
    return _row(what, found["A"], found["segbench"])


def _side_by_side(count: int, ours: Setting, plan: Plan) -> list[str]:
    """Measure trials that train at the same time: images per second of all of them together."""
    share = replace(ours, workers=ours.workers // count, threads=max(1, ours.threads // count))
    totals = []
    with ExitStack() as stack:
        sides = [stack.enter_context(Side("segbench epoch", share)) for _ in range(count)]
        pool = stack.enter_context(ThreadPoolExecutor(count))
        for number in range(1 + plan.rounds):
            rates = list(pool.map(lambda side: _rate(side.measure()), sides))
            if number:
                totals.append(sum(rates))
    what = f"{count} trial{'s' * (count > 1)} on one GPU, U-Net, images/s of all"
    low, mid, high = min(totals), statistics.median(totals), max(totals)
    return [what, "", f"{mid:.0f} ({low:.0f} to {high:.0f}, n = {len(totals)})", ""]


def _row(what: str, naive: list[dict[str, float]], ours: list[dict[str, float]]) -> list[str]:
    theirs, mine = [_rate(each) for each in naive], [_rate(each) for each in ours]
    ratios = [b / a for a, b in zip(theirs, mine, strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)})"
    return [what, f"{statistics.median(theirs):.0f}", f"{statistics.median(mine):.0f}", spread]


def _rate(measured: dict[str, float]) -> float:
    return measured["images"] / measured["seconds"]


def _workers() -> int:
    from segbench.sweep.devices import loader_workers

    return loader_workers("cuda", len(os.sched_getaffinity(0)))


def _in_turn(sides: dict[str, tuple[str, Setting]], rounds: int) -> dict[str, list[dict[str, float]]]:
    with ExitStack() as stack:
        return in_turn(
            {name: stack.enter_context(Side(kind, setting)) for name, (kind, setting) in sides.items()},
            rounds,
        )
