"""ResNet-U-Net of reference study R4: bilinear, without bottleneck, padded or cropped to the skips.

Standard blocks; decoder stages of 512, 256, 128 and 64 channels, then two bilinear doublings of 32 channels
without skips and a 1x1 convolution. Images may have any size. 29,961,057 parameters with batch norm;
`{resnet34_unet_r4: {stride_on: every_block}}` is the other form that the study's text allows, with a stride
and a registered shortcut on every block of a stage: 30,867,553, and maps that shrink to 1x1. The study's own
program made those shortcuts anew in each forward pass, random and never trained; that is not reproduced.

Left open by the study and chosen here: the fourth skip is the stem after pooling. It must have 64 channels by
the count, and the six doublings lead back to the image's size only if this one is cropped to stride 4. The
decoder then sees the middle half of the map there; with `stem_skip: before_pooling` nothing is cropped, and
one doubling less remains (29,942,497 parameters). The skip's channels come first; padding and cropping are
centred, and at the end they lead to the image's size.
"""

PRESET = {
    "resnet34_unet": {
        "concat": "skip_first",
        "fit": "pad",
        "stride_on": "first_block",
        "bottleneck": "none",
        "stem_skip": "after_pooling",
        "decoder_width": "halving",
        "up": "bilinear",
        "end": "bilinear",
    }
}
