"""Training and measuring one trial: tensors in, records out; nothing here writes to disk.

`Run` (`run.py`) iterates `EpochRecord`s and offers `state_dict()`, `weights()` and `evaluate(split)`.
`build_run` makes one from a configuration, or calls the user's function that `engine:` names
(`protocol.py`).

- Random streams are generators made from (seed, purpose, ...) by `segbench.streams`: order per epoch,
  augmentation per (epoch, sample), mixing per (epoch, batch), dropout per epoch, initial weights per module
  name. None of them has a state, so a run resumes exactly from the end of an epoch, whatever ran before it
  in the process.
- `accumulate: k` makes one step of k batches. Its gradient is that of the mean over all their images,
  before clipping; batch norm and losses over a whole batch still see `batch_size` images.
- `ema: d` evaluates, selects, tests and keeps the running average of weights; d rises from 0 as (1 + t) /
  (10 + t).
- `Diverged` is raised when a loss is NaN or infinite. Losses are looked at every 50 steps and at the end of
  an epoch, and the error names the first broken step.
- Records are rounded to nine digits when they are made, so what is selected is what a reader of
  `epochs.csv` would select.
- Ignored pixels (255 in a mask) are left out of counts and sums; metrics of outlines take them for
  background.
- On a GPU the step is one CUDA graph, which later trials of the same shape take over (docs/adr/0020).
  `deterministic` repeats a trial to the bit (docs/adr/0019). `Run.path` says which way a trial went.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench.engine.divergence import Diverged
    from segbench.engine.passes import Evaluation
    from segbench.engine.protocol import TrainingRun, build_run
    from segbench.engine.run import Run

__all__ = ["Diverged", "Evaluation", "Run", "TrainingRun", "build_run"]

_HOMES = {
    "Diverged": "divergence",
    "Evaluation": "passes",
    "Run": "run",
    "TrainingRun": "protocol",
    "build_run": "protocol",
}


# Tensors of megabytes lie in huge pages where Linux offers them (`madvise`), so a new network's memory is
# there sooner: 0.10 s instead of 0.12 s between two trials of 31 M weights. torch asks once.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# What `deterministic: true` needs of cuBLAS, which asks before its first call; it changes no speed worth
# naming, and a worker's next trial may ask for it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def __getattr__(name: str) -> Any:
    # Late, so that the names of the metrics can be had without torch.
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"segbench.engine.{_HOMES[name]}"), name)
