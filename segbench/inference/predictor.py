"""A saved trial, found by what a user types, applied to images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
import torch

from segbench import registry
from segbench.axes.dataset._images import read_pixels
from segbench.axes.dataset.folder import to_bytes, to_channels
from segbench.config.project import Project
from segbench.config.trial import TrialConfig
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics, choose_device, seeded
from segbench.engine.state import check_fits
from segbench.errors import ExperimentError, ResultsError, TrialError, is_out_of_memory, message
from segbench.inference.framing import Framed, Item, frame, run_batches
from segbench.inference.size import MOST_OVERLAP, OVERLAP, Size
from segbench.store.layout import ResultsFolder, TrialFolder
from segbench.store.trials import read_trial
from segbench.store.weights import read_best

_SEE = "`segbench status EXPERIMENT` lists the trials of an experiment"


def find_trial(text: str, results: ResultsFolder) -> TrialFolder:
    """Find a saved trial by its folder, by `EXPERIMENT/HASH`, or by the first digits of its hash.

    A trial that several experiments share has one hash; the copy with weights is taken.

    Args:
        text: What was typed. A hash may be shortened as long as one trial alone starts so.
        results: Where trials are looked for by name.

    Raises:
        ResultsError: None is found, or several.
    """
    path = Path(text)
    if (path / "trial.json").is_file():
        return TrialFolder(path.resolve())
    experiment, _, prefix = text.strip("/").rpartition("/")
    prefix = prefix.lower()
    known = {e.name: e for e in results.experiments()}
    if experiment and experiment not in known:
        rule = "there is no trial folder of this path and no experiment of this name"
        raise ResultsError(message(str(results.path), rule, got=text, known=known, see=_SEE))
    searched = [known[experiment]] if experiment else list(known.values())
    found = [t for e in searched for t in e.trial_folders() if prefix and t.hash.startswith(prefix)]
    if not found:
        hashes = [t.hash for e in searched for t in e.trial_folders()]
        raise ResultsError(
            message(str(results.path), "no trial's hash starts so", got=text, known=hashes, see=_SEE)
        )
    if len({t.hash for t in found}) > 1:
        names = [f"{t.experiment.name}/{t.hash}" for t in found]
        rule = f"{len(names)} trials start so: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
        raise ResultsError(message(str(results.path), rule, got=text, see="Give more digits"))
    return next((t for t in found if t.best.exists()), found[0])


T = TypeVar("T")


@dataclass(frozen=True)
class Prediction:
    """What a network says about one image, at the image's own size."""

    image: np.ndarray
    """(H,W,C) uint8, as it was read."""
    probs: np.ndarray
    """(H,W) float32: probability of foreground."""

    @property
    def mask(self) -> np.ndarray:
        """(H,W) bool: probability above 0.5."""
        return self.probs > 0.5


