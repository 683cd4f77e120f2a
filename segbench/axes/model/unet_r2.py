"""U-Net of reference study R2: the up-sampled channels come first.

31,037,633 parameters with batch norm. The same network as `unet_r3`.
"""

PRESET = {"unet": {"concat": "up_first"}}
