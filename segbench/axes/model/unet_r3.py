"""U-Net of reference study R3: the up-sampled channels come first.

31,037,633 parameters with batch norm. The same network as `unet_r2`.
"""

PRESET = {"unet": {"concat": "up_first"}}
