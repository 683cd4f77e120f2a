"""Attention U-Net: a U-Net whose skips are weighted pixel by pixel by what the decoder has seen below them.

31,554,628 parameters with batch norm. Every skip but the first level's passes a gate; see `unet`.

Reference:
    Oktay et al., 2018, arXiv:1804.03999.
"""

PRESET = {"unet": {"skips": "attention"}}
