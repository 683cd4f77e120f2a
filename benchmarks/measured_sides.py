"""What each side does when it is asked: the naive loop, and segbench's own engine as its workers run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import naive
from benchmarks.pets import pets_folder

if TYPE_CHECKING:
    from benchmarks.sides import Setting
    from segbench.engine.run import Run

Measure = Callable[[], "dict[str, float] | None"]


@contextmanager
def naive_items(setting: Setting) -> Iterator[Measure]:
    """Go through the training images once, without a network."""
    torch.set_num_threads(setting.threads)
    batches = _naive_loaders(setting)["train"]

    def measure() -> dict[str, float]:
        return {"images": float(sum(len(images) for images, _ in batches))}

    yield measure


@contextmanager
def segbench_items(setting: Setting) -> Iterator[Measure]:
    """Go through the training images once, without a network; they were decoded before."""
    from segbench.data.batches import TrainBatches
    from segbench.sweep.worker import settle_process

    settle_process(setting.threads)
    config, data = _prepared(setting)
    batches = TrainBatches(data, config, 0)
    epochs = iter(range(1, 1_000_000))

    def measure() -> dict[str, float]:
        return {"images": float(sum(len(batch) for batch in batches.epoch(next(epochs))))}

    yield measure
    batches.close()


@contextmanager
def naive_step(setting: Setting) -> Iterator[Measure]:
    """Take steps on batches that are in memory."""
    trainer = _trainer(setting)
    generator = torch.Generator().manual_seed(0)
    shape = (setting.batch_size, 3, setting.size_px, setting.size_px)
    images = torch.randn(shape, generator=generator)
    masks = (torch.rand((shape[0], 1, *shape[2:]), generator=generator) > 0.6).float()
    trainer.model.train()

    def measure() -> dict[str, float]:
        for _ in range(setting.steps):
            trainer.train_step(images, masks)
        _wait(setting)
        return {"images": float(setting.steps * setting.batch_size)}

    yield measure


@contextmanager
def segbench_step(setting: Setting) -> Iterator[Measure]:
    """Take steps of the engine on batches that are in memory."""
    from segbench.data.batches import Batch
    from segbench.engine.numerics import seeded

    with _run(setting) as run:
        generator = torch.Generator().manual_seed(0)
        shape = (setting.batch_size, 3, setting.size_px, setting.size_px)
        images = torch.randn(shape, generator=generator).to(run.device)
        target = (torch.rand((shape[0], 1, *shape[2:]), generator=generator) > 0.6).float().to(run.device)
        batches = [Batch(images, target, torch.arange(setting.batch_size))] * setting.steps

        def measure() -> dict[str, float]:
            with run._numerics.active(), seeded(0, run.device):
                num_images = setting.steps * setting.batch_size
                run._training.run_epoch(batches, epoch=1, num_images=num_images, objective=())
            _wait(setting)
            return {"images": float(num_images)}

        yield measure


@contextmanager
def naive_epoch(setting: Setting) -> Iterator[Measure]:
    """Train an epoch and validate."""
    trainer, batches = _trainer(setting), _naive_loaders(setting)

    def measure() -> dict[str, float]:
        trainer.train_epoch(batches["train"])
        trainer.evaluate(batches["val"])
        return {"images": float(len(batches["train"].dataset))}  # type: ignore[arg-type]

    yield measure


@contextmanager
def segbench_epoch(setting: Setting) -> Iterator[Measure]:
    """Train an epoch and validate, with everything that a record holds."""
    with _run(setting) as run:
        epochs = iter(run)

        def measure() -> dict[str, float]:
            record = next(epochs)
            num_images = len(run._data.split["train"])
            return {
                "images": float(num_images),
                "wait_s": record.data_wait_s,
                "train_s": num_images / record.images_per_s,
            }

        yield measure


@contextmanager
def naive_test(setting: Setting) -> Iterator[Measure]:
    """Measure loss and Dice on the test images."""
    trainer, batches = _trainer(setting), _naive_loaders(setting)["test"]

    def measure() -> dict[str, float]:
        trainer.evaluate(batches)
        return {"images": float(len(batches.dataset))}  # type: ignore[arg-type]

    yield measure


@contextmanager
def segbench_test(setting: Setting) -> Iterator[Measure]:
    """Measure the test images as at a trial's end: loss, every metric of every image, outlines included."""
    with _run(setting) as run:

        def measure() -> dict[str, float]:
            return {"images": float(len(run.evaluate("test", "last").sample_numbers))}

        yield measure


def trial_config(setting: Setting) -> Any:
    """Return R0's settings as a configuration of segbench."""
    from segbench.axes.augment.r0 import PRESET
    from segbench.config.trial import Choice, TrialConfig

    return TrialConfig(
        dataset=Choice.of("dataset", "oxford_pet", size_px=setting.size_px),
        split=Choice.of("split", "course"),
        input=Choice.of("input", "imagenet"),
        model=Choice.of("model", setting.model, **setting.knobs),
        norm=Choice.of("norm", "batch"),
        init=Choice.of("init", "default"),
        augment=Choice.of("augment", "transforms", **PRESET["transforms"]),
        augment_backend=setting.augment_backend,
        loss=(Choice.of("loss", "bce"), Choice.of("loss", "dice")),
        optimizer=Choice.of("optimizer", "adam", lr=1e-4),
        schedule=Choice.of("schedule", "constant"),
        grad_clip=1.0,
        batch_size=setting.batch_size,
        epochs=1_000_000,
        precision=setting.precision,
    )


def _naive_loaders(setting: Setting) -> dict[str, Any]:
    folder = pets_folder(setting.project)
    return dict(naive.loaders(folder, setting.size_px, setting.batch_size, setting.workers))


def _trainer(setting: Setting) -> naive.Trainer:
    torch.set_num_threads(setting.threads)
    naive.allow_tf32(setting.tf32)
    torch.manual_seed(0)
    return naive.Trainer(naive.build_model(setting.model, **setting.knobs), setting.device)


def _prepared(setting: Setting) -> tuple[Any, Any]:
    from segbench.config.project import Project
    from segbench.data import prepare

    config = trial_config(setting)
    return config, prepare(config, Project(setting.project))


@contextmanager
def _run(setting: Setting) -> Iterator[Run]:
    from segbench.engine.run import Run
    from segbench.sweep.worker import settle_process

    settle_process(setting.threads)
    config, data = _prepared(setting)
    run = Run(
        config, data, seed=0, device=setting.device, threads=setting.threads, loader_workers=setting.workers
    )
    try:
        yield run
    finally:
        run.close()


def _wait(setting: Setting) -> None:
    if setting.device != "cpu":
        torch.cuda.synchronize()


SIDES: dict[str, Any] = {
    "naive items": naive_items,
    "segbench items": segbench_items,
    "naive step": naive_step,
    "segbench step": segbench_step,
    "naive epoch": naive_epoch,
    "segbench epoch": segbench_epoch,
    "naive test": naive_test,
    "segbench test": segbench_test,
}
