"""How fast segbench trains, against the loop that everyone writes (`benchmarks.naive`).

`python -m benchmarks.speed [--rounds 5] [--tiny] [--cuda | --cpu]`

Every figure is a ratio taken in one run: the sides are processes of their own that work in turn, so that
what else the machine does meets both. A ratio is the median over rounds, with the smallest and the largest.
segbench's side goes through its engine, set up as its workers are (`settle_process`). Where a GPU is seen,
`benchmarks.speed_cuda` measures that instead. `--tiny` shows that everything runs and measures nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.machine import heading, table
from benchmarks.pets import Pets, make_pets
from benchmarks.sides import Setting, Side, in_turn

HEADER: Final = ("what", "naive", "segbench", "ratio (smallest to largest)", "target", "holds?")
MOST_ROUNDS_OF_PAIRS: Final = 5

SPEEDUP: Final = {"items": 5.0, "unet": 1.9, "resnet34_unet": 1.5, "layout": 1.0, "epoch": 2.0}
MOST_WAITING: Final = 0.03


@dataclass(frozen=True)
class Ratio:
    """One line: how much longer the naive side took, round by round."""

    what: str
    naive_s: Sequence[float]
    segbench_s: Sequence[float]
    target: float | None
    per: float = 1.0
    """What a measurement is divided by for print: images, steps, epochs."""
    unit: str = "ms"

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.naive_s, self.segbench_s, strict=True)]

    def row(self) -> list[str]:
        mid, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        target = "" if self.target is None else f"≥ {self.target:g}"
        holds = "" if self.target is None else ("yes" if mid >= self.target else "no")
        ratio = f"{mid:.2f} ({low:.2f} to {high:.2f}, n = {len(self.ratios)})"
        return [self.what, self._median(self.naive_s), self._median(self.segbench_s), ratio, target, holds]

    def _median(self, seconds: Sequence[float]) -> str:
        scale = {"ms": 1e3, "s": 1.0}[self.unit]
        return f"{statistics.median(seconds) / self.per * scale:.3g} {self.unit}"


@dataclass(frozen=True)
class Waiting:
    """One line: the share of training time in which a batch was waited for."""

    what: str
    shares: Sequence[float]

    def row(self) -> list[str]:
        mid, low, high = statistics.median(self.shares), min(self.shares), max(self.shares)
        share = f"{mid:.2%} ({low:.2%} to {high:.2%}, n = {len(self.shares)})"
        return [self.what, "", share, "", f"< {MOST_WAITING:.0%}", "yes" if mid < MOST_WAITING else "no"]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = MOST_ROUNDS_OF_PAIRS
    images: int = 400
    test_images: int = 160
    items: int = 100
    """Training images of the comparison without a network."""
    size_px: int = 128
    width: int = 16
    resnet_width: int = 64
    steps: int = 8
    resnet_steps: int = 2

    @classmethod
    def tiny(cls) -> Plan:
        """Return one that runs in seconds."""
        return cls(
            rounds=1,
            images=20,
            test_images=4,
            items=10,
            size_px=32,
            width=4,
            resnet_width=4,
            steps=1,
            resnet_steps=1,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure segbench's speed against the naive loop.")
    parser.add_argument("--rounds", type=int, default=MOST_ROUNDS_OF_PAIRS, help="measurements of each side")
    parser.add_argument("--tiny", action="store_true", help="show that everything runs; no measurement")
    device = parser.add_mutually_exclusive_group()
    device.add_argument("--cpu", action="store_true", help="the CPU's table, also where there is a GPU")
    device.add_argument("--cuda", action="store_true", help="the GPU's table, or that there is none")
    args = parser.parse_args(arguments)
    from benchmarks import speed_cuda

    has_gpu = speed_cuda.has_gpu()
    if args.cuda and not has_gpu:
        print("\n".join(["No GPU here.", "", *speed_cuda.unmeasured(speed_cuda.Plan())]))
        return
    if has_gpu and not args.cpu:
        print("\n".join(speed_cuda.report(rounds=args.rounds, is_tiny=args.tiny)))
        return
    plan = Plan.tiny() if args.tiny else replace(Plan(), rounds=args.rounds)
    print("\n".join(report(plan)))


def report(plan: Plan) -> list[str]:
    """Return the CPU's table and what it is about, line by line."""
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="segbench-speed-") as folder:
        project = Path(folder)
        lines = heading("Training against the naive loop, CPU")  # the load before we make any
        pets = make_pets(project / "all", most_trainval=plan.images, most_test=plan.test_images)
        few = make_pets(project / "few", most_trainval=plan.items, most_test=1)
        rows = [line.row() for line in measure(plan, pets, few, threads)]
    if plan == Plan.tiny():
        lines += ["**Nothing is measured here: tiny networks, one round, to see that all of it runs.**", ""]
    return [*lines, *setting_lines(pets), *table(HEADER, rows)]


