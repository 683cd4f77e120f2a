"""Results as frames: what reports read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Results:
    """Every readable trial of one experiment's folder.

    The frames share the key `trial` (the twelve-digit hash).
    """

    trials: pd.DataFrame
    """A row a trial: `trial`, `config_hash`, `data_fingerprint`, `seed`, `fold`, `state`, `failure`, `reason`,
    `epochs_done`, `selected_epoch`, `objective`, `parameters`, `flops`, `train_time_s`, `device`, `device_name`,
    `threads`, `commit`, `reused_from`, `folder`; a column `axis:<name>` a recorded level; a column `test_<metric>`
    a test mean."""
    epochs: pd.DataFrame
    """A row an epoch: `trial` and the columns of `epochs.csv`."""
    images: pd.DataFrame
    """A row an image, metric and class: `trial`, `image`, `group`, `split`, `class`, `metric`, `value`."""
    left_out: pd.DataFrame
    """Folders that could not be read: `folder`, `reason`."""