class Predictor:
    """The selected weights of a saved trial; needs neither the data set nor its cache.

    It computes as the trial did: precision, layout and deterministic kernels are the record's.
    """

    def __init__(
        self,
        folder: TrialFolder,
        *,
        device: str | torch.device = "cpu",
        size: Size | str = Size.squeeze,
        overlap: float = OVERLAP,
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Read `trial.json` and `best.pt`.

        Args:
            folder: The trial's folder.
            device: Where the network runs.
            size: At which size the network sees an image; as in training unless said otherwise.
            overlap: Of `tile`: share of a tile's side that neighbours have in common, at least.
            batch_size: Squares of the training size that the network takes at once; images of other sizes
                count by their pixels. None: the trial's own. It changes results by rounding alone.
            threads: CPU threads of the network; None: what the process has.

        Raises:
            ExperimentError: There is no such size or overlap.
            ResultsError: The record or the weights are missing, damaged or do not fit the code.
        """
        if size not in (known := [each.value for each in Size]):
            raise ExperimentError(message("size", "there is no such size", got=str(size), known=known))
        if not 0 <= overlap <= MOST_OVERLAP:
            rule = f"tiles overlap by a share of their side from 0 to {MOST_OVERLAP}"
            raise ExperimentError(message("overlap", rule, got=overlap))
        registry.use_project(Project.around(folder.path).root)
        self.folder = folder
        self.record = read_trial(folder)
        self.config = TrialConfig.from_json(self.record.config)
        best = read_best(folder, epoch=self.record.selected_epoch)
        self.epoch = best.epoch
        """The epoch that the weights are of."""
        spec = best.input_spec
        self.channels = int(spec["channels"])
        height, width = (int(n) for n in spec["size_px"])
        if height != width:
            raise ResultsError(message(str(folder.best), "size_px must be square", got=spec["size_px"]))
        self.size_px = height
        self.size = Size(size)
        self._overlap = overlap
        self._batch_size = batch_size or self.config.batch_size
        self._numerics = Numerics(
            choose_device(device), self.config.precision, threads, self.config.deterministic
        )
        self._mean, self._std = (
            torch.tensor(spec[name], device=self._numerics.device).view(1, -1, 1, 1)
            for name in ("mean", "std")
        )
        self._model = build_network(
            self.config, in_channels=self.channels, seed=self.record.seed, numerics=self._numerics
        )
        check_fits(best.weights, self._model, str(folder.best))
        self._model.load_state_dict(best.weights)
        self._model.eval()
        self._multiple = int(getattr(self._model, "size_multiple", 1))

    @property
    def images_at_once(self) -> int:
        """Images that a batch takes; 1 where an image may fill one or more."""
        return self._batch_size if self.size in (Size.squeeze, Size.fit) else 1

    def read(self, file: Path) -> np.ndarray:
        """Read an image file, upright, with the network's channels: (H,W,C) uint8.

        Images deeper than 8 bits use the data set's `window`.

        Raises:
            DataError: The file is missing, corrupt or of a kind that the network was not trained on.
        """
        window = self.config.dataset.knobs.get("window")
        return to_channels(to_bytes(read_pixels(file), window, file), self.channels)

    def predict_file(self, file: Path) -> Prediction:
        """Read an image file and predict it.

        Raises:
            DataError: As `read` does.
        """
        return self.predict(self.read(file))

    def predict(self, image: np.ndarray) -> Prediction:
        """Predict one image of any size.

        Args:
            image: (H,W,C) uint8 with the network's channels.

        Raises:
            DataError: The image has no pixels.
            ResultsError: The network takes no images of this size.
            TrialError: Memory ran out.
        """
        ((_, done),) = self.run([(None, self.frame(image))])
        assert isinstance(done, Framed)
        return Prediction(done.image, done.finish())

    def frame(self, image: np.ndarray) -> Framed:
        """Prepare an image, (H,W,C) uint8, for `run`; any thread may do so.

        Raises:
            DataError: The image has no pixels.
        """
        return frame(image, self.size, size_px=self.size_px, multiple=self._multiple, overlap=self._overlap)

    def run(self, items: Iterable[tuple[T, Item]]) -> Iterator[tuple[T, Item]]:
        """Put prepared images through the network in batches; yield them in order, ready for `finish`.

        Args:
            items: Images, each with the caller's key; a `DataError` is handed on in its image's place.

        Raises:
            ResultsError: The network takes no images of this size.
            TrialError: Memory ran out.
        """
        return run_batches(items, self._start, most_pixels=self._batch_size * self.size_px**2)

    def _start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin with a batch, (N,h,w,C) uint8; what is returned waits for probabilities, (N,h,w) float32."""
        device, images = self._numerics.device, torch.from_numpy(pixels)
        if device.type == "cpu":
            probs = self._forward(images).numpy()
            return lambda: probs
        # On their way back before the next batch is begun with, or reading them would wait for that one, too.
        with torch.cuda.device(device):
            probs_there = self._forward(images.pin_memory())
            probs_here = torch.empty(probs_there.shape, pin_memory=True)
            probs_here.copy_(probs_there, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()

        def wait() -> np.ndarray:
            arrived.synchronize()
            return probs_here.numpy()

        return wait

    def _forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities, (N,h,w) float32, of bytes (N,h,w,C)."""
        numerics = self._numerics
        try:
            with numerics.active(), seeded(0, numerics.device), torch.inference_mode(), numerics.autocast():
                planes = images.to(numerics.device, non_blocking=True).permute(0, 3, 1, 2).float()
                logits = self._model(numerics.images(planes.sub_(self._mean).div_(self._std)))
                if logits.shape[-2:] != planes.shape[-2:]:
                    raise ValueError(f"its logits are {logits.shape[-2]}x{logits.shape[-1]}")
                return torch.sigmoid(logits.float())[:, 0]
        except Exception as error:
            self._explain(error, *images.shape[1:3])

    def _explain(self, error: Exception, height: int, width: int) -> NoReturn:
        """Raise what a user can act on: too little memory, or a size that the network does not take."""
        if is_out_of_memory(error):
            is_large = height * width > self.size_px**2
            see = "Take `--size tile`" if is_large else "Take a smaller `--batch-size`"
            raise TrialError(message(f"images of {height}x{width}", "memory ran out", see=see)) from error
        if (height, width) == (self.size_px, self.size_px):
            raise error
        trained = f"it was trained on {self.size_px}x{self.size_px}"
        rule = f"the network {self.config.model.name} takes no images of this size ({trained}): {error}"
        see = "`--size tile` and `--size fit` give it the size it was trained on"
        raise ResultsError(message(f"image of {height}x{width}", rule, see=see)) from error
