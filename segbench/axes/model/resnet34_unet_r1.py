"""ResNet-U-Net of reference study R1: a residual bottleneck at stride 64, no ReLU after the sums.

Blocks are two times (convolution, normalisation, ReLU) plus a shortcut; the bottleneck is one more of them,
to 1024 channels, with 10 % dropout of its channels; the skips are the four stages; the end is two times
(transposed convolution without bias, normalisation, ReLU) and a 1x1 convolution. H and W are multiples of 64.
48,194,369 parameters with batch norm.

Left open by the study and chosen here: the up-sampled channels come first, as in its U-Net.
"""

PRESET = {
    "resnet34_unet": {
        "concat": "up_first",
        "dropout": 0.1,
        "block": "relu_before_sum",
        "bottleneck": "residual",
        "stem_skip": "none",
        "end_bias": False,
    }
}
