"""U-Net of reference study R0: the skip's channels come first, no dropout.

31,037,633 parameters with batch norm, 31,025,857 without norm (31,031,745 where the convolutions get a bias
instead), 31,043,521 with DyT. It is `unet` at its defaults.
"""

PRESET = {"unet": {"concat": "skip_first"}}
