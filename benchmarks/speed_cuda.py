"""The GPU's table of `benchmarks.speed`: training and testing against the naive loop, trials side by side.

Naive A is the loop as torch comes (TF32 in convolutions, no loader workers), B has TF32 off, and A8 is A with
eight loader workers. segbench trains in bf16 and augments on the device, as `augment_backend: device` has it.
Without a GPU the table says line by line that nothing was measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import heading, table
from benchmarks.pets import make_pets
from benchmarks.sides import Setting, Side, in_turn

NAIVE_WORKERS: Final = 8
NOT_MEASURED: Final = "not measured"
HEADER: Final = ("what", "target (stretch)", "naive", "segbench", "ratio (smallest to largest)")
TARGETS: Final = {
    "train U-Net 8 A": "6x, 1,000 images/s (1,300, 45 % of the matrix rate)",
    "train U-Net 8 B": "11x",
    "train U-Net 8 A8": "2x (2.5x)",
    "train ResNet34-U-Net 8 A": "10x, 2,000 images/s (2,800)",
    "train ResNet34-U-Net 64 A": "3,000 images/s (4,300)",
    "test U-Net": "1.2 s (0.8 s)",
    "trials": "1.5x one at a time (2x)",
}
"""On an H200 at 256 px; of a line that has none, the ratio is told."""


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
        rows = [row for comparison in comparisons(plan, pets.project) for row in comparison.measured()]
    about = (
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}. Images: "
        f"{pets.words}; {pets.num_trainval} to train and validate on, {pets.num_test} to test. Naive A: "
        f"`benchmarks/naive.py` as torch comes (TF32 convolutions); B: TF32 off; A8: A with {NAIVE_WORKERS} "
        "loader workers. segbench: bf16, augmented on the device. Training images per second with data, "
        "training and validation, the sides in turn."
    )
    return [*lines, about, "", *table(HEADER, rows)]


def unmeasured(plan: Plan) -> list[str]:
    """Return the table of a machine without a GPU: what would be measured."""
    rows = [
        [what, target, *[NOT_MEASURED] * (len(HEADER) - 2)]
        for comparison in comparisons(plan, Path())
        for what, target in comparison.lines.items()
    ]
    return table(HEADER, rows)


@dataclass(frozen=True)
class Comparison:
    """Lines of the table that are measured together."""

    lines: Mapping[str, str]
    """What is measured -> target."""
    measure: Callable[[], list[list[str]]]
    """Returns the other cells of each line."""

    def measured(self) -> list[list[str]]:
        """Return the lines."""
        return [[*line, *cells] for line, cells in zip(self.lines.items(), self.measure(), strict=True)]


def comparisons(plan: Plan, project: Path) -> Iterator[Comparison]:
    """Yield what is compared, in the order of the table."""
    base = Setting(
        project,
        size_px=plan.size_px,
        knobs={"width": plan.width},
        device="cuda",
        threads=max(1, len(os.sched_getaffinity(0))),
    )
    ours = replace(base, augment_backend="device")
    yield _train("U-Net", base, ours, plan)
    resnet: dict[str, Any] = {"model": "resnet34_unet"}
    for batch_size in plan.batches:
        both = (replace(each, **resnet, batch_size=batch_size) for each in (base, ours))
        yield _train("ResNet34-U-Net", *both, plan)
    yield _test(base, ours, plan)
    for count in plan.side_by_side:
        yield _side_by_side(count, replace(ours, **resnet), plan)


def _train(name: str, naive: Setting, ours: Setting, plan: Plan) -> Comparison:
    sides = {
        "A": ("naive epoch", naive),
        "B": ("naive epoch", replace(naive, tf32=False)),
        "A8": ("naive epoch", replace(naive, workers=NAIVE_WORKERS)),
        "segbench": ("segbench epoch", ours),
    }

    def measure() -> list[list[str]]:
        found = _in_turn(sides, plan.rounds)
        return [_cells(found[variant], found["segbench"]) for variant in ("A", "B", "A8")]

    what = f"train {name}, {naive.size_px} px, batch {naive.batch_size}, images/s, against"
    key = f"train {name} {naive.batch_size}"
    lines = {f"{what} {variant}": TARGETS.get(f"{key} {variant}", "") for variant in ("A", "B", "A8")}
    return Comparison(lines, measure)


def _test(naive: Setting, ours: Setting, plan: Plan) -> Comparison:
    sides = {"A": ("naive test", naive), "segbench": ("segbench test", ours)}

    def measure() -> list[list[str]]:
        found = _in_turn(sides, plan.rounds)
        return [_cells(found["A"], found["segbench"])]

    what = f"test U-Net, {plan.test_images} images (naive: loss and Dice; segbench: every metric), images/s"
    return Comparison({what: TARGETS["test U-Net"]}, measure)


def _side_by_side(count: int, ours: Setting, plan: Plan) -> Comparison:
    """Compare nothing: trials that train at the same time, images per second of all of them together."""
    share = replace(ours, threads=max(1, ours.threads // count))

    def measure() -> list[list[str]]:
        totals = []
        with ExitStack() as stack:
            sides = [stack.enter_context(Side("segbench epoch", share)) for _ in range(count)]
            pool = stack.enter_context(ThreadPoolExecutor(count))
            for number in range(1 + plan.rounds):
                rates = list(pool.map(lambda side: _rate(side.measure()), sides))
                if number:
                    totals.append(sum(rates))
        low, mid, high = min(totals), statistics.median(totals), max(totals)
        return [["", f"{mid:.0f} ({low:.0f} to {high:.0f}, n = {len(totals)})", ""]]

    trials = "1 trial" if count == 1 else f"{count} trials"
    what = f"{trials} on one GPU, ResNet34-U-Net, batch {ours.batch_size}, images/s of all"
    return Comparison({what: TARGETS["trials"] if count > 1 else ""}, measure)


def _cells(naive: list[dict[str, float]], ours: list[dict[str, float]]) -> list[str]:
    theirs, mine = [_rate(each) for each in naive], [_rate(each) for each in ours]
    ratios = [b / a for a, b in zip(theirs, mine, strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)})"
    return [f"{statistics.median(theirs):.0f}", f"{statistics.median(mine):.0f}", spread]


def _rate(measured: dict[str, float]) -> float:
    return measured["images"] / measured["seconds"]


def _in_turn(sides: dict[str, tuple[str, Setting]], rounds: int) -> dict[str, list[dict[str, float]]]:
    with ExitStack() as stack:
        return in_turn(
            {name: stack.enter_context(Side(kind, setting)) for name, (kind, setting) in sides.items()},
            rounds,
        )
