"""U-Net of reference study R1: up-sampled channels first, 10 % of the deepest channels dropped.

31,037,633 parameters with batch norm.
"""

PRESET = {"unet": {"concat": "up_first", "dropout": 0.1}}
