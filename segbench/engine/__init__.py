"""Training and measuring one trial: tensors in, records out; nothing here writes to disk."""

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
