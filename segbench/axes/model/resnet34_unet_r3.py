"""ResNet-U-Net of reference study R3: a residual bottleneck at stride 64, standard blocks.

The bottleneck is one more block, to 1024 channels; the skips are the four stages; the end is two times
(transposed convolution with bias, normalisation, ReLU) and a 1x1 convolution. H and W are multiples of 64.
48,194,497 parameters with batch norm.

Left open by the study and chosen here: the up-sampled channels come first, as in its U-Net.
"""

PRESET = {
    "resnet34_unet": {
        "concat": "up_first",
        "bottleneck": "residual",
        "stem_skip": "none",
    }
}
