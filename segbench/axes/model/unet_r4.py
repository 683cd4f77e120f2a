"""U-Net of reference study R4: transposed convolutions, padded to the skip's size, for images of any size.

31,037,633 parameters with batch norm. It is the module that the study prints. The study's program can also
up-sample bilinearly, with the deep widths halved: `{unet_r4: {up: bilinear}}`, 17,262,977 parameters.
"""

PRESET = {"unet": {"up": "transposed", "concat": "skip_first", "fit": "pad"}}
