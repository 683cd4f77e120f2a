"""ResNet-U-Net of reference study R0: a narrow decoder, and norms swapped in double convolutions only.

Stages of 3, 4, 6 and 2 blocks, each two times (convolution, normalisation, ReLU) plus a shortcut, which has a
bias where it is a convolution; one 3x3 convolution to 256 channels as bottleneck, concatenated with its own
input; four stages of transposed convolution and double convolution, all of 32 channels; a transposed
convolution and a 1x1 convolution. H and W are multiples of 32. 17,991,809 parameters with batch norm,
17,978,241 without norm (17,985,025 where the double convolutions get a bias instead), 17,998,593 with DyT:
the norm arm stands in the double convolutions only; stem, shortcuts and bottleneck keep batch norm.

The study prints its four concatenations as cat(x6, x5), cat(x8, x4), cat(x10, x3) and cat(x12, x2): the
deeper map's channels come first, and the bottleneck's before its own input. In the study's U-Net the skip's
channels come first.

Left open by the study and chosen here: the transposed convolutions have a bias, and nothing stands between
the last one and the 1x1 convolution.
"""

PRESET = {
    "resnet34_unet": {
        "blocks": [3, 4, 6, 2],
        "concat": "up_first",
        "norm_scope": "double_convs",
        "block": "relu_before_sum",
        "shortcut_bias": True,
        "bottleneck": "conv",
        "stem_skip": "none",
        "decoder": "concat_then_up",
        "decoder_width": "half",
        "end": "transposed",
    }
}
