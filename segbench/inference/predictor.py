"""A saved trial, applied to image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from segbench import registry
from segbench.axes.dataset._images import read_pixels
from segbench.axes.dataset.folder import to_bytes, to_channels
from segbench.config.project import Project
from segbench.config.trial import TrialConfig
from segbench.data.resize import resize_pair
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics, choose_device, seeded
from segbench.engine.state import check_fits
from segbench.errors import ResultsError, message
from segbench.store.trials import read_trial
from segbench.store.weights import read_best

if TYPE_CHECKING:
    from segbench.store.layout import TrialFolder


@dataclass(frozen=True)
class Prediction:
    """What a network says about one image, at the image's own size."""

    image: np.ndarray
    """(H,W,C) uint8, as the network saw it before resizing."""
    probs: np.ndarray
    """(H,W) float32: probability of foreground, resized back from the training size."""

    @property
    def mask(self) -> np.ndarray:
        """(H,W) bool: probability above 0.5."""
        return self.probs > 0.5


class Predictor:
    """The selected weights of a saved trial; needs neither the data set nor its cache."""

    def __init__(self, folder: TrialFolder, *, device: str | torch.device = "cpu") -> None:
        """Read `trial.json` and `best.pt`.

        Args:
            folder: The trial's folder.
            device: Where the network runs.

        Raises:
            ResultsError: The record or the weights are missing, damaged or do not fit the code.
        """
        registry.use_project(Project.around(folder.path).root)
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
        self._numerics = Numerics(
            choose_device(device), self.config.precision, None, self.config.deterministic
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

    def predict_file(self, file: Path) -> Prediction:
        """Read an image file, upright, and predict it. Images deeper than 8 bits use the data set's `window`.

        Raises:
            DataError: The file is missing, corrupt or of a kind that the network was not trained on.
        """
        window = self.config.dataset.knobs.get("window")
        return self.predict(to_channels(to_bytes(read_pixels(file), window, file), self.channels))

    def predict(self, image: np.ndarray) -> Prediction:
        """Predict one image of any size: squeezed to the training size, as in training, and back.

        Args:
            image: (H,W,C) uint8.
        """
        height, width = image.shape[:2]
        small, _ = resize_pair(image, np.zeros((height, width), np.uint8), self.size_px)
        pixels = torch.tensor(small, device=self._mean.device).permute(2, 0, 1)[None].float()
        numerics = self._numerics
        with numerics.active(), seeded(0, numerics.device), torch.no_grad(), numerics.autocast():
            logits = self._model(numerics.images((pixels - self._mean) / self._std))
        probs = torch.sigmoid(logits.float())[0, 0].cpu().numpy()
        return Prediction(image, _resize_probs(probs, height, width))


def _resize_probs(probs: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize probabilities (h,w): averaged over areas where both sides shrink, else bilinear."""
    import cv2

    if probs.shape == (height, width):
        return probs
    shrinks = height <= probs.shape[0] and width <= probs.shape[1]
    return cv2.resize(probs, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
