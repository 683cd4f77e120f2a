"""Index -> decoded cache (no torch) -> batches on the device (`segbench.data.batches`)."""

from segbench.data.prepared import PreparedData, fingerprint, num_folds, prepare

__all__ = ["PreparedData", "fingerprint", "num_folds", "prepare"]
