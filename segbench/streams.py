"""Independent random streams, named by what they are for."""

from __future__ import annotations

import hashlib
import json


def stream_seed(seed: int, purpose: str, *keys: int | str) -> int:
    """Return the 63-bit seed of the stream `(seed, purpose, *keys)`.

    It is the head of the SHA-256 of the canonical JSON list, so streams of different names are independent,
    and a stream needs no state: an epoch's order or a sample's augmentation can be made again at any time, in
    any process. A key 1 and a key "1" name different streams.
    """
    text = json.dumps([int(seed), purpose, *keys], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
