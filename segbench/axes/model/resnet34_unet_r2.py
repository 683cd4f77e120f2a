"""ResNet-U-Net of reference study R2: a double convolution as bottleneck, the stem as last skip.

The skips are the stages above the deepest and the stem before pooling, their channels first. H and W are
multiples of 32. 29,162,049 parameters with batch norm. It is `resnet34_unet` at its defaults.
"""

PRESET = {
    "resnet34_unet": {
        "concat": "skip_first",
        "bottleneck": "double_conv",
        "stem_skip": "before_pooling",
    }
}