def setting_lines(pets: Pets) -> list[str]:
    """Return what a reader needs to know of both sides."""
    import torch

    from segbench.engine.instruments import name_device

    libraries = ("torch", "albumentations", "opencv-python-headless", "pillow", "numpy")
    versions = ", ".join(f"{name} {_version(name)}" for name in libraries)
    return [
        f"{name_device(torch.device('cpu'))}; {versions}. Images: {pets.words}; {pets.num_trainval} to train "
        f"and validate on, {pets.num_test} to test. Naive: `benchmarks/naive.py`, float32, NCHW, images "
        "decoded in every epoch, no loader workers. Ratios are naive over segbench, the sides in turn.",
        "",
    ]


def measure(plan: Plan, pets: Pets, few: Pets, threads: int) -> Iterator[Ratio | Waiting]:
    """Yield every line of the table as it is measured."""
    base = Setting(pets.project, size_px=plan.size_px, knobs={"width": plan.width}, threads=threads)
    yield items(replace(base, project=few.project, threads=1), plan)
    unet = replace(base, steps=plan.steps)
    yield from steps(f"U-Net, width {plan.width}", unet, plan, SPEEDUP["unet"])
    knobs = {"width": plan.resnet_width}
    resnet = replace(base, model="resnet34_unet", knobs=knobs, steps=plan.resnet_steps)
    yield from steps(f"ResNet34-U-Net, width {plan.resnet_width}", resnet, plan, SPEEDUP["resnet34_unet"])
    yield from epochs(base, plan)
    yield evaluation(base, plan)


def items(setting: Setting, plan: Plan) -> Ratio:
    """Compare what prepares images for the network, on one core."""
    found = _compare({"naive": ("naive items", setting), "segbench": ("segbench items", setting)}, plan, 1)
    what = f"data per core: an image decoded, resized to {setting.size_px} px, augmented as in R0"
    images = found["segbench"][0]["images"]
    return Ratio(what, _seconds(found["naive"]), _seconds(found["segbench"]), SPEEDUP["items"], images)


def steps(name: str, setting: Setting, plan: Plan, target: float) -> Iterator[Ratio]:
    """Compare training steps: bfloat16, and float32 in the other layout."""
    sides = {
        "naive": ("naive step", setting),
        "bf16": ("segbench step", setting),
        "fp32": ("segbench step", replace(setting, precision="fp32")),
    }
    found = _compare(sides, plan)
    what = f"step: {name}, {setting.size_px} px, batch {setting.batch_size}"
    naive = _seconds(found["naive"])
    yield Ratio(f"{what}, bf16 + channels-last", naive, _seconds(found["bf16"]), target, setting.steps)
    layout = _seconds(found["fp32"])
    yield Ratio(f"{what}, fp32 + channels-last", naive, layout, SPEEDUP["layout"], setting.steps)


def epochs(setting: Setting, plan: Plan) -> Iterator[Ratio | Waiting]:
    """Compare whole epochs, and look at what training waited for."""
    found = _compare({"naive": ("naive epoch", setting), "segbench": ("segbench epoch", setting)}, plan)
    what = f"epoch of data, training, validation and metrics: {_network(setting)}"
    ours = found["segbench"]
    yield Ratio(what, _seconds(found["naive"]), _seconds(ours), SPEEDUP["epoch"], unit="s")
    shares = [measured["wait_s"] / measured["train_s"] for measured in ours]
    yield Waiting("of training, waiting for data (`data_wait_s`), the same epochs", shares)


def evaluation(setting: Setting, plan: Plan) -> Ratio:
    """Compare the end of a trial: the test images."""
    found = _compare({"naive": ("naive test", setting), "segbench": ("segbench test", setting)}, plan)
    what = f"a test image (naive: loss and Dice; segbench: every metric, outlines too): {_network(setting)}"
    images = found["segbench"][0]["images"]
    return Ratio(what, _seconds(found["naive"]), _seconds(found["segbench"]), None, images)


def _network(setting: Setting) -> str:
    width = setting.knobs["width"]
    return f"U-Net, width {width}, {setting.size_px} px, batch {setting.batch_size}, bf16"


def _compare(
    sides: dict[str, tuple[str, Setting]], plan: Plan, cores: int | None = None
) -> dict[str, list[dict[str, float]]]:
    with ExitStack() as stack:
        open_sides = {
            name: stack.enter_context(Side(kind, setting, cores=cores))
            for name, (kind, setting) in sides.items()
        }
        return in_turn(open_sides, plan.rounds)


def _seconds(measured: Sequence[dict[str, float]]) -> list[float]:
    return [each["seconds"] for each in measured]


def _version(name: str) -> str:
    try:
        return version(name)
    except Exception:  # another build of the same library
        return "unknown"


if __name__ == "__main__":
    main()
