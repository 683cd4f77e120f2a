"""U-Net of reference study R4: bilinear up-sampling, padded to the skip's size, for images of any size.

17,262,977 parameters with batch norm. The study's network has transposed convolutions (31,037,633) or
bilinear up-sampling, and does not say which of its results belong to which; the preset is the bilinear form,
`{unet_r4: {up: transposed}}` the other.
"""

PRESET = {"unet": {"up": "bilinear", "concat": "skip_first", "fit": "pad"}}
