"""A saved trial measured on images with masks, at the images' own sizes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from segbench import registry
from segbench.axes.dataset import IGNORED, Sample, Source
from segbench.config.document import Problems, parse
from segbench.config.project import Project
from segbench.config.resolve import resolve_choice
from segbench.data import build_source, fingerprint
from segbench.data.prepared import split_samples
from segbench.engine.metrics import Counts, SoftSums, of_counts, of_surfaces, of_whole_set
from segbench.errors import DataError, ExperimentError, message
from segbench.inference.predictor import Prediction, Predictor
from segbench.inference.stream import stream
from segbench.inference.verification import check_fingerprint
from segbench.quantities import METRICS
from segbench.store.atomic import write_text
from segbench.store.trials import format_number

OnProgress = Callable[[int, int], None]

_CONVENTIONS: Final = ("image_suffix", "mask_suffix", "foreground", "threshold", "ignore", "window")
"""Knobs of a data set that say how images and masks are stored, wherever they lie."""


@dataclass(frozen=True, kw_only=True)
class ImageScores:
    """Every metric of one image, at its own size."""

    image: str
    height_px: int
    width_px: int
    counts: Counts
    """Arrays of one."""
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a trial reaches on a set of images, at their own sizes."""

    trial: str
    """`experiment/hash`."""
    epoch: int
    what: str
    """Which images, in words."""
    size: str
    """At which size the network saw them."""
    images: tuple[ImageScores, ...]

    def means(self) -> dict[str, float]:
        """Return every metric's mean over images, or its value of all images together, in columns' order."""
        names = self.images[0].metrics
        means = {name: float(np.mean([each.metrics[name] for each in self.images])) for name in names}
        fields = ("tp", "fp", "fn", "tn")
        together = Counts(*(np.concatenate([getattr(i.counts, f) for i in self.images]) for f in fields))
        means |= of_whole_set(together)
        return {name: means[name] for name in METRICS}

    def write_csv(self, path: Path) -> None:
        """Write one row per image: `image`, `height_px`, `width_px` and every metric that an image has.

        Raises:
            ResultsError: The disk refuses.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("image", "height_px", "width_px", *self.images[0].metrics))
        for each in self.images:
            values = (format_number(value) for value in each.metrics.values())
            writer.writerow((each.image, each.height_px, each.width_px, *values))
        write_text(path, text.getvalue())

    def to_json(self) -> dict[str, Any]:
        return {
            "trial": self.trial,
            "epoch": self.epoch,
            "what": self.what,
            "size": self.size,
            "images": len(self.images),
            "measured": self.means(),
        }


def measure_own(
    predictor: Predictor, project: Project, *, split: str = "test", on_progress: OnProgress | None = None
) -> Measurement:
    """Measure a trial on a part of its own data set, read again from the source's files.

    Args:
        predictor: The trial.
        project: Where the data are.
        split: `test`, `val` or `train`.
        on_progress: Told (images done, images in all).

    Raises:
        DataError: Files are missing or cannot be used; all of them are named.
        ResultsError: The data are not those of the trial.
    """
    registry.use_project(project.root)
    config, record = predictor.config, predictor.record
    check_fingerprint(predictor.folder, record, fingerprint(config, project))
    source = build_source(config, project)
    samples = source.samples()
    chosen = [samples[number] for number in split_samples(config, source)[record.fold][split]]
    return measure_samples(predictor, source, chosen, what=f"{split} images", on_progress=on_progress)


def measure_folders(
    predictor: Predictor,
    images: Path,
    masks: Path,
    *,
    settings: Sequence[str] = (),
    on_progress: OnProgress | None = None,
) -> Measurement:
    """Measure a trial on images and masks of one's own, read as the data set `folder` reads them.

    A trial of that data set keeps its own conventions of names and mask values.

    Args:
        predictor: The trial.
        images: Folder of the images, searched with its subfolders.
        masks: Folder of the masks; it may be the same one.
        settings: Knobs of `folder` as `KEY=VALUE`, such as `mask_suffix=_gt`.
        on_progress: Told (images done, images in all).

    Raises:
        ExperimentError: There is no such knob, or a value is of the wrong type.
        DataError: Files are missing or cannot be used; all of them are named.
    """
    knobs: dict[str, Any] = {
        name: value for name, value in predictor.config.dataset.knobs.items() if name in _CONVENTIONS
    }
    problems = Problems()
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or name in ("images", "masks", "size_px", "channels"):
            see = "Write a knob of the data set `folder`, such as --set mask_suffix=_gt"
            raise ExperimentError(message("--set", "it says no convention of masks", got=text, see=see))
        knobs[name] = parse(value, f"--set {text}", problems, is_positioned=False).plain()
    problems.raise_any()
    places = {"images": str(images.absolute()), "masks": str(masks.absolute())}
    fixed = {"size_px": predictor.size_px, "channels": predictor.channels}
    choice = resolve_choice("dataset", {"folder": {**knobs, **places, **fixed}}, "--set")
    source: Source = registry.build("dataset", "folder", Project(Path.cwd()), **choice.knobs)
    what = f"images of {images}"
    return measure_samples(predictor, source, source.samples(), what=what, on_progress=on_progress)


def measure_samples(
    predictor: Predictor,
    source: Source,
    samples: Sequence[Sample],
    *,
    what: str,
    on_progress: OnProgress | None = None,
) -> Measurement:
    """Measure a trial on samples of a data set: every metric, at each image's own size.

    Metrics of outlines are in the image's own pixels, and so is the trial's `surface_tolerance_px`.

    Args:
        predictor: The trial.
        source: Where images and masks come from, with the network's channels.
        samples: Which of them, at least one.
        what: Which they are, in words.
        on_progress: Told (images done, images in all).

    Raises:
        DataError: Files are missing or cannot be used; all of them are named, and nothing is measured.
    """
    masks: dict[str, np.ndarray] = {}
    tolerance_px = predictor.config.surface_tolerance_px

    def read(sample: Sample) -> np.ndarray:
        image, masks[sample.name] = source.decode(sample)
        return image

    def score(sample: Sample, prediction: Prediction) -> ImageScores:
        return score_image(sample.name, prediction, masks.pop(sample.name), tolerance_px=tolerance_px)

    found: list[ImageScores] = []
    problems: list[str] = []
    for done, (_, scores) in enumerate(stream(predictor, samples, read, score), start=1):
        if isinstance(scores, DataError):
            problems += scores.problems
        else:
            found.append(scores)
        if on_progress is not None:
            on_progress(done, len(samples))
    if problems:
        raise DataError(problems)
    folder = predictor.folder
    return Measurement(
        trial=f"{folder.experiment.name}/{folder.hash}",
        epoch=predictor.epoch,
        what=what,
        size=predictor.size.value,
        images=tuple(found),
    )


def score_image(name: str, prediction: Prediction, mask: np.ndarray, *, tolerance_px: float) -> ImageScores:
    """Return every metric of one prediction.

    Args:
        name: The image's.
        prediction: At the image's own size.
        mask: (H,W) uint8 in {0, 1, 255}; 255 counts nowhere, and is background for outlines.
        tolerance_px: For `surface_dice`, in the image's own pixels.
    """
    valid = mask != IGNORED
    truth, predicted = mask == 1, prediction.mask & valid
    tp = np.count_nonzero(predicted & truth)
    fp, fn = np.count_nonzero(predicted) - tp, np.count_nonzero(truth) - tp
    tn = np.count_nonzero(valid) - tp - fp - fn
    counts = Counts(*(np.array([number], dtype=np.int64) for number in (tp, fp, fn, tn)))
    overlap, total = (np.array([prediction.probs[pixels].sum(dtype=np.float64)]) for pixels in (truth, valid))
    values = of_counts(counts, SoftSums(overlap, total))
    values |= of_surfaces(predicted[None], truth[None], tolerance_px=tolerance_px)
    height, width = mask.shape
    metrics = {name: float(values[name][0]) for name, spec in METRICS.items() if spec.is_per_image}
    return ImageScores(image=name, height_px=height, width_px=width, counts=counts, metrics=metrics)
