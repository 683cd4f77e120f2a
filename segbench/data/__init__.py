"""Index -> decoded cache (no torch) -> batches on the device.

- `prepare(config, project)` gives `PreparedData`: samples, pixels, masks (0, 1 and 255, which is ignored),
  split and scaling. The cache is built once, memory-mapped, locked, and built again when the source's
  fingerprint changes or a file is damaged. `fingerprint` alone is quick, so plans use it.
- `batches.py` yields `Batch(images, target, index, valid)`. Bytes travel to the device and are scaled
  there. Every draw is a function of (seed, epoch, sample): albumentations' own `set_random_seed` starts all
  transforms of a composition from one number, so two flips would be drawn in lockstep; one generator per
  sample keeps them independent.
- `batched/` augments whole batches where they are trained on (`augment_backend: device`, docs/adr/0018).
- `resident.py` keeps a data set in a GPU's memory where it fits; `sending.py` moves values there without
  waiting.
"""

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
