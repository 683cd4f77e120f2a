"""Index -> decoded cache (no torch) -> batches on the device (`segbench.data.batches`)."""

from segbench.data.prepared import (
    PreparedData,
    build_source,
    decode,
    find_pixels,
    fingerprint,
    num_folds,
    prepare,
)

__all__ = ["PreparedData", "build_source", "decode", "find_pixels", "fingerprint", "num_folds", "prepare"]
